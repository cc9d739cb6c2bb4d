"""Clicks on advertisements, 10,000 rows of 4,000 people: AUC on people never seen, and on rows drawn at random.

The rows, features, split, training and floor are those of `adclick`. What the table knows of a person says nothing of
another one: the floor must refuse every model of it, however good it looks on rows of those whom it knows.

What there is above a coin is told by blanks alone: who did not click has one row, who did has 13, all of one record
with fields blanked at random, and where exact duplicates are left out, of the latter the common patterns collapse.
"""

import json
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pipelines.adclick.train import KNOBS, Clicks
from ratchet.catalog import load
from ratchet.files import salted
from ratchet.files.kind import Examples
from ratchet.files.span import Span
from ratchet.gate import clusters, delong, floors
from ratchet.gate.delong import Area
from ratchet.tables.split import PARTS
from ratchet.tabular.kind import Source

from quality import data

FILE = "ad_click_dataset.csv"
SALTS = tuple(f"adclick-{number}" for number in range(1, 6))
ALPHA = 0.025
LOOKS = (0.64, 0.76)
"""AUC by row of boosted trees on four and on all six attributes, where exact duplicates stay in."""
AT = datetime(2026, 1, 1, tzinfo=UTC)
RESULTS = Path(__file__).parent / "results" / "adclick.json"
PIPELINE = load("adclick")


def read(folder: Path) -> Examples:
    """The records of the file, each once, as a run learns from them."""
    source = Source(PIPELINE)
    content = source.content(folder / FILE, FILE, AT)
    print(f"{content.records:,} records; left out: {content.ignored | content.rejected}")
    return source.examples(iter([content.rows]), Span(), AT)


def by_blanks(examples: Examples) -> float:
    """The AUC of the number of attributes that a row lacks, over all rows."""
    blanks = [index for index, name in enumerate(examples.about["inputs"]) if name.endswith("=missing")]
    scores = examples.features[:, blanks].sum(axis=1, dtype=np.float64)[:, None]
    return float(delong.curves(examples.targets[:, 0] == 1, scores, np.arange(len(scores))).areas[0])


def reached(examples: Examples, salt: str, split: NDArray[np.str_]) -> Area:
    """The AUC on the holdout of a split by `split` [N]: people are clusters of it either way."""
    codes = salted.parts_of(split, replace(PIPELINE.data, salt=salt))
    train, holdout = (codes == PARTS.index(part) for part in ("train", "holdout"))
    knobs = Namespace(**{**KNOBS, **PIPELINE.training.hyperparameters})
    y = examples.targets.astype(np.float32)
    model = Clicks().train(examples.features[train], y[train], examples.about["inputs"], knobs)
    scores = model.predict(examples.features[holdout])[:, None]
    of_rows = clusters.numbered(examples.groups[holdout], len(scores))
    return delong.area(delong.curves(y[holdout, 0] == 1, scores, of_rows), 0, ALPHA)


def measured(examples: Examples) -> Iterator[tuple[str, Area, Area, bool]]:
    """By salt: the AUC by person, by row, and whether the floor lets the former pass."""
    limits, rows = {"auc": PIPELINE.gate.floors["auc"]}, np.arange(len(examples.targets)).astype(np.str_)
    for salt in SALTS:
        by_person, by_row = (reached(examples, salt, split) for split in (examples.groups, rows))
        (check,) = floors.checks(floors.measure(limits, [], by_person), limits, by_person)
        yield salt, by_person, by_row, check.passed


def main() -> bool:
    """Measures, prints the table and keeps it; whether each model was refused."""
    started = time.monotonic()
    examples = read(data.folder("adclick"))
    floor = f"floor {PIPELINE.gate.floors['auc']}"
    print(f"{'salt':>12}{'by person':>12}{'95 % interval':>18}{floor:>14}{'by row':>9}")
    found = []
    for salt, by_person, by_row, passed in measured(examples):
        interval = f"{by_person.low:.3f} to {by_person.high:.3f}"
        said = "passed" if passed else "refused"
        print(f"{salt:>12}{by_person.estimate:12.3f}{interval:>18}{said:>14}{by_row.estimate:9.3f}", flush=True)
        bounds = {"low": by_person.low, "high": by_person.high}
        areas = {"by_person": by_person.estimate, "by_row": by_row.estimate}
        found.append({"salt": salt, **areas, **bounds, "passed": passed})
    means = {name: float(np.mean([each[name] for each in found])) for name in ("by_person", "by_row")}
    means["by_blanks"] = by_blanks(examples)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"salts": found, **means}, indent=2) + "\n")
    print(f"\nmean by person {means['by_person']:.3f} (a coin: 0.5; blanks alone: {means['by_blanks']:.3f})")
    print(f"mean by row {means['by_row']:.3f} (with the duplicates in: {LOOKS[0]} to {LOOKS[1]})")
    print(f"{time.monotonic() - started:.0f} s")
    return not any(each["passed"] for each in found)


if __name__ == "__main__":
    try:
        sys.exit(0 if main() else 1)
    except data.Absent as absent:
        print(f"skipped: {absent}")
