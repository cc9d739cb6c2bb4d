"""Documents as frozen dataclasses: every field is there and of its declared type, or the document is not Ratchet's."""

from functools import cache
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ratchet.errors import BadInput, ForeignDocument
from ratchet.instants import parse_instant

Record = TypeVar("Record")


def record(kind: type[Record], document: Any, key: str, *, instants: tuple[str, ...] = ()) -> Record:
    """The record in a document; the fields named in `instants` hold one where they are not null.

    Nested dataclasses are the caller's to make first. Raises ForeignDocument naming the key and the first fault.
    """
    fault = _fault(kind, document, instants)
    if fault:
        raise ForeignDocument(f"{key} is no {kind.__name__.lower()} of Ratchet's ({fault}); move it away.")
    return kind(**document)


def _fault(kind: type, document: Any, instants: tuple[str, ...]) -> str | None:
    if not isinstance(document, dict):
        return "it is no JSON object"
    types = _types(kind)
    if unknown := sorted(map(str, document.keys() - types.keys())):
        return f"it has {unknown[0]!r:.80}"
    for name, accepted in types.items():
        if name not in document and not hasattr(kind, name):
            return f"it lacks {name}"
        if type(document.get(name)) not in accepted and name in document:
            return f"its {name} is of another type"
        if name in instants and not _is_instant(document.get(name)):
            return f"its {name} is no instant"
    return None


@cache
def _types(kind: type) -> dict[str, tuple[type, ...]]:
    """The types that each field may have; a dictionary's own are its caller's business."""
    hints = get_type_hints(kind)
    return {name: tuple(get_origin(each) or each for each in _members(hint)) for name, hint in hints.items()}


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if isinstance(hint, UnionType) else (hint,)


def _is_instant(value: Any) -> bool:
    if value is None:
        return True
    try:
        parse_instant(value)
    except BadInput:
        return False
    return True
