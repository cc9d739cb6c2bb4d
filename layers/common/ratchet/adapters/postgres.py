"""`Source` straight from PostgreSQL: pages by binary COPY, a fraction of the REST interface's cost. Reads only.

Settings are made per transaction, since a connection pooler in front passes no others on.
"""

import random
import time
from collections.abc import Callable
from datetime import date, datetime
from typing import TypeVar

import psycopg
from psycopg import sql

from ratchet.adapters import copy_binary
from ratchet.adapters.page_limits import PageLimits, StatementTimeout
from ratchet.errors import BadConfiguration, MissingTable, RatchetError, SourceMismatch, SourceRefused, Unavailable
from ratchet.extraction.source import Marker, Page, pages
from ratchet.sources import Table

ATTEMPTS = 5
FIRST_DELAY = 0.5
LONGEST_DELAY = 10.0
CONNECT_SECONDS = 10
STATEMENT_MILLISECONDS = 30_000
MARKER = "ratchet_seed"
REFUSALS = ("authentication failed", "no password supplied", "no pg_hba.conf entry", "user not found", "role ")
Answer = TypeVar("Answer")
Connection = psycopg.Connection[tuple[object, ...]]


class PostgresSource:
    """Reads tables of one database. Errors: those of the port `Source`."""

    def __init__(self, db_url: str, sleep: Callable[[float], None] = time.sleep) -> None:
        """For a `postgresql://` URL or connection string. Raises BadConfiguration when it is neither."""
        self._password = _password(db_url)
        self._db_url = db_url
        self._sleep = sleep
        self._connection: Connection | None = None
        self._limits = PageLimits()

    def close(self) -> None:
        """Closes the connection."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def page(self, name: str, table: Table, *, after: str | None, before: str | None = None, limit: int) -> Page:
        """See `Source`. A page that takes longer than the statement time-out is halved, for the pages after it too."""

        def page(rows: int) -> Page:
            return self._ask(name, lambda connection: _copy(connection, name, table, after, before, rows))

        return self._limits.read(name, limit, page, f"create an index on {table.key}")

    def newest(self, name: str, table: Table, *, before: str | None = None) -> str | None:
        """See `Source`."""
        keys = Table(table.key, {table.key: "timestamp"})

        def page(rows: int) -> Page:
            return self._ask(name, lambda connection: _copy(connection, name, keys, None, before, rows, last=True))

        return self._limits.read(name, 1, page, f"create an index on {table.key}").cursor

    def counts(self, name: str, table: Table, *, start: datetime, end: datetime) -> dict[date, int]:
        """See `Source`."""
        query = sql.SQL(
            "select (k at time zone 'UTC')::date, count(*) from (select {key} k from {table}) t "
            "where k >= %s and k < %s group by 1"
        ).format(key=sql.Identifier(table.key), table=sql.Identifier(name))
        rows = self._select(name, query, (start, end))
        return {day: count for day, count in rows if isinstance(day, date) and isinstance(count, int)}

    def has_rows(self, name: str, table: Table) -> bool:
        """See `Source`."""
        return next(pages(self, name, table, after=None, limit=1)).read > 0

    def filtered(self, name: str) -> bool:
        """See `Source`; the server itself says so."""
        query = sql.SQL("select row_security_active({})").format(sql.Literal(_quoted(name)))
        return bool(self._select(name, query)[0][0])

    def marker(self) -> Marker:
        """See `Source`."""
        if not self._select(MARKER, sql.SQL("select 1 where to_regclass({}) is not null").format(sql.Literal(MARKER))):
            return Marker()
        rows = self._select(MARKER, sql.SQL("select synthetic, source from {} limit 1").format(sql.Identifier(MARKER)))
        return Marker(bool(rows[0][0]), str(rows[0][1])) if rows else Marker()

    def _select(self, name: str, query: sql.Composed, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        return self._ask(name, lambda connection: connection.execute(query, values).fetchall())

    def _ask(self, name: str, read: Callable[[Connection], Answer]) -> Answer:
        """What `read` answers within a read-only transaction; tried again, on a new connection, while that may help."""
        trouble = ""
        for attempt in range(ATTEMPTS):
            try:
                connection = self._connection = self._connection or self._connect()
                with connection.transaction():
                    connection.execute(f"set local statement_timeout = {STATEMENT_MILLISECONDS}")
                    return read(connection)
            except psycopg.Error as error:
                trouble = self._trouble(error, name)
                self.close()
            if attempt + 1 < ATTEMPTS:
                self._sleep(min(LONGEST_DELAY, FIRST_DELAY * 2**attempt) * random.uniform(0.5, 1))  # noqa: S311
        raise Unavailable(
            f"The database did not deliver table {name} in {ATTEMPTS} attempts: {trouble}. Check db_url in the secret "
            "and the network's way there; then run again."
        )

    def _connect(self) -> Connection:
        connection = psycopg.connect(
            self._db_url, connect_timeout=CONNECT_SECONDS, application_name="ratchet", prepare_threshold=None
        )
        connection.read_only = True
        return connection

    def _trouble(self, error: psycopg.Error, name: str) -> str:
        """Why another attempt may help; raises the named error where it cannot."""
        said = str(error).replace(self._password, "***") if self._password else str(error)
        text = " ".join(said.split())[:200]
        state = error.sqlstate or ""
        if state == "57014":
            raise StatementTimeout from error
        final = _final(state, text, name)
        if final:
            raise final from error
        return text


def _password(db_url: str) -> str:
    """The password in a connection string; what follows an unquoted @ or / in it would be taken for host and name."""
    try:
        parts = psycopg.conninfo.conninfo_to_dict(db_url)
    except psycopg.ProgrammingError:
        # Which quotes what it does not understand, the password perhaps.
        raise BadConfiguration(
            "The secret's db_url is no connection string; write it as postgresql://user:password@host:5432/postgres."
        ) from None
    if "@" in f"{parts.get('host')}{parts.get('dbname')}":
        raise BadConfiguration("The password in the secret's db_url has an @ or a /: write them as %40 and %2F.")
    return str(parts.get("password") or "")


def _final(state: str, text: str, name: str) -> RatchetError | None:
    if state == "42501" or state.startswith("28") or (not state and any(part in text for part in REFUSALS)):
        return SourceRefused(f"The database refuses table {name} ({text}): check db_url in the secret, grant select.")
    if state == "42P01":
        return MissingTable(f"The database has no table {name} ({text}): create it, or correct pipeline.yaml.")
    if state[:2] in {"42", "22", "25", "3D", "0A"} or (not state and "does not exist" in text):
        return SourceMismatch(f"Table {name} cannot be read ({text}): check db_url in the secret and pipeline.yaml.")
    return None


def _copy(
    connection: Connection,
    name: str,
    table: Table,
    after: str | None,
    before: str | None,
    limit: int,
    *,
    last: bool = False,
) -> Page:
    """The first rows between two keys, or the last ones, where rows without a key would come first."""
    casts = _casts(connection, name, table)
    key = sql.Identifier(table.key)
    bounds = [sql.SQL("{} is not null").format(key) if last else sql.SQL("true")]
    bounds += [sql.SQL("{} > {}::timestamptz").format(key, sql.Literal(after))] if after is not None else []
    bounds += [sql.SQL("{} < {}::timestamptz").format(key, sql.Literal(before))] if before is not None else []
    query = sql.SQL("copy (select {} from {} where {} order by {} {} limit {}) to stdout (format binary)").format(
        sql.SQL(", ").join(sql.Identifier(column) + sql.SQL(f"::{casts[column]}") for column in table.columns),
        sql.Identifier(name),
        sql.SQL(" and ").join(bounds),
        key,
        sql.SQL("desc" if last else "asc"),
        sql.Literal(limit),
    )
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        body = b"".join(copy)
    return copy_binary.decode(body, table, casts)


def _casts(connection: Connection, name: str, table: Table) -> dict[str, str]:
    found = _types(connection, name)
    missing = [column for column in table.columns if column not in found]
    if missing:
        raise SourceMismatch(f"Table {name} has no column {', '.join(missing)}: add it, or correct pipeline.yaml.")
    return {column: copy_binary.cast(name, column, kind, found[column]) for column, kind in table.columns.items()}


def _types(connection: Connection, name: str) -> dict[str, str]:
    """The types of a table's columns by name, which stay so until the transaction ends: having read of it locks them.

    They are asked for with each page, since a process may outlive them, and a cast would hide that they have changed.
    """
    query = sql.SQL(
        "select from {} limit 0; "
        "select a.attname, t.typname from pg_attribute a join pg_type t on t.oid = a.atttypid "
        "where a.attrelid = to_regclass({}) and a.attnum > 0 and not a.attisdropped"
    )
    cursor = connection.execute(query.format(sql.Identifier(name), sql.Literal(_quoted(name))))
    cursor.nextset()
    return {str(column): str(kind) for column, kind in cursor.fetchall()}


def _quoted(name: str) -> str:
    return sql.Identifier(name).as_string(None)
