"""Deploying to the laptop target, without sam: what counts as a change, and how failures are told."""

from pathlib import Path

import pytest
from ratchet.errors import BadConfiguration

from local.deploy import Application, build, inputs_digest, reason


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("functions/score/app.py", "layers/common/ratchet/keys.py", "template.yaml", "docs/index.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def sam(folder: Path, script: str) -> Path:
    path = folder / "bin" / "sam"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\nmkdir -p .aws-sam\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("name", ["functions/score/app.py", "layers/common/ratchet/keys.py", "template.yaml"])
def test_a_change_of_what_is_built_is_noticed(folder: Path, name: str) -> None:
    before = inputs_digest(folder)
    (folder / name).write_text("changed")
    assert inputs_digest(folder) != before


@pytest.mark.parametrize("name", ["docs/index.md", "functions/score/__pycache__/app.pyc", ".aws-sam/build/x"])
def test_a_change_of_anything_else_is_not(folder: Path, name: str) -> None:
    before = inputs_digest(folder)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("changed")
    assert inputs_digest(folder) == before


def test_only_a_changed_application_is_built_again(folder: Path) -> None:
    lines: list[str] = []
    application = Application(
        folder, "http://127.0.0.1:1", "ratchet", sam(folder, "echo chatter; echo Build Succeeded")
    )
    assert build(application, lines.append)
    assert not build(application, lines.append)
    (folder / "template.yaml").write_text("changed")
    assert build(application, lines.append)
    assert lines.count("Build Succeeded") == 2
    assert "chatter" not in lines


def test_a_failed_build_is_one_line_and_is_tried_again(folder: Path) -> None:
    application = Application(
        folder, "http://127.0.0.1:1", "ratchet", sam(folder, "echo; echo Error: no wheel.; exit 1")
    )
    for _ in range(2):
        with pytest.raises(BadConfiguration, match=r"^sam build failed: Error: no wheel\. Dependencies come from PyPI"):
            build(application, lambda line: None)


def test_a_build_sees_neither_the_hosts_account_nor_its_python_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    lines: list[str] = []
    build(Application(folder, "http://127.0.0.1:1", "ratchet", sam(folder, "env | sed 's/^/Building /'")), lines.append)
    lines = [line.removeprefix("Building ") for line in lines]
    assert "AWS_ENDPOINT_URL=http://127.0.0.1:1" in lines
    assert not [line for line in lines if line.startswith(("AWS_PROFILE=", "PYTHONPATH="))]
    assert next(line for line in lines if line.startswith("PATH=")).startswith(f"PATH={folder / 'bin'}")


def test_a_missing_sam_says_what_to_do(folder: Path) -> None:
    with pytest.raises(BadConfiguration, match="ratchet up"):
        build(Application(folder, "http://127.0.0.1:1", "ratchet", folder / "nowhere" / "sam"), lambda line: None)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["Build Failed", "Error: F - no module", ""], "Error: F - no module"),
        (["something", "Build Failed"], "Build Failed"),
        (["Traceback", "KeyError: 'x'", ""], "KeyError: 'x'"),
        ([], "it said nothing."),
    ],
)
def test_the_line_that_matters_is_found(lines: list[str], said: str) -> None:
    assert reason(lines) == said
