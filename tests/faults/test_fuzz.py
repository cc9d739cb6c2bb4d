"""What comes from outside, archives, files and requests among it, ends in a result or in a named error."""

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults import figures, guided
from tests.faults.fuzz import DEADLINE_SECONDS, MEMORY_MIB, Found, Report, load, run

SEED = 1
INPUTS = {
    "bundles:ARCHIVE": 25_000,
    "models:GRAPH": 20_000,
    "pages:JSON": 20_000,
    "pages:COPY": 20_000,
    "parquet:LANDED": 55_000,
    "parquet:REJECTED": 20_000,
    "parquet:HOLDOUT": 20_000,
    "parquet:TRAINING": 10_000,
    "parts:REPLACED": 15_000,
    "documents:STORED": 25_000,
    "files:SENSORS": 10_000,
    "files:METERS": 10_000,
    "records:RECORDS": 15_000,
    "bodies:ASKED_FOR": 25_000,
    "visits:PAGE": 5_000,
    "visits:HEARD": 5_000,
}
GUIDED, GUIDED_INPUTS = ("bundles:ARCHIVE", "pages:JSON", "pages:COPY"), 100_000
"""Readers whose own code decides, so that what an input reaches of it is worth knowing."""


@pytest.fixture(scope="module")
def reports() -> Iterator[dict[str, Future[Report]]]:
    """What comes of every target; two are fuzzed at a time."""
    with ThreadPoolExecutor(2) as pool:
        fuzzed = {name: pool.submit(run, name, inputs, SEED) for name, inputs in INPUTS.items()}
        yield fuzzed
    _add_figures(f"Hostile inputs (seed {SEED}; memory bounded by {MEMORY_MIB} MiB)", fuzzed)


@pytest.fixture(scope="module")
def led() -> Iterator[dict[str, Future[Report]]]:
    """The same of those that coverage leads."""
    with ThreadPoolExecutor(2) as pool:
        fuzzed = {name: pool.submit(guided.run, name, GUIDED_INPUTS, SEED) for name in GUIDED}
        yield fuzzed
    _add_figures(f"Hostile inputs led by coverage (seed {SEED}; memory bounded by {MEMORY_MIB} MiB)", fuzzed)


def _add_figures(title: str, fuzzed: dict[str, Future[Report]]) -> None:
    columns = ("reader", "inputs", "CPU s", "peak MiB", "outcomes")
    found = {name: one.result() for name, one in fuzzed.items() if not one.exception()}
    rows = [(name, one.inputs, one.seconds, one.peak_mib, _told(one.outcomes)) for name, one in found.items()]
    figures.add(title, columns, rows)


def _told(outcomes: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.items())


@pytest.mark.parametrize("name", INPUTS)
def test_hostile_inputs_end_in_a_result_or_a_named_error(name: str, reports: dict[str, Future[Report]]) -> None:
    outcomes = reports[name].result().outcomes
    # Were all refused at the door, nothing behind it would have been put to the test.
    assert len(outcomes) > 1
    assert sum(outcomes.values()) == INPUTS[name]


@pytest.mark.parametrize("name", GUIDED)
def test_inputs_led_by_coverage_end_in_a_result_or_a_named_error(name: str, led: dict[str, Future[Report]]) -> None:
    outcomes = led[name].result().outcomes
    assert len(outcomes) > 1
    assert sum(outcomes.values()) == GUIDED_INPUTS


@pytest.mark.parametrize(
    ("planted", "how"),
    [
        ("RAISES", "ZeroDivisionError"),
        ("CRASHES", "deadly signal"),
        ("HANGS", "timeout after"),
        ("SWELLS", "out-of-memory"),
        ("HIDES", "AssertionError"),
    ],
)
def test_coverage_leads_to_a_planted_fault_too(planted: str, how: str) -> None:
    name = f"planted:{planted}"
    with pytest.raises(Found, match=rf"(?s)^{name}, led by coverage:.*{how}") as caught:
        guided.run(name, 3_000, SEED, deadline=2)
    kept = Path(str(caught.value).split("--replay ")[1].splitlines()[0])
    assert kept.read_bytes()
    kept.unlink()


@pytest.mark.parametrize(
    ("planted", "how"),
    [
        ("RAISES", "ZeroDivisionError"),
        ("CRASHES", "SIGSEGV"),
        ("HANGS", "no answer by the deadline"),
        ("SWELLS", r"AssertionError: \d+ MiB"),
        ("ASKS", "MemoryError"),
        ("HIDES", "AssertionError"),
        ("SPEAKS", "one line"),
        ("WALKS", "ValueError"),
        ("LOADS", "TokenError"),
        ("COPIES", "no answer by the deadline"),
        ("READS", "OSError"),
    ],
)
def test_a_planted_fault_is_found_and_its_input_kept(planted: str, how: str) -> None:
    name = f"planted:{planted}"
    with pytest.raises(Found, match=rf"^{name}, seed {SEED}, input \d+: .*{how}") as caught:
        run(name, 2_000, SEED, deadline=2 if "deadline" in how else DEADLINE_SECONDS)
    number = int(re.findall(r"input (\d+):", str(caught.value))[0])
    kept = Path(str(caught.value).split("--replay ")[1].splitlines()[0])
    assert kept.read_bytes() == load(name).input(SEED, number)
    kept.unlink()
