"""A declaration, such as `pipeline.yaml`, as frozen dataclasses: every missing, unknown and mistyped field at once.

Of a union of dataclasses the one is meant whose `kind` the declaration names. Documents of Ratchet's own are the
business of `ratchet.records`, which refuses them at the first fault.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints


def declared(kind: type, document: Any, where: str, faults: list[str]) -> Any:
    """The dataclass `kind` of a mapping; what is wrong goes to `faults`, told with `where` it stands."""
    if not isinstance(document, Mapping):
        faults.append(f"{where} must be a mapping.")
        return None
    hints, known = get_type_hints(kind), {each.name: each for each in fields(kind)}
    needed = [name for name, each in known.items() if each.default is MISSING and each.default_factory is MISSING]
    faults += [f"{where}: '{name}' is unknown." for name in document if name not in known]
    faults += [f"{where}: '{name}' is missing." for name in needed if name not in document]
    given = [name for name in known if name in document]
    values = {name: _value(hints[name], document[name], f"{where}: {name}", faults) for name in given}
    return None if faults else kind(**values)


def _value(hint: Any, value: Any, where: str, faults: list[str]) -> Any:
    if isinstance(hint, UnionType) and all(map(is_dataclass, get_args(hint))):
        return _one_of(get_args(hint), value, where, faults)
    if is_dataclass(hint):
        return declared(hint, value, where, faults)  # type: ignore[arg-type]
    if not _is(hint, value):
        faults.append(f"{where} is {value!r}, which is no {getattr(hint, '__name__', hint)}.")
        return value
    return _members(hint, value, where, faults)


def _one_of(kinds: tuple[Any, ...], value: Any, where: str, faults: list[str]) -> Any:
    """The dataclass whose `kind` is the one that is named."""
    named = {name: kind for kind in kinds for name in get_args(get_type_hints(kind)["kind"])}
    kind = named.get(str(value.get("kind"))) if isinstance(value, Mapping) else None
    if kind is None:
        faults.append(f"{where}: kind is not one of {', '.join(named)}.")
        return None
    return declared(kind, value, where, faults)


def _members(hint: Any, value: Any, where: str, faults: list[str]) -> Any:
    """The parts of a list or a mapping, each of its own type."""
    if isinstance(value, dict):
        _, of = get_args(hint)
        return {name: _value(of, each, f"{where}.{name}", faults) for name, each in value.items()}
    if isinstance(value, list):
        (of,) = get_args(hint)
        return [_value(of, each, f"{where}[{index}]", faults) for index, each in enumerate(value)]
    return value


def _is(hint: Any, value: Any) -> bool:
    """Whether a value is of a type, the parts of lists and mappings aside; whole numbers are floats, truths neither."""
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if hint is Any:
        return True
    if isinstance(hint, UnionType):
        return any(_is(member, value) for member in get_args(hint))
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else get_origin(hint) or hint)
