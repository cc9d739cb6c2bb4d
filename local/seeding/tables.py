"""What is written to the tables: windows of bars as rows of `ai_outputs` and `simulations_10m`. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from ratchet.errors import BadInput

from local.seeding import embeddings, strategies
from local.seeding.prices import Bars, Floats

WINDOW = strategies.WINDOW


@dataclass(frozen=True)
class Tables:
    """The rows of both tables; `ai_outputs` has one more, for the window that begins at the last instant."""

    starts: NDArray[np.int64]
    """`base_ts` of `ai_outputs`, epoch seconds, [n + 1]."""
    embedding_a: NDArray[np.float32]
    embedding_b: NDArray[np.float32]
    returns: Floats
    """[n, 6] in percent; row i belongs to the window that begins at `outcomes[i]`."""
    outcomes: NDArray[np.int64]
    """Starts of the windows with an outcome, [n]; `ts` of `simulations_10m` is ten minutes later."""
    left_out: int
    """Windows without a row because bars are missing in them or in the hour before."""


def build(bars: Bars, rows: int | None = None) -> Tables:
    """The last `rows` windows of the bars (all of them by default). Raises BadInput when there is not a single one."""
    end = bars.start + bars.close.size * bars.step
    first = -(-(bars.start + embeddings.HISTORY) // WINDOW) * WINDOW
    starts = np.arange(first, end - end % WINDOW + 1, WINDOW)
    if starts.size < 2:
        raise BadInput(f"{bars.source} spans {(end - bars.start) / 3600:.1f} h; more than 24 h and 10 min are needed.")
    kept = starts[_complete(bars, starts)]
    outcomes = kept[kept + WINDOW <= end]
    outcomes = outcomes[_complete(bars, outcomes + WINDOW)]
    left_out = starts.size - 1 - outcomes.size
    if rows is not None:
        outcomes = outcomes[-rows:]
    if not outcomes.size:
        raise BadInput(f"{bars.source}: every window lacks bars; give a file with fewer gaps.")
    bases = kept[kept >= outcomes[0]]
    a, b = embeddings.embed(bars, bases)
    return Tables(bases, a, b, strategies.returns(bars, outcomes), outcomes, int(left_out))


def shift_to(tables: Tables, now: datetime) -> Tables:
    """The same rows, moved by whole ten minutes so that the last instant is the last one before `now`."""
    target = int(now.astimezone(UTC).timestamp()) // WINDOW * WINDOW
    move = target - int(tables.starts[-1])
    return Tables(
        tables.starts + move,
        tables.embedding_a,
        tables.embedding_b,
        tables.returns,
        tables.outcomes + move,
        tables.left_out,
    )


def instant(seconds: int) -> datetime:
    """Epoch seconds as an aware instant in UTC."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def _complete(bars: Bars, instants: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether every bar of the hour before each instant is there."""
    missing = np.concatenate([[0], np.cumsum(~bars.present)])
    last = (instants - bars.start) // bars.step
    return np.asarray(missing[last] == missing[np.maximum(last - 3600 // bars.step, 0)])
