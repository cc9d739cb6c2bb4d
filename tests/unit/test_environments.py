"""Environments are made once, renewed when their requirements change, and made anew when their making was cut short."""

import sys

import pytest
from ratchet.errors import BadConfiguration, Unavailable

from local import environments, node
from local.environments import Recipe
from local.paths import Paths

EMPTY = Recipe("empty")


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path / ".ratchet")


@pytest.fixture
def requirements(tmp_path):
    file = tmp_path / "empty.txt"
    file.write_text("# nothing\n")
    return file


def test_an_environment_is_made_once_and_again_when_cut_short_or_changed(paths, requirements):
    told = []
    python = environments.ensure(EMPTY, paths, told.append, requirements)
    assert python.exists()
    environments.ensure(EMPTY, paths, told.append, requirements)
    assert len(told) == 1

    (paths.environment("empty") / "ratchet.json").unlink()
    assert not environments.is_current(EMPTY, paths, requirements)
    environments.ensure(EMPTY, paths, told.append, requirements)
    assert len(told) == 2

    requirements.write_text("# nothing else\n")
    assert not environments.is_current(EMPTY, paths, requirements)


@pytest.mark.parametrize("constraint", ["", "ratchet-has-no-such-package<=2"], ids=["the index", "a constraint"])
def test_a_package_that_is_not_to_be_had_is_one_clear_line_and_no_environment(
    paths, requirements, tmp_path, monkeypatch, constraint
):
    (tmp_path / "constraints.txt").write_text(constraint)
    monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "constraints.txt"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    requirements.write_text("ratchet-has-no-such-package==1\n")
    with pytest.raises(Unavailable, match=r"`empty` could not be made: .*lacks it or a constraint.*PIP_INDEX_URL"):
        environments.ensure(EMPTY, paths, lambda line: None, requirements)
    assert not environments.is_current(EMPTY, paths, requirements)


def test_a_missing_python_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BadConfiguration, match=r"Python 3\.99 is not there"):
        environments.find_python("3.99")


def test_this_python_is_found_without_a_path(monkeypatch):
    monkeypatch.setenv("PATH", "")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert environments.find_python(version).exists()


def test_a_missing_requirements_file_says_that_the_checkout_is_incomplete(paths, tmp_path):
    with pytest.raises(BadConfiguration, match="checkout is incomplete"):
        environments.ensure(EMPTY, paths, lambda line: None, tmp_path / "absent.txt")


@pytest.mark.parametrize(("version", "found"), [("v20.1.0", True), ("v18.19.0", False), ("nonsense", False)])
def test_only_a_node_that_is_new_enough_is_taken(tmp_path, version, found):
    for name in ("node", "npm"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {version}\n")
        (tmp_path / name).chmod(0o755)
    assert (node.find_node(str(tmp_path)) is not None) == found


def test_a_machine_without_node_has_none(tmp_path):
    assert node.find_node(str(tmp_path)) is None


def test_packages_that_npm_cannot_install_are_one_clear_line_with_the_remedy(paths, tmp_path):
    paths.prepare()
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code ENOSPC' >&2\nexit 1\n")
    npm.chmod(0o755)
    with pytest.raises(Unavailable, match=r"^Supabase Lite could not be installed: code ENOSPC \(.*the disk.*$"):
        node.ensure_packages(node.Node(tmp_path / "node", (str(npm),)), paths, lambda line: None)
    assert not (paths.environment("supabase") / "installed").exists()


def test_without_a_node_of_its_own_a_machine_gets_the_packaged_one_or_a_clear_line(paths, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(Unavailable, match=r"`node` could not be made: No matching distribution.*PIP_INDEX_URL"):
        node.ensure_node(paths, lambda line: None)
