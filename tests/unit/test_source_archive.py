import io
import tarfile
from pathlib import Path

import pytest
from ratchet import catalog
from ratchet.errors import TrainingFailed
from ratchet.source_archive import Archive, installed
from ratchet.wheels import ensure

from tests.fakes import MemoryStore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {
        "ratchet/__init__.py": "",
        "ratchet/keys.py": "one = 1\n",
        "ratchet/__pycache__/keys.cpython-312.pyc": "bytecode",
        "pipelines/returns/train.py": "print('trains')\n",
        "pipelines/returns/pipeline.yaml": "name: returns\n",
        "numpy/__init__.py": "",
        "wheels/onnx-1.0-py3-none-any.whl": "wheel",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def names(body: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        return archive.getnames()


def test_the_archive_holds_both_packages_and_shipped_wheels_but_no_bytecode_and_nothing_else(root: Path) -> None:
    assert names(Archive(root).build()) == [
        "pipelines/returns/pipeline.yaml",
        "pipelines/returns/train.py",
        "ratchet/__init__.py",
        "ratchet/keys.py",
        "wheels/onnx-1.0-py3-none-any.whl",
    ]


def test_the_same_files_give_the_same_bytes_and_another_content_another_key(root: Path) -> None:
    first = Archive(root)
    body, digest = first.build(), first.digest
    for path in root.rglob("*.py"):
        path.touch()
    assert Archive(root).build() == body
    assert Archive(root).digest == digest
    (root / "ratchet" / "keys.py").write_text("one = 2\n")
    assert Archive(root).digest != digest


def test_it_is_written_once(root: Path) -> None:
    store = MemoryStore()
    key = Archive(root).publish(store)
    assert Archive(root).publish(store) == key
    assert store.writes == [key]
    assert key.startswith("code/")
    assert key.endswith("/source.tar.gz")


def test_the_installed_product_brings_every_training_script_and_its_pipeline() -> None:
    found = names(Archive(installed()).build())
    scripts = {f"pipelines/{name}/{file}" for name in catalog.names() for file in ("train.py", "pipeline.yaml")}
    assert {*scripts, "ratchet/wheels.py"} <= set(found)


def test_nothing_is_installed_where_nothing_is_missing(tmp_path: Path) -> None:
    assert ensure({"json": "json"}, tmp_path, run=lambda command: pytest.fail("pip was called")) == []


def test_what_is_missing_is_installed_from_the_wheels_without_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "thing.whl").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    commands: list[list[str]] = []

    def pip(command: object) -> int:
        commands.append(list(command))  # type: ignore[call-overload]
        (tmp_path / "site" / "thing_that_is_new.py").touch()
        return 0

    assert ensure({"thing_that_is_new": "thing==1"}, tmp_path, run=pip) == ["thing==1"]
    assert commands[0][-4:] == ["--no-index", "--find-links", str(tmp_path), "thing==1"]


def test_without_wheels_the_index_is_asked_and_what_stays_missing_is_named(tmp_path: Path) -> None:
    commands: list[list[str]] = []

    def pip(command: object) -> int:
        commands.append(list(command))  # type: ignore[call-overload]
        return 1

    with pytest.raises(TrainingFailed, match="lacks no_such_module_here"):
        ensure({"no_such_module_here": "nothing==1"}, tmp_path, run=pip)
    assert "--no-index" not in commands[0]
