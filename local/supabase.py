"""The local Supabase: the official `@supabase/lite` in front of a real PostgreSQL, both on loopback.

PostgreSQL rather than Lite's PGlite: it starts in under a second (PGlite takes 7), survives many connections at once,
and its URL lets the direct COPY path of extraction run locally too. Lite differs from the hosted service in small ways:
timestamps have a blank for `T`, NaN becomes null, and the service role reads by policy rather than past all policies.
"""

import json
import secrets
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

from local import environments, node, postgres
from local.environments import Progress, Recipe
from local.paths import CHECKOUT, Paths
from local.supervisor import Service, Supervisor

SCHEMA = CHECKOUT / "local" / "supabase" / "schema.sql"


@dataclass(frozen=True)
class Keys:
    """What opens the local Supabase; made once per `.ratchet/`."""

    service_key: str
    anon_key: str
    password: str
    """Of the database user `postgres`."""
    signing: str
    """Signs the sessions of signed-in users."""


@dataclass(frozen=True)
class Supabase:
    """A running local Supabase."""

    url: str
    service_key: str
    anon_key: str
    db_url: str


def up(paths: Paths, supervisor: Supervisor, progress: Progress, port: int | None = None) -> Supabase:
    """Have PostgreSQL and Supabase Lite running with the schema applied; what runs already is left alone.

    `port` asks for a certain port of the REST API. Raises BadConfiguration and Unavailable with the remedy.
    """
    environments.ensure(Recipe("postgres"), paths, progress)
    engine = node.ensure_node(paths, progress)
    packages = node.ensure_packages(engine, paths, progress)
    keys = ensure_keys(paths)
    home = postgres.find_home(paths)
    postgres.prepare(home, paths, keys.password)
    database = postgres.service(home, supervisor.port("postgres"))
    if supervisor.ensure(database):
        progress(f"PostgreSQL runs on port {database.port}")
    told = describe(keys, supervisor.port("supabase", port), database.port)
    postgres.run_sql(home, told.db_url, ["-f", str(SCHEMA)])
    lite = service(paths, engine, packages, keys, told)
    if supervisor.ensure(lite):
        progress(f"Supabase runs on port {lite.port}")
    return told


def describe(keys: Keys, port: int, database_port: int) -> Supabase:
    """The addresses and keys of the local Supabase on these ports."""
    db_url = f"postgresql://postgres:{keys.password}@127.0.0.1:{database_port}/postgres"
    return Supabase(f"http://127.0.0.1:{port}", keys.service_key, keys.anon_key, db_url)


def ensure_keys(paths: Paths) -> Keys:
    """The keys of this `.ratchet/`, made at first use and readable by their owner alone."""
    if paths.keys.exists():
        return Keys(**json.loads(paths.keys.read_text()))
    token = secrets.token_hex
    keys = Keys(f"sb_secret_{token(20)}", f"sb_publishable_{token(20)}", token(20), secrets.token_urlsafe(48))
    part = paths.keys.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_text(json.dumps(asdict(keys)))
    part.replace(paths.keys)
    return keys


def service(paths: Paths, engine: node.Node, packages: Path, keys: Keys, told: Supabase) -> Service:
    """Supabase Lite as a service; writes its configuration."""
    port = int(told.url.rpartition(":")[2])
    folder = paths.lite / "supabase"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "migrations").mkdir(exist_ok=True)
    config = folder / "config.toml"
    config.touch(mode=0o600)
    config.write_text(_configuration(keys, told.db_url, port))
    program = packages / "node_modules" / "@supabase" / "lite" / "dist" / "cli" / "index.js"
    return Service(
        name="supabase",
        command=[str(engine.program), str(program), "start", "--host", "127.0.0.1", "--no-admin"],
        cwd=paths.lite,
        environment={"DO_NOT_TRACK": "1", "LITE_TELEMETRY": "0", "HOME": str(paths.lite)},
        ready=lambda: answers(f"http://127.0.0.1:{port}", keys.service_key),
        port=port,
    )


def answers(url: str, key: str) -> bool:
    """Whether the REST API serves a table to this key."""
    request = urllib.request.Request(f"{url}/rest/v1/ratchet_seed?select=only_row&limit=1", headers={"apikey": key})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
            return bool(response.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def _configuration(keys: Keys, db_url: str, port: int) -> str:
    return f"""[api]
port = {port}
max_rows = 1000

[db]
driver = "postgres"
url = "{db_url}"

[auth]
enabled = true
jwt_secret = "{keys.signing}"
publishable_key = "{keys.anon_key}"
secret_key = "{keys.service_key}"
"""
