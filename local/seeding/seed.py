"""`seed returns`: fills the two source tables of `returns` with synthetic or real data and says what it wrote."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from ratchet.errors import BadInput
from ratchet.instants import Clock, utc_now

from local.seeding import prices
from local.seeding.destinations import Destination, Marker
from local.seeding.embeddings import HISTORY
from local.seeding.prices import Bars
from local.seeding.strategies import TARGETS
from local.seeding.tables import WINDOW, Tables, build, instant, shift_to

ROWS = 6000
"""Windows of a simulated path: 41 days."""


@dataclass(frozen=True)
class TargetReport:
    """One target as seeded, in percent."""

    name: str
    mean: float
    variance: float
    moving: float
    """Share of the windows whose return is not 0."""


@dataclass(frozen=True)
class SeedReport:
    """What was written."""

    rows: int
    """Windows with an outcome: rows of `simulations_10m`, and of the join."""
    ai_rows: int
    left_out: int
    first: datetime
    """`base_ts` of the first row."""
    last: datetime
    """The last instant: `ts` of the last outcome and `base_ts` of the window that begins there."""
    synthetic: bool
    source: str
    targets: tuple[TargetReport, ...]


def seed_returns(
    destination: Destination,
    *,
    bars: Bars | None = None,
    rows: int | None = None,
    seed: int = 42,
    shift: bool = True,
    progress: Callable[[str], None] = lambda line: None,
    clock: Clock = utc_now,
) -> SeedReport:
    """Replace both tables by the windows of `bars`, or of a simulated path of `rows` windows made from `seed`.

    `rows` with bars means the newest so many windows. With `shift` the last instant becomes now. Raises BadInput for
    bars that are too few, and what the destination raises.
    """
    if rows is not None and rows < 1:
        raise BadInput(f"{rows} rows cannot be seeded; ask for at least 1.")
    if bars is None:
        rows = rows or ROWS
        progress(f"Simulating {rows} windows of 10 minutes")
        bars = prices.simulate((HISTORY + rows * WINDOW) // 15, seed)
    tables = build(bars, rows)
    if shift:
        tables = shift_to(tables, clock())
    progress(f"Writing {len(tables.outcomes)} windows made from {bars.source}")
    destination.replace(tables, Marker(bars.synthetic, bars.source))
    return _report(tables, bars)


def _report(tables: Tables, bars: Bars) -> SeedReport:
    targets = tuple(
        TargetReport(name, float(column.mean()), float(column.var()), float((column != 0).mean()))
        for name, column in zip(TARGETS, tables.returns.T, strict=True)
    )
    first, last = instant(int(tables.starts[0])), instant(int(tables.starts[-1]))
    counts = len(tables.outcomes), len(tables.starts), tables.left_out
    return SeedReport(*counts, first, last, bars.synthetic, bars.source, targets)
