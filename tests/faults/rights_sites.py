"""Every place in the product that asks a port for something, and whether it has run: what never ran, nobody noted."""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import NamedTuple

from ratchet.endpoint.hosting import Hosting
from ratchet.executions import Executions, Machine
from ratchet.registry.approval import Tasks
from ratchet.registry.asking import Topic
from ratchet.registry.package import Registry
from ratchet.store import ObjectStore
from ratchet.tabular.feature_group import FeatureGroup
from ratchet.training import TrainingJobs

from tests.emulated import CHECKOUT
from tests.faults.rights_called import PURE

ROOTS = (CHECKOUT / "layers" / "common" / "ratchet", CHECKOUT / "functions")
BEHIND_PORTS = ("adapters", "wiring.py", "trees")
"""Below ROOTS: what the ports are made of, and what runs in a training job."""
PORTS = (ObjectStore, Executions, TrainingJobs, Machine, Registry, Tasks, Topic, Hosting, FeatureGroup)
METHODS = {name for port in PORTS for name, _ in inspect.getmembers(port, inspect.isfunction)} - {"__init__", *PURE}
STORE = re.compile(r"(store|files)(\([\w.]*\))?$")
"""How what is a store ends, by the names that the product has for one, or what makes one."""
TOOL = sys.monitoring.COVERAGE_ID


class Site(NamedTuple):
    """A place in a file, by its first and last line."""

    file: str
    first: int
    last: int
    text: str

    def __str__(self) -> str:
        return f"{Path(self.file).relative_to(CHECKOUT)}:{self.first} {self.text}"


def sites() -> Iterator[Site]:
    """Where a method of a port is called, or the store handed on to somebody who will."""
    for path in (path for root in ROOTS for path in root.rglob("*.py")):
        if not set(path.parts) & set(BEHIND_PORTS):
            for node in ast.walk(ast.parse(path.read_text())):
                if _asks(node):
                    assert isinstance(node, ast.expr)
                    yield Site(str(path), node.lineno, node.end_lineno or 0, ast.unparse(node))


def _asks(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return any(_is_store(argument) for argument in [*node.args, *(each.value for each in node.keywords)])
    if not isinstance(node, ast.Attribute) or node.attr not in METHODS:
        return False
    # Dictionaries have this one as well.
    return node.attr != "get" or _is_store(node.value)


def _is_store(node: ast.expr) -> bool:
    return STORE.search(ast.unparse(node)) is not None


@contextmanager
def watched() -> Iterator[set[tuple[str, int]]]:
    """The lines below ROOTS that run within the block."""
    lines: set[tuple[str, int]] = set()
    below = tuple(str(root) for root in ROOTS)

    def ran(code: CodeType, line: int) -> object:
        if code.co_filename.startswith(below):
            lines.add((code.co_filename, line))
        return sys.monitoring.DISABLE

    sys.monitoring.use_tool_id(TOOL, "rights")
    sys.monitoring.register_callback(TOOL, sys.monitoring.events.LINE, ran)
    sys.monitoring.set_events(TOOL, sys.monitoring.events.LINE)
    sys.monitoring.restart_events()
    try:
        yield lines
    finally:
        sys.monitoring.set_events(TOOL, 0)
        sys.monitoring.free_tool_id(TOOL)
