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
    fields = _fields(kind)
    if unknown := sorted(map(str, document.keys() - fields.keys())):
        return f"it has {unknown[0]!r:.80}"
    for name, (accepted, needed) in fields.items():
        if name not in document:
            if needed:
                return f"it lacks {name}"
        elif type(document[name]) not in accepted:
            return f"its {name} is of another type"
    return next((f"its {name} is no instant" for name in instants if not _is_instant(document.get(name))), None)


@cache
def _fields(kind: type) -> dict[str, tuple[set[type], bool]]:
    """The types that each field may have, a dictionary's own being its caller's business, and whether it must be there.

    A field without a default is one that the class itself knows nothing of.
    """
    hints = get_type_hints(kind)
    accepted = {name: {get_origin(each) or each for each in _members(hint)} for name, hint in hints.items()}
    return {name: (types, not hasattr(kind, name)) for name, types in accepted.items()}


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
