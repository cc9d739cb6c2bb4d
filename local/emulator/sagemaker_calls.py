"""What all calls of the emulated SageMaker share: how they are refused and how what they list is paged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Request = dict[str, Any]
Call = Callable[[Request], dict[str, Any]]

_PAGE = 100


class Refused(Exception):
    """A call answered with an error: `code` is the API's name for it."""

    def __init__(self, code: str, message: str, status: int = 400, **members: Any) -> None:
        """`code` as in the service model (`ResourceInUse`) or `ValidationException`; `members` are its others."""
        super().__init__(message)
        self.code, self.status, self.members = code, status, members


def refuse_unbuilt(call: str, request: Mapping[str, Any], members: Iterable[str]) -> None:
    """Refuse by name what SageMaker takes and the laptop target does not build; empty values count as left out."""
    for member in members:
        if request.get(member):
            message = f"{member} of {call} is not implemented by the laptop target's SageMaker."
            raise Refused("ValidationException", message)


def page(found: list[dict[str, Any]], request: Request, by: Mapping[str, str]) -> tuple[list[dict[str, Any]], Request]:
    """One page of `found` and what says that more follow; `by` has the member behind each SortBy."""
    member = by.get(request.get("SortBy", ""), "CreationTime")
    found = sorted(found, key=lambda each: each[member], reverse=request.get("SortOrder", "Descending") == "Descending")
    start = int(request.get("NextToken", 0))
    end = start + int(request.get("MaxResults", _PAGE))
    return found[start:end], {"NextToken": str(end)} if end < len(found) else {}
