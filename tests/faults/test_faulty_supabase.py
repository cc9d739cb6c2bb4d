"""The real extraction from the local Supabase behind a proxy that puts faults in.

It lands exactly the rows that PostgreSQL holds, or fails by a name with its remedy and moves nothing; then the next run
lands them.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pytest
from ratchet import catalog, lease
from ratchet.adapters.rest import DEADLINE_SECONDS
from ratchet.adapters.supabase import SupabaseSource
from ratchet.catalog import Pipeline
from ratchet.errors import RatchetError
from ratchet.extraction import watermark
from ratchet.extraction.extract import Extraction, extract
from ratchet.extraction.progress import Work
from ratchet.extraction.source import instant_of
from ratchet.sources import Table
from ratchet.tables import landing_file

from local.supabase import SCHEMA, Supabase
from tests.conformance.test_supabase_local import server  # noqa: F401
from tests.fake_source import EXECUTION
from tests.fakes import Clock, Executions, MemoryStore
from tests.faults import figures
from tests.faults.supabase_proxy import Injection, Proxy, in_front_of
from tests.faulty_rest import Fault

ROWS, PAGE_ROWS = 150, 40
"""Four pages: all of them are held before any lands."""
RETURNS = catalog.load("returns")
START, STEP = datetime(2026, 11, 19, 20, tzinfo=UTC), timedelta(minutes=10)
AI, SIMULATIONS = TABLES = "ai_outputs", "simulations_10m"
ONCE, FOR_EVER = 1.0, math.inf
SLOW_SECONDS = 0.6
"""The deadline of a request where faults are slow."""

EMBEDDINGS = {"base_ts": "timestamp", "embedding_a": "float32[8]", "embedding_b": "float32[8]"}
"""Shorter than the real ones, since hundreds of extractions read them."""
CASTS = {"timestamp": "timestamptz", "float64": "float8", "float32[8]": "float4[]"}

Rows = dict[datetime, tuple[object, ...]]


@dataclass
class Lake:
    """A landing area, the Supabase that fills it, and the hour; each extraction is a run of its own."""

    supabase: Supabase
    page_rows: int = PAGE_ROWS
    store: MemoryStore = field(default_factory=MemoryStore)
    clock: Clock = field(default_factory=lambda: Clock(START + ROWS * STEP))
    runs: int = 0

    @property
    def pipeline(self) -> Pipeline:
        tables = {**RETURNS.source.tables, AI: Table("base_ts", EMBEDDINGS)}
        return replace(RETURNS, source=replace(RETURNS.source, page_rows=self.page_rows, tables=tables))

    def extract(self, *script: Injection) -> Extraction:
        with in_front_of(self.supabase.url, *script) as proxy:
            return self.extract_through(proxy)

    def extract_through(self, proxy: Proxy, deadline: float = DEADLINE_SECONDS) -> Extraction:
        self.runs += 1
        run, keys = f"r{self.runs}", self.pipeline.keys
        taken = lease.take(
            self.store, keys, Executions(), self.clock, execution=EXECUTION, run_ts=run, ttl=timedelta(days=9)
        )
        with closing(SupabaseSource(proxy.url, self.supabase.service_key, lambda _: None, deadline)) as source:
            token = taken.lease.token
            work = Work(self.store, source, self.pipeline, self.clock, run, EXECUTION, token, lambda: False)
            return extract(work, None)

    def held(self, name: str) -> Rows:
        """What PostgreSQL holds, in the declared types."""
        table = self.pipeline.source.tables[name]
        columns = ", ".join(f"{column}::{CASTS[kind]}" for column, kind in table.columns.items())
        with psycopg.connect(self.supabase.db_url) as database:
            rows = database.execute(f"select {columns} from {name}", binary=True).fetchall()
        assert len({at for at, *_ in rows}) == len(rows)
        return {
            at.astimezone(UTC): tuple(np.float32(cell).tobytes() if isinstance(cell, list) else cell for cell in cells)
            for at, *cells in rows
        }

    def landed(self, name: str) -> Rows:
        """What has landed, none of it twice."""
        table, keys = self.pipeline.source.tables[name], self.pipeline.keys
        rows: Rows = {}
        for listed in self.store.list(keys.landing_root(name) + "dt="):
            columns = landing_file.read(table, self.store.objects[listed.key].body, listed.key)
            instants, *values = columns.values()
            for at, *cells in zip(instants, *values, strict=True):
                assert instant_of(at) not in rows
                rows[instant_of(at)] = tuple(
                    cell.tobytes() if isinstance(cell, np.ndarray) else float(cell) for cell in cells
                )
        return rows

    def all_held(self) -> dict[str, Rows]:
        return {name: self.held(name) for name in TABLES}

    def all_landed(self) -> dict[str, Rows]:
        return {name: self.landed(name) for name in TABLES}

    def standing(self, name: str) -> tuple[object, ...]:
        """What a run that fails must leave as it was."""
        mark, _ = watermark.read(self.store, self.pipeline.keys, name)
        return mark.watermark, mark.days, mark.reconciled_at, self.landed(name)

    def sql(self, *statements: str) -> None:
        with psycopg.connect(self.supabase.db_url, autocommit=True) as database:
            for statement in statements:
                database.execute(statement)

    def refill(self) -> None:
        """Tables as the schema has them, with rows of which no two are alike."""
        series = f"select i, timestamptz '{START}' + i * interval '10 minutes' as at from generate_series(1, {ROWS}) i"
        vector = "array(select {}::float4 from generate_series(1, 8) j)"
        self.sql(
            f"drop table if exists {AI}, {SIMULATIONS}",
            SCHEMA.read_text(),
            f"insert into {AI} select at, null, null, {vector.format('sin(i + j)')}, {vector.format('cos(i * j)')} "
            f"from ({series}) s",
            f"insert into {SIMULATIONS} select at, sin(i), cos(i), i / 7.0, -i, 1e-9 * i, 0 from ({series}) s",
        )

    def insertion(self, after: float) -> str:
        """The statement that inserts a row so many steps after the start."""
        at = f"timestamptz '{START}' + {after} * interval '10 minutes'"
        return f"insert into {AI} select {at}, null, null, embedding_b, embedding_a from {AI} order by 1 limit 1"


@pytest.fixture(scope="module")
def filled(server: Supabase) -> Supabase:  # noqa: F811
    """For tests that leave the tables as they are."""
    Lake(server).refill()
    return server


@pytest.fixture
def changing(server: Supabase) -> Iterator[Lake]:  # noqa: F811
    """For tests that change the tables."""
    lake = Lake(server)
    lake.refill()
    yield lake
    lake.refill()


def outcome(
    lake: Lake, table: str, *script: Injection, deadline: float = DEADLINE_SECONDS, held: dict[str, Rows] | None = None
) -> str:
    """`exact`, or the name of the error that left everything as it was; anything else is a failure of the test.

    Exact is what PostgreSQL holds, or what it held before it changed.
    """
    before = lake.standing(table)
    with in_front_of(lake.supabase.url, *script) as proxy:
        ended = attempt(lambda: lake.extract_through(proxy, deadline))
    assert proxy.injected.keys() == set(range(len(script)))
    if isinstance(ended, RatchetError):
        assert lake.standing(table) == before, ended
        return named(lake, ended)
    assert ended.done
    assert lake.all_landed() == (held or lake.all_held())
    return "exact"


def attempt(run: Callable[[], Extraction]) -> Extraction | RatchetError:
    try:
        return run()
    except RatchetError as error:
        return error


def named(lake: Lake, error: RatchetError) -> str:
    """The name of an error, which must be a leaf and one line without the key."""
    text, name = str(error), type(error).__name__
    assert name in {"Unavailable", "SourceMismatch", "MissingTable", "SourceUnreadable"}
    assert "\n" not in text
    assert text.endswith(".")
    assert lake.supabase.service_key not in text
    return name


def deadline_for(fault: Fault) -> float:
    return SLOW_SECONDS if fault.late or fault.drips else DEADLINE_SECONDS


TIMED_OUT = Fault(500, {"code": "57014", "message": "canceling statement due to statement timeout"})
WEB_PAGE = Fault(200, "<!doctype html><title>Sign in</title>", {"content-type": "text/html"})
PASSING = {
    "429": Fault(429, {"message": "too many requests"}),
    "429, Retry-After 7 s": Fault(429, {}, {"retry-after": "7"}),
    "500": Fault(500, {"code": "XX000", "message": "internal error"}),
    "502 with a web page": Fault(502, "<html>Bad gateway</html>", {"content-type": "text/html"}),
    "503": Fault(503, {}),
    "504": Fault(504, "upstream request timeout"),
    "connection reset": Fault(reset=True),
    "body cut off": Fault(cut=True),
    "half a document, length right": Fault(changed=lambda body: body[: len(body) // 2]),
    "late answer": Fault(late=30),
    "body that drips for ever": Fault(drips=True),
    "empty page": Fault(200, []),
    "page cap of 7 rows": Fault(cap=7),
}
"""Once, these cost an attempt at the most."""
FAULTS = {
    **PASSING,
    "429, Retry-After 1 h": Fault(429, {}, {"retry-after": "3600"}),
    "500, statement time-out (57014)": TIMED_OUT,
    "web page with 200": WEB_PAGE,
}
FIRST = {"check": 0, "first page": 1, "middle page": 2, "last page": 4, "end": 5, "newest key": 6}
DAILY = {"counts": 5, "day read anew": 8}
"""The requests about `ai_outputs` of a first run, and of the first one a day later that finds a row missing."""

Matrix = dict[tuple[str, float], dict[str, str]]


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    """Outcomes by fault and how often it strikes, by place; printed in the end."""
    outcomes: Matrix = {}
    yield outcomes
    figures.add(
        "A faulty Supabase: what an extraction ends as, by the request from which on a fault strikes",
        ["fault", "strikes", *FIRST, *DAILY],
        [
            (fault, "once" if times == ONCE else "for ever", *(places.get(place, "") for place in (*FIRST, *DAILY)))
            for (fault, times), places in outcomes.items()
        ],
    )


def test_places_are_named_for_the_requests_that_come_there(changing):
    lake = changing
    with in_front_of(lake.supabase.url) as proxy:
        lake.extract_through(proxy)
    first = proxy.requests[AI]
    assert len(first) == FIRST["newest key"] + 1
    assert [place for place, at in FIRST.items() if "limit=1&" not in f"{first[at]}&"] == list(FIRST)[1:-1]
    assert "order=base_ts.desc" in first[FIRST["newest key"]]
    lake.sql(lake.insertion(after=3.5))
    lake.clock.forward(hours=25)
    with in_front_of(lake.supabase.url) as proxy:
        lake.extract_through(proxy)
    counts, day = (proxy.requests[AI][at] for at in DAILY.values())
    assert "select=base_ts&" in counts
    assert "embedding_b" in day
    assert "lt.2026-11-20T00" in day


@pytest.mark.parametrize("place", FIRST)
@pytest.mark.parametrize("times", [ONCE, FOR_EVER], ids=["once", "for ever"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_first_extraction_is_exact_or_fails_by_name_and_moves_nothing(fault, times, place, filled, matrix):
    lake, wrong = Lake(filled), FAULTS[fault]
    ended = outcome(lake, AI, Injection(wrong, AI, FIRST[place], times), deadline=deadline_for(wrong))
    matrix.setdefault((fault, times), {})[place] = ended
    assert ended == "exact" or times == FOR_EVER or fault not in PASSING
    assert outcome(lake, AI) == "exact"


@pytest.mark.parametrize("place", DAILY)
@pytest.mark.parametrize("times", [ONCE, FOR_EVER], ids=["once", "for ever"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_reconciliation_finds_a_row_or_fails_by_name_and_stays_due(fault, times, place, changing, matrix):
    lake, wrong = changing, FAULTS[fault]
    lake.extract()
    lake.sql(lake.insertion(after=3.5))
    lake.clock.forward(hours=25)
    ended = outcome(lake, AI, Injection(wrong, AI, DAILY[place], times), deadline=deadline_for(wrong))
    matrix.setdefault((fault, times), {})[place] = ended
    assert ended == "exact" or times == FOR_EVER or fault not in PASSING
    assert outcome(lake, AI) == "exact"


@pytest.fixture(scope="module")
def changes() -> Iterator[dict[str, dict[str, str]]]:
    """Outcomes by what happens to the tables, by the page before which it does; printed in the end."""
    outcomes: dict[str, dict[str, str]] = {}
    yield outcomes
    figures.add(
        "Tables that change while they are read: what that extraction ends as, by the page before which they do",
        ["change", *FIRST],
        [(change, *(places.get(place, "") for place in FIRST)) for change, places in outcomes.items()],
    )


COLUMN = f"alter table {SIMULATIONS} alter trend_return_pct type"
VECTOR, KEY = f"alter table {AI} alter embedding_a type", f"alter table {AI} alter base_ts type"
POLICY = f"alter policy service_role_all on {AI} using"
CHANGES = {
    "float8 becomes text": (SIMULATIONS, f"{COLUMN} text", f"{COLUMN} float8 using trend_return_pct::float8"),
    "float8 becomes jsonb": (
        SIMULATIONS,
        f"{COLUMN} jsonb using jsonb_build_object('percent', trend_return_pct)",
        f"{COLUMN} float8 using (trend_return_pct->>'percent')::float8",
    ),
    "float4[] becomes text of an array": (AI, f"{VECTOR} text", f"{VECTOR} float4[] using embedding_a::float4[]"),
    "float4[] becomes text": (
        AI,
        f"{VECTOR} text using array_to_string(embedding_a, ' ')",
        f"{VECTOR} float4[] using string_to_array(embedding_a, ' ')::float4[]",
    ),
    "float4[] becomes longer": (
        AI,
        f"update {AI} set embedding_a = embedding_a || 1::float4",
        f"update {AI} set embedding_a = embedding_a[1:8]",
    ),
    "timestamptz becomes timestamp": (
        AI,
        f"{KEY} timestamp using base_ts at time zone 'Asia/Tokyo'",
        f"{KEY} timestamptz using base_ts at time zone 'Asia/Tokyo'",
    ),
    "a column is renamed": (
        AI,
        f"alter table {AI} rename embedding_b to embedding_c",
        f"alter table {AI} rename embedding_c to embedding_b",
    ),
    "the table is renamed": (AI, f"alter table {AI} rename to away", f"alter table away rename to {AI}"),
    "the row policy goes": (AI, f"{POLICY} (false)", f"{POLICY} (true)"),
}
"""The table, what happens to it, and how it is mended."""


@pytest.mark.parametrize("place", FIRST)
@pytest.mark.parametrize("change", CHANGES)
def test_a_table_that_changes_half_way_is_exact_or_a_named_error_until_it_is_mended(change, place, changing, changes):
    lake, (table, happens, mended) = changing, CHANGES[change]
    changed, held = Fault(before=lambda: lake.sql(happens)), lake.all_held()
    ended = outcome(lake, table, Injection(changed, table, FIRST[place]), held=held)
    changes.setdefault(change, {})[place] = ended
    assert (outcome(lake, table, held=held) == "exact") == (change == "float4[] becomes text of an array")
    lake.sql(mended)
    assert outcome(lake, table) == "exact"


@pytest.fixture(scope="module")
def late() -> Iterator[list[tuple[str, str, str]]]:
    """Which rows arrived, before which request, and by what they were found; printed in the end."""
    rows: list[tuple[str, str, str]] = []
    yield rows
    figures.add("A row that arrives while its table is read (overlap: 18 rows)", ["row", "arrives", "found"], rows)


@pytest.mark.parametrize(
    ("after", "place", "found"),
    [(3.5, "middle page", "by the reconciliation"), (140.5, "end", "by the next run"), (ROWS + 1, "end", "at once")],
    ids=["later than the overlap", "within the overlap", "after all others"],
)
def test_a_row_that_arrives_while_the_table_is_read_is_found(after, place, found, changing, late):
    lake = changing
    arrives = Fault(before=lambda: lake.sql(lake.insertion(after)))
    runs = {
        "at once": lambda: lake.extract(Injection(arrives, AI, FIRST[place])),
        "by the next run": lake.extract,
        "by the reconciliation": lambda: lake.clock.forward(hours=25) or lake.extract(),
    }
    by = next(way for way, run in runs.items() if run().done and lake.all_landed() == lake.all_held())
    late.append((f"after {after:g} of {ROWS}", f"before the {place}", by))
    assert by == found


@pytest.fixture(scope="module")
def storms() -> Iterator[Counter[str]]:
    """How often each fault struck within all storms, and what runs ended as; printed in the end."""
    counts: Counter[str] = Counter()
    yield counts
    figures.add("Storms of faults in random order", ["what", "times"], sorted(counts.items()))


@pytest.mark.parametrize("seed", range(12))
def test_a_storm_of_faults_ends_well(seed, changing, storms):
    lake, chance = changing, random.Random(seed)
    lake.page_rows = 11
    arrivals = {
        f"row {after:g}": Fault(before=lambda after=after: lake.sql(lake.insertion(after)))
        for after in (chance.randrange(ROWS) + 0.5, ROWS + 1 + chance.random())
    }
    faults, names = {**FAULTS, **arrivals}, [*chance.choices(list(FAULTS), k=12), *arrivals]
    script = [
        Injection(faults[name], chance.choice(TABLES), chance.randrange(20), 1 if name in arrivals else 2)
        for name in names
    ]
    ended = [""]
    with in_front_of(lake.supabase.url, *script) as proxy:
        while ended[-1] != "done" and len(ended) < 50:
            ended.append(storm(lake, proxy))
    assert ended[-1] == "done", ended
    lake.clock.forward(hours=25)
    assert outcome(lake, AI) == "exact"
    storms.update(f"runs that ended as {end}" for end in ended[1:])
    for place, times in proxy.injected.items():
        storms["a row arrives" if names[place] in arrivals else names[place]] += times


def storm(lake: Lake, proxy: Proxy) -> str:
    """One run; however it ends, no row that was there from the start has been passed by the watermark unlanded."""
    ended = attempt(lambda: lake.extract_through(proxy, SLOW_SECONDS))
    for name in TABLES:
        landed, held = lake.landed(name), lake.held(name)
        mark, _ = watermark.read(lake.store, lake.pipeline.keys, name)
        passed = {at for at in held if mark.instant and at <= mark.instant and not (at - START) % STEP}
        assert passed <= landed.keys()
        assert landed.items() <= held.items()
    return named(lake, ended) if isinstance(ended, RatchetError) else "done"
