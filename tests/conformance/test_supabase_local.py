"""supabase-py, unmodified, against the local Supabase: keys, the cap of 1,000 rows, row policies, seeding."""

from datetime import UTC, datetime

import psycopg
import pytest
from postgrest.exceptions import APIError
from ratchet.adapters.prediction_table import SupabaseTable
from ratchet.errors import SourceMismatch, SourceRefused
from supabase import create_client

from local import environments, postgres, supabase
from local.environments import Recipe
from local.paths import Paths, default_paths
from local.seeding.destinations import Copy, Rest
from local.seeding.seed import seed_returns
from local.supervisor import Supervisor

# supabase-py warns of an argument that it passes to itself.
pytestmark = pytest.mark.filterwarnings("ignore:The '(timeout|verify)' parameter is deprecated:DeprecationWarning")

POSTGRES, PACKAGES = Recipe("postgres"), "supabase"
NOW = datetime(2026, 11, 21, 4, 7, tzinfo=UTC)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A local Supabase with its own data, in the environments that `ratchet up` made."""
    made = default_paths()
    if not environments.is_current(POSTGRES, made) or not (made.environment(PACKAGES) / "installed").exists():
        pytest.fail("The local Supabase is not installed: `make test` and `ratchet up` install it")
    root = tmp_path_factory.mktemp("supabase") / ".ratchet"
    paths = Paths(root)
    paths.prepare()
    for name in ("postgres", PACKAGES, "node"):
        if made.environment(name).exists():
            paths.environment(name).symlink_to(made.environment(name))
    supervisor = Supervisor(paths)
    try:
        yield supabase.up(paths, supervisor, lambda line: None)
    finally:
        supervisor.stop_all()
        postgres.forget(paths)
        assert supervisor.leftovers() == []


@pytest.fixture(scope="module")
def seeded(server):
    seed_returns(Copy(server.db_url), rows=1200, clock=lambda: NOW)
    return server


@pytest.fixture
def connect(server):
    """Clients of supabase-py whose connections end with the test; supabase-py closes none itself."""
    opened = []

    def connected(key):
        opened.append(create_client(server.url, key))
        return opened[-1]

    yield connected
    for client in opened:
        client.postgrest.session.close()


def test_the_service_key_reads_rows_with_256_floats(seeded, connect):
    client = connect(seeded.service_key)
    rows = client.table("ai_outputs").select("*").order("base_ts", desc=True).limit(1).execute().data
    assert rows[0]["base_ts"].replace(" ", "T").startswith("2026-11-21T04:00:00")
    assert len(rows[0]["embedding_a"]) == len(rows[0]["embedding_b"]) == 256


def test_a_wrong_key_is_refused_with_401(seeded, connect):
    client = connect("sb_secret_wrong")
    with pytest.raises(APIError, match="Invalid API key"):
        client.table("ai_outputs").select("base_ts").execute()
    with pytest.raises(SourceRefused, match="refuses the key"):
        seed_returns(Rest(seeded.url, "sb_secret_wrong"), rows=2, clock=lambda: NOW)


def test_a_page_is_capped_at_1000_rows_in_silence(seeded, connect):
    client = connect(seeded.service_key)
    assert len(client.table("simulations_10m").select("ts").limit(5000).execute().data) == 1000


def test_without_a_row_policy_the_answer_is_empty_and_200(seeded, connect):
    anonymous = connect(seeded.anon_key)
    assert anonymous.table("ai_outputs").select("base_ts").execute().data == []
    client = connect(seeded.service_key)
    with psycopg.connect(seeded.db_url, autocommit=True) as database:
        database.execute("alter policy service_role_all on simulations_10m using (false)")
        try:
            assert client.table("simulations_10m").select("ts").execute().data == []
        finally:
            database.execute("alter policy service_role_all on simulations_10m using (true)")


def test_predictions_can_be_upserted(seeded, connect):
    client = connect(seeded.service_key)
    instants = {"base_ts": "2026-11-21T04:00:00Z", "target_ts": "2026-11-21T04:10:00Z"}
    row = {**instants, "model_run_ts": "2026-11-21T04-00-00Z", "pred": {"a": 1.5}}
    for _ in range(2):
        client.table("predictions").upsert(row, on_conflict="base_ts").execute()
    assert [each["pred"] for each in client.table("predictions").select("pred").execute().data] == [{"a": 1.5}]


def test_seeding_through_rest_replaces_what_copy_wrote(server):
    seed_returns(Copy(server.db_url), rows=5, seed=1, clock=lambda: NOW)
    seed_returns(Rest(server.url, server.service_key), rows=3, seed=2, clock=lambda: NOW)
    with psycopg.connect(server.db_url) as database:
        counts = [
            database.execute(f"select count(*) from {t}").fetchone()[0] for t in ("ai_outputs", "simulations_10m")
        ]
        marker = database.execute("select synthetic, source from ratchet_seed").fetchall()
    assert counts == [4, 3]
    assert marker == [(True, "a simulated path (seed 2)")]


def test_predictions_are_inserted_and_replaced_by_their_instant(server, connect):
    client = connect(server.service_key)
    table = SupabaseTable(server.url, server.service_key, client)
    answer = {"base_ts": "2026-11-21T04:00:00Z", "target_ts": "2026-11-21T04:10:00Z", "model_run_ts": "a"}
    table.upsert("predictions", [{**answer, "pred": {"long_hold_return_pct": 0.1}}])
    table.upsert("predictions", [{**answer, "model_run_ts": "b", "pred": {"long_hold_return_pct": 0.2}}])
    (row,) = client.table("predictions").select("*").execute().data
    assert (row["model_run_ts"], row["pred"]) == ("b", {"long_hold_return_pct": 0.2})
    with pytest.raises(SourceMismatch, match="no_such_table"):
        table.upsert("no_such_table", [answer])
