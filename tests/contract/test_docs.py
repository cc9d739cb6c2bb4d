"""The documentation's commands exist, its files are there, and nothing is left to be filled in."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.app import main
from tests.contract.application import ROOT

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
LINK = re.compile(r"`((?:docs|cli|local|layers|functions|statemachines|tests|bench|quality|tools)/[\w/.<>-]*)`")


def commands(program: str) -> Iterator[str]:
    for page in PAGES:
        for block in BLOCK.findall(page.read_text()):
            for line in block.splitlines():
                for part in re.split(r"&&|\$\(|\)", line.partition(" #")[0]):
                    if part.strip().startswith(f"{program} "):
                        yield part.strip()


def test_the_readme_fits_its_space_and_is_complete() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    assert not re.findall(r"@[A-Z_]{3,}@|TODO|TBD", text)


@pytest.mark.parametrize("line", sorted(set(commands("ratchet"))))
def test_a_documented_command_parses(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line)[1:]
    for word in words:
        if re.fullmatch(r"[\w-]+\.(csv|jsonl)", word):
            (tmp_path / word).touch()
    name, arguments = words[0], words[1:]
    main.commands[name].make_context(name, arguments)


@pytest.mark.parametrize("line", sorted(set(commands("make"))))
def test_a_documented_target_is_in_the_makefile(line: str) -> None:
    assert re.search(rf"^{line.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_names_only_files_that_exist(page: Path) -> None:
    named = {name for name in LINK.findall(page.read_text()) if "<" not in name}
    assert {name for name in named if not (ROOT / name).exists() and not list(ROOT.glob(f"{name}*"))} == set()


def test_the_documented_commands_are_found_at_all() -> None:
    assert len(set(commands("ratchet"))) >= 5
    assert set(commands("make")) >= {"make run", "make test"}
