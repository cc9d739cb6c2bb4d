"""`Source` over Supabase's REST interface.

Queries are built by the `supabase` client, as its users know it (it costs 270 ms to import, half of that `postgrest`,
once an hour); its `.execute()` is left out, since it makes a Python object of every number: the raw body goes to a
strict decoder. HTTP/1.1: pages come one after the other, so multiplexing would only cost.
"""

import base64
import json
import time
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import httpx
import numpy as np
import simdjson
from supabase import Client, ClientOptions, create_client

from ratchet.adapters.page_limits import PageLimits
from ratchet.adapters.project import require
from ratchet.adapters.rest import DEADLINE_SECONDS, Answer, Sleep, Transport, connections
from ratchet.adapters.rows import decode_page, parse
from ratchet.errors import MissingTable
from ratchet.extraction.source import MICROSECOND, Marker, Page, pages
from ratchet.instants import iso
from ratchet.sources import Table

COUNTED_ROWS = 1000
MARKER = "ratchet_seed"
POLICY_ROLES = {"anon", "authenticated"}


class SupabaseSource:
    """Reads tables of one project. Errors: those of the port `Source`."""

    def __init__(
        self, url: str, key: str, sleep: Sleep = time.sleep, deadline_seconds: float = DEADLINE_SECONDS
    ) -> None:
        """For the project at `url` and its service_role key; an answer must be whole by the deadline.

        Raises BadConfiguration for what cannot be a url or a key.
        """
        require(url, key)
        self._key = key
        self._http = connections(deadline_seconds)
        self._client = _client(url, key, self._http)
        self._transport = Transport(url, key, sleep)
        self._limits = PageLimits()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def page(self, name: str, table: Table, *, after: str | None, before: str | None = None, limit: int) -> Page:
        """See `Source`. A page that the server finds too costly is halved, for the pages that follow too."""
        return self._limited(name, table, limit, lambda rows: self._page(name, table, after, before, rows))

    def newest(self, name: str, table: Table, *, before: str | None = None) -> str | None:
        """See `Source`."""
        keys = _keys_alone(table)
        return self._limited(name, keys, 1, lambda rows: self._page(name, keys, None, before, rows, last=True)).cursor

    def counts(self, name: str, table: Table, *, start: datetime, end: datetime) -> dict[date, int]:
        """See `Source`. Keys alone are read and counted: aggregates are switched off in Supabase's default settings."""
        days: Counter[date] = Counter()
        after, before = iso(start - MICROSECOND), iso(end)
        for page in pages(self, name, _keys_alone(table), after=after, before=before, limit=COUNTED_ROWS):
            found, counts = np.unique(page.columns[table.key].astype("datetime64[D]"), return_counts=True)
            days.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
            days.update(instant.date() for instant, _ in page.rejected if instant)
        return days

    def has_rows(self, name: str, table: Table) -> bool:
        """See `Source`."""
        return next(pages(self, name, table, after=None, limit=1)).read > 0

    def filtered(self, name: str) -> bool:
        """See `Source`; the key tells its role. One that does not is taken for a secret key."""
        return self._key.startswith("sb_publishable_") or _role(self._key) in POLICY_ROLES

    def marker(self) -> Marker:
        """See `Source`."""
        try:
            rows = self._ask(MARKER, lambda: self._client.table(MARKER).select("synthetic", "source").limit(1), _rows)
        except MissingTable:
            return Marker()
        return Marker(bool(rows[0]["synthetic"]), str(rows[0]["source"])) if rows else Marker()

    def _limited(self, name: str, table: Table, limit: int, page: Callable[[int], Page]) -> Page:
        remedy = f"create an index on {table.key}, or raise the role's statement_timeout"
        return self._limits.read(name, limit, page, remedy)

    def _page(
        self, name: str, table: Table, after: str | None, before: str | None, limit: int, *, last: bool = False
    ) -> Page:
        """The first rows between two keys, or the last ones, where rows without a key would come first."""

        def build() -> Any:
            query = self._client.table(name).select(*table.columns)
            query = query.gt(table.key, after) if after is not None else query
            query = query.lt(table.key, before) if before is not None else query
            query = query.not_.is_(table.key, "null") if last else query
            return query.order(table.key, desc=last).limit(limit)

        return self._ask(name, build, lambda body: decode_page(body, name, table))

    def _ask(self, name: str, build: Callable[[], Any], read: Callable[[bytes], Answer]) -> Answer:
        def send() -> httpx.Response:
            response: httpx.Response = build().request.send(httpx.Headers())
            return response

        return self._transport.ask(send, lambda response: read(response.content), f"table {name}")


def _keys_alone(table: Table) -> Table:
    return Table(table.key, {table.key: "timestamp"})


def _client(url: str, key: str, http: httpx.Client) -> Client:
    options = ClientOptions(
        auto_refresh_token=False, persist_session=False, postgrest_client_retry=False, httpx_client=http
    )
    return create_client(url, key, options)


def _rows(body: bytes) -> list[dict[str, Any]]:
    document = parse(body)
    rows: Any = document.as_list() if isinstance(document, simdjson.Array) else document
    return list(rows)


def _role(key: str) -> str | None:
    """The role in a key that is a JSON Web Token; its signature is the server's business."""
    parts = key.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    return claims.get("role") if isinstance(claims, dict) else None
