"""What a step asks of its ports: they are handed over wrapped, and every call is noted by the kind of its object."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from tests.faults.rights_kinds import kind_of
from tests.faults.simulator import functions, interleaving, world

READERS = {"store", "reader", "files"}
OF_THE_BUCKET = {"list"}
"""Calls whose key is a prefix."""
PURE = {"uri", "key_of", "link", "check"}
"""Calls that ask nothing."""


@dataclass(frozen=True)
class Call:
    """A call of a port's method, or the making of the port (no method); of the store, the kind of object it is about.

    `options` names the conditions and tags that go along.
    """

    port: str
    method: str = ""
    kind: str = ""
    options: frozenset[str] = frozenset()


Calls = dict[str, set[Call]]
"""By step."""


class Noted:
    """Ports as `ratchet.wiring` makes them for one step, whose use is noted in `calls`."""

    def __init__(self, ports: Any, step: str, calls: Calls) -> None:
        self.bare, self._step, self._calls = ports, step, calls

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def port(*about: Any) -> Any:
            self._note(Call(name))
            made = getattr(self.bare, name)(*about)
            # An address is no port.
            return made if isinstance(made, str) else NotedPort(made, name, self._note)

        return port

    def _note(self, call: Call) -> None:
        self._calls[self._step].add(call)


class NotedPort:
    """One port whose calls are noted."""

    def __init__(self, port: Any, name: str, note: Callable[[Call], None]) -> None:
        self._port, self._name, self._note = port, name, note

    def __getattr__(self, method: str) -> Any:
        value = getattr(self._port, method)
        if not callable(value) or method in PURE:
            return value

        def called(*arguments: Any, **options: Any) -> Any:
            self._note(_call(self._name, method, arguments, options))
            return value(*arguments, **options)

        return called


def _call(port: str, method: str, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Call:
    if port not in READERS:
        return Call(port, method)
    key = arguments[1] if method == "upload" else arguments[0]
    given = frozenset(
        name for name, value in options.items() if value and name in {"if_match", "if_none_match", "tags"}
    )
    # Whose names are listed matters where files may lie in another bucket.
    kind = kind_of(key) if port == "files" or method not in OF_THE_BUCKET else ""
    return Call(port, method, kind, given)


def explored(seeds: range) -> Calls:
    """What steps ask in these interleavings of the simulator (within `simulated` there)."""
    calls: Calls = defaultdict(set)
    with _noted(calls):
        for seed in seeds:
            interleaving.explore(seed)
    return calls


@contextmanager
def _noted(calls: Calls) -> Iterator[None]:
    """Wraps the ports that are handed to steps, and those that a scorer makes for itself."""
    step, ports = functions.step, world.Ports

    def noting(name: str) -> Any:
        called = step(name)
        return lambda event, given, clock: called(event, Noted(_bare(given), name, calls), clock)

    def of_scorer(*about: Any) -> Noted:
        return Noted(ports(*about), "score", calls)

    with mock.patch.object(functions, "step", noting), mock.patch.object(world, "Ports", of_scorer):
        yield


def _bare(ports: Any) -> Any:
    return ports.bare if isinstance(ports, Noted) else ports
