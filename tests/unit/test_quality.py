"""Measurements on real data: skipped with a message where the data is absent, and never by mistake."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from quality import adclick, data
from quality.__main__ import NAMES
from tests.emulated import CHECKOUT


def measured(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    paths = f"{CHECKOUT}{os.pathsep}{CHECKOUT / 'layers/common'}"
    environment = {**os.environ, "RATCHET_DATA": str(folder), "PYTHONPATH": paths}
    command = [sys.executable, "-m", "quality", *arguments]
    return subprocess.run(command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", NAMES)
def test_without_its_data_a_measurement_is_skipped_and_says_how_to_name_it(name: str, tmp_path: Path) -> None:
    told = measured(name, folder=tmp_path)
    assert (told.returncode, told.stderr) == (0, "")
    assert "skipped: " in told.stdout
    assert "RATCHET_DATA" in told.stdout


def test_models_of_the_real_clicks_are_refused_on_people_they_have_never_seen() -> None:
    try:
        examples = adclick.read(data.folder("adclick"))
    except data.Absent as absent:
        pytest.skip(str(absent))
    found = list(adclick.measured(examples))
    assert [(salt, passed) for salt, _, _, passed in found] == [(salt, False) for salt in adclick.SALTS]
    assert all(by_row.estimate > by_person.estimate for _, by_person, by_row, _ in found)


def test_a_file_that_is_missing_from_its_folder_is_no_reason_to_skip(tmp_path: Path) -> None:
    (tmp_path / "cmapss").mkdir()
    told = measured("fd001", folder=tmp_path)
    assert told.returncode == 1
    assert "train_FD001.txt" in told.stderr


def test_an_unknown_measurement_is_named(tmp_path: Path) -> None:
    told = measured("fd002", folder=tmp_path)
    assert told.returncode == 2
    assert "nothing is named fd002; there are fd001" in told.stderr


def test_the_data_lies_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cmapss").mkdir()
    monkeypatch.setenv("RATCHET_DATA", str(tmp_path))
    assert data.folder("cmapss") == tmp_path / "cmapss"
    with pytest.raises(data.Absent, match="power is missing"):
        data.folder("power")
