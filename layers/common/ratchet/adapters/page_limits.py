"""Page sizes that shrink where the server cannot read a page within its time: one rule for every source."""

from collections.abc import Callable

from ratchet.errors import Unavailable
from ratchet.extraction.source import Page

SMALLEST_PAGE = 20


class StatementTimeout(Exception):
    """PostgreSQL cancelled the query (57014). Internal: the page is halved."""


class PageLimits:
    """How many rows of each table a page may have; what has shrunk stays so for the pages that follow."""

    def __init__(self) -> None:
        """No table is limited before it has timed out."""
        self._limits: dict[str, int] = {}

    def read(self, name: str, limit: int, page: Callable[[int], Page], remedy: str) -> Page:
        """The page that `page` reads for a number of rows, at most `limit`, halved until the server manages.

        Raises Unavailable with the remedy when it does not manage even the smallest.
        """
        while True:
            rows = min(limit, self._limits.get(name, limit))
            try:
                return page(rows)
            except StatementTimeout as error:
                if rows <= SMALLEST_PAGE:
                    raise Unavailable(
                        f"The table {name} takes longer than a statement may to read even {rows} rows: {remedy}."
                    ) from error
                self._limits[name] = rows // 2
