"""Where seeded rows go: straight into PostgreSQL by COPY, or through the REST API of any Supabase.

Both replace what the tables hold. COPY does so in one transaction; REST cannot, so it writes the marker last.
"""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from ratchet.errors import SourceMismatch, SourceRefused, Unavailable

from local.seeding.strategies import TARGETS
from local.seeding.tables import WINDOW, Tables, instant

_BATCH = 250
_OUTPUTS = {
    "base_ts": "timestamptz",
    "text_type_a": "text",
    "text_type_b": "text",
    "embedding_a": "float4[]",
    "embedding_b": "float4[]",
}
_SIMULATIONS = {"ts": "timestamptz"} | dict.fromkeys(TARGETS, "float8")
_TEXTS = ("The last ten minutes before {}.", "The ten days before {}.")


@dataclass(frozen=True)
class Marker:
    """Whether the tables hold synthetic data, and what they were made from."""

    synthetic: bool
    source: str


class Destination(Protocol):
    """Port: replaces the two tables and the marker."""

    def replace(self, tables: Tables, marker: Marker) -> None:
        """Have exactly these rows in the tables. Raises SourceRefused, SourceMismatch, Unavailable."""


@dataclass(frozen=True)
class Copy:
    """PostgreSQL by COPY; `db_url` is a libpq URL of the tables' owner."""

    db_url: str

    def replace(self, tables: Tables, marker: Marker) -> None:
        """See `Destination`; one transaction, so a failure leaves the old rows."""
        import psycopg

        try:
            with psycopg.connect(self.db_url, connect_timeout=10) as connection, connection.cursor() as cursor:
                cursor.execute("truncate ai_outputs, simulations_10m, predictions, ratchet_seed")
                _copy(cursor, "ai_outputs", _OUTPUTS, _outputs(tables))
                _copy(cursor, "simulations_10m", _SIMULATIONS, _simulations(tables))
                told = (marker.synthetic, marker.source)
                cursor.execute("insert into ratchet_seed (synthetic, source) values (%s, %s)", told)
        except psycopg.errors.UndefinedTable as error:
            raise SourceMismatch(f"{_first(error)}: apply local/supabase/schema.sql to that database.") from error
        except psycopg.Error as error:
            raise Unavailable(f"The database cannot be seeded: {_first(error)}. Is it running?") from error


@dataclass(frozen=True)
class Rest:
    """Any Supabase through its REST API, with a key that may write."""

    url: str
    key: str

    def replace(self, tables: Tables, marker: Marker) -> None:
        """See `Destination`. The marker goes first to nothing and comes last, so half a seed carries none."""
        for table, column in (
            ("ratchet_seed", "only_row"),
            ("predictions", "base_ts"),
            ("ai_outputs", "base_ts"),
            ("simulations_10m", "ts"),
        ):
            self._send("DELETE", f"{table}?{column}=not.is.null", None)
        self._upsert("ai_outputs", _documents(_OUTPUTS, _outputs(tables)))
        self._upsert("simulations_10m", _documents(_SIMULATIONS, _simulations(tables)))
        self._upsert("ratchet_seed", iter([{"synthetic": marker.synthetic, "source": marker.source}]))

    def _upsert(self, table: str, rows: Iterator[dict[str, Any]]) -> None:
        batch = []
        for row in rows:
            batch.append(row)
            if len(batch) == _BATCH:
                self._send("POST", table, batch)
                batch = []
        if batch:
            self._send("POST", table, batch)

    def _send(self, method: str, path: str, body: list[dict[str, Any]] | None) -> None:
        """One request; an answer that is no success becomes the named error."""
        headers = {"apikey": self.key, "Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        headers["Prefer"] = "resolution=merge-duplicates,return=minimal"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/rest/v1/{path}", data=data, headers=headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=60):  # noqa: S310
                return
        except urllib.error.HTTPError as error:
            table = path.partition("?")[0]
            if error.code in {401, 403}:
                raise SourceRefused(f"{self.url} refuses the key for {table}: use the service role's key.") from error
            if error.code in {400, 404}:
                raise SourceMismatch(
                    f"{self.url} has no table {table} as Ratchet seeds it: apply local/supabase/schema.sql to it."
                ) from error
            raise Unavailable(f"{self.url} answered {error.code} while seeding {table}: try again.") from error
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            raise Unavailable(f"{self.url} cannot be reached ({error}): check the address and try again.") from error


def _outputs(tables: Tables) -> Iterator[tuple[Any, ...]]:
    for base, a, b in zip(tables.starts.tolist(), tables.embedding_a, tables.embedding_b, strict=True):
        at = instant(base)
        text_a, text_b = (text.format(at.isoformat()) for text in _TEXTS)
        yield at, text_a, text_b, a.tolist(), b.tolist()


def _simulations(tables: Tables) -> Iterator[tuple[Any, ...]]:
    for start, values in zip(tables.outcomes.tolist(), tables.returns, strict=True):
        yield instant(start + WINDOW), *values.tolist()


def _copy(cursor: Any, table: str, columns: dict[str, str], rows: Iterator[tuple[Any, ...]]) -> None:
    with cursor.copy(f"copy {table} ({', '.join(columns)}) from stdin (format binary)") as copy:
        copy.set_types(list(columns.values()))
        for row in rows:
            copy.write_row(row)


def _documents(columns: dict[str, str], rows: Iterator[tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    """Rows as JSON objects; the first column is an instant."""
    for at, *values in rows:
        yield dict(zip(columns, [at.isoformat(), *values], strict=True))


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
