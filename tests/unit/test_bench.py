"""The runner of the benchmarks: what it makes of their ends."""

import json
from pathlib import Path

import pytest

from bench.__main__ import HERE, NAMES, main, run

WRITES = "import pathlib; pathlib.Path('bench/results/quick.json').write_text('{\"ratio\": 2}')"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of benchmarks with results of an earlier day."""
    (tmp_path / "bench" / "results").mkdir(parents=True)
    (tmp_path / "bench" / "results" / "quick.json").write_text("{}")
    return tmp_path / "bench"


@pytest.mark.parametrize(
    ("body", "end"),
    [
        pytest.param(WRITES, "met", id="a benchmark that ends well met its target"),
        pytest.param(f"{WRITES}; raise SystemExit(1)", "missed", id="results and exit code 1 are a target missed"),
        pytest.param("raise SystemExit(3)", "skipped", id="what a benchmark needs may not be there"),
        pytest.param("raise ValueError", "failed", id="an error without results is a failure"),
        pytest.param("", "failed", id="an end without results is a failure, whatever lies there from before"),
    ],
)
def test_an_end_is_told_from_the_exit_code_and_new_results(body: str, end: str, folder: Path) -> None:
    (folder / "quick.py").write_text(f'"""Quick."""\n{body}\n')
    assert run("quick", folder) == end


def test_results_tell_the_machine_they_were_measured_on(folder: Path) -> None:
    (folder / "quick.py").write_text(f'"""Quick."""\n{WRITES}\n')
    run("quick", folder)
    told = json.loads((folder / "results" / "quick.json").read_text())
    assert (told["ratio"], told["met"]) == (2, True)
    assert told["machine"].keys() == {"cores", "cpu", "python", "system"}
    assert told["machine"]["cores"] >= 1


def test_every_module_that_saves_results_is_run() -> None:
    saving = {path.stem for path in HERE.glob("*.py") if "RESULTS =" in path.read_text()}
    assert saving == set(NAMES)


def test_an_unknown_name_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["speed"])
    assert left.value.code == 2
    assert "no benchmark is named speed; there are extraction, compaction" in capsys.readouterr().err
