"""`seed adclick`: impressions that never were, of people whose clicks follow a known logistic model.

How likely a click is depends on the attributes as they are written, so that the file itself holds all that there is to
learn: without a signal nothing.
"""

import csv
import hashlib
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ratchet.catalog import Pipeline
from ratchet.gate import delong
from ratchet.sources import TabularFiles
from ratchet.store import ObjectStore
from ratchet.tabular.kind import Source

from local.seeding.destinations import Marker
from local.seeding.uploads import Clear, Progress, mark

CLICKED = 0.35
"""How likely a click is where the attributes say nothing."""
AGES = (18, 64)
OF_PERSON = {"age", "gender", "browsing_history"}
"""Attributes that a person keeps; the others are the impression's."""
MISSING_OF_PERSON, MISSING, REPEATED = 0.45, 0.2, 0.1
"""Shares of attributes that are left empty, and of rows that are there twice."""
Floats = NDArray[np.float64]
Texts = list[str]


@dataclass(frozen=True)
class ClickReport:
    """What was written: rows, those of them that repeat an earlier one, people, and rows with a click."""

    rows: int
    repeated: int
    users: int
    clicks: int
    best_auc: float
    """Of the probabilities by which the clicks were drawn: nobody is expected to do better."""
    synthetic: bool
    source: str


@dataclass(frozen=True)
class Impressions:
    """N rows: whose they are, the attributes as they are written, how likely a click was, and whether there was one."""

    users: NDArray[np.int64]
    written: dict[str, Texts]
    likely: Floats
    clicked: NDArray[np.bool_]

    def rows(self, source: TabularFiles) -> list[Texts]:
        """The lines of the file, with the columns of the real one."""
        names = [f"User{user}" for user in self.users.tolist()]
        columns = [list(map(str, self.users.tolist())), *([names] * len(source.personal))]
        columns += [self.written[name] for name in (*source.numbers, *source.categories)]
        return [list(row) for row in zip(*columns, map(str, self.clicked.astype(int).tolist()), strict=True)]


def seed_clicks(
    store: ObjectStore,
    pipeline: Pipeline,
    clear: Clear,
    *,
    signal: float,
    records: int = 10_000,
    users: int = 4_000,
    seed: int = 42,
    progress: Progress = lambda line: None,
) -> ClickReport:
    """One file of so many rows in place of what was there. `signal` is by how much the log odds of a click differ
    between the least and the greatest value of a number, or the first and the last of a category. Raises Unavailable.
    """
    source, chance = pipeline.source_as(TabularFiles), np.random.default_rng(seed)
    progress(f"Simulating {records:,} impressions of {users:,} people")
    made = simulate(source, chance, signal=signal, records=records, users=users)
    rows = made.rows(source)
    seen = {tuple(row) for row in rows}
    curve = delong.curves(made.clicked, made.likely[:, None], np.arange(records))
    marker = Marker(True, f"simulated clicks (signal {signal:g}, seed {seed})")
    body = _text([source.group, *source.personal, *source.numbers, *source.categories, source.label], rows)
    progress(f"Writing {records:,} rows")
    clear()
    # Before the file, which lands as soon as it is created, with what the marker says then.
    mark(store, source.prefix, marker)
    store.put(Source(pipeline).key_of(hashlib.sha256(body).hexdigest()), body)
    counts = (records, records - len(seen), len(np.unique(made.users)), int(made.clicked.sum()))
    return ClickReport(*counts, float(curve.areas[0]), marker.synthetic, marker.source)


def simulate(
    source: TabularFiles, chance: np.random.Generator, *, signal: float, records: int, users: int
) -> Impressions:
    """So many rows, of which some are there twice: what a person was shown before, as it was shown, ends as before."""
    whose = chance.integers(1, users + 1, records)
    again = chance.random(records) < REPEATED
    origin = np.where(again, chance.integers(records, size=records), np.arange(records))
    whose = whose[origin]
    written, effect = dict[str, Texts](), np.zeros(records)
    for name in (*source.numbers, *source.categories):
        rows = whose if name in OF_PERSON else origin
        values = source.categories.get(name)
        place = chance.random(max(users, records) + 1)[rows]
        known = (chance.random(records) >= (MISSING_OF_PERSON if name in OF_PERSON else MISSING))[origin]
        written[name] = _number(place, known) if values is None else _value(place, known, values)
        effect += np.where(known, _centred(place, values), 0)
    likely = 1 / (1 + np.exp(-(np.log(CLICKED / (1 - CLICKED)) + signal / 2 * effect)))
    return Impressions(whose, written, likely, _drawn(whose, written, likely, chance))


def _number(place: Floats, known: NDArray[np.bool_]) -> Texts:
    """Whole years, evenly spread."""
    low, high = AGES
    years = low + np.floor(place * (high - low + 1))
    return [f"{year:.1f}" if told else "" for year, told in zip(years.tolist(), known.tolist(), strict=True)]


def _value(place: Floats, known: NDArray[np.bool_], values: list[str]) -> Texts:
    which = (place * len(values)).astype(int)
    return [values[each] if told else "" for each, told in zip(which.tolist(), known.tolist(), strict=True)]


def _centred(place: Floats, values: list[str] | None) -> Floats:
    """From -1 to 1: what is written of a number or a category, whose values follow each other as they are declared."""
    steps = len(values) if values else AGES[1] - AGES[0] + 1
    centred: Floats = 2 * np.floor(place * steps) / (steps - 1) - 1
    return centred


def _drawn(
    whose: NDArray[np.int64], written: dict[str, Texts], likely: Floats, chance: np.random.Generator
) -> NDArray[np.bool_]:
    """One draw for rows that are the same."""
    told = ["\x1f".join(row) for row in zip(map(str, whose.tolist()), *written.values(), strict=True)]
    _, first, which = np.unique(told, return_index=True, return_inverse=True)
    drawn: NDArray[np.bool_] = (chance.random(len(likely)) < likely)[first][which]
    return drawn


def _text(header: Texts, rows: list[Texts]) -> bytes:
    body = io.StringIO()
    csv.writer(body, lineterminator="\n").writerows([header, *rows])
    return body.getvalue().encode()
