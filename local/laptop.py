"""The laptop target as one thing: `up` starts the emulator and the local Supabase and deploys, `down` ends both.

Boundary: composes environments, supervisor, Supabase and deployment; the command line prints, this module only tells.
"""

import contextlib
import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ratchet.errors import BadConfiguration

from local import supabase
from local.deploy import build_and_deploy
from local.environments import Progress
from local.install import install
from local.paths import CHECKOUT, Paths, default_paths
from local.supabase import Supabase
from local.supervisor import Service, Supervisor

STACK = "ratchet"
SECRET = "ratchet/supabase"  # noqa: S105
REGION = "us-east-1"
PARAMETERS = {
    # Runs start by hand until `ratchet resume`: a schedule that fires during a demonstration holds the lease.
    "SchedulesState": "DISABLED",
    "TrainInstanceType": "ml.m5.xlarge",
    "TrainSpot": "false",
    "AllowSynthetic": "true",
    "SupabaseSecret": SECRET,
}
"""What the laptop's stack has other than a deployed one."""
DISK_NEEDED = 2 * 1024**3
"""Bytes that must be free before `up` begins: the data of a few runs. A full disk while installing, pip reports."""


@dataclass(frozen=True)
class Laptop:
    """A running laptop target."""

    paths: Paths
    endpoint_url: str
    database: Supabase
    stack: str = STACK
    secret: str = SECRET

    @property
    def supabase_url(self) -> str:
        """The REST address of the local Supabase."""
        return self.database.url

    @property
    def supabase_key(self) -> str:
        """The service role's key."""
        return self.database.service_key

    @property
    def db_url(self) -> str:
        """The libpq URL of the tables' owner."""
        return self.database.db_url

    def environment(self) -> dict[str, str]:
        """The variables that point `aws` and boto3 at this target."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def up(
    progress: Progress,
    *,
    paths: Paths | None = None,
    ports: Mapping[str, int] | None = None,
    parameters: Mapping[str, str] | None = None,
    deploy: bool = True,
) -> Laptop:
    """The laptop target, running and deployed; what runs already is left alone, what died is started again.

    `ports` asks for certain ports of `emulator` and `supabase`; `parameters` replace `PARAMETERS`. On any failure,
    Ctrl-C included, what this call started is ended again. Raises BadConfiguration and Unavailable with the remedy.
    """
    paths, ports = paths or default_paths(), ports or {}
    require_disk(paths)
    paths.prepare()
    supervisor = Supervisor(paths)
    with supervisor.exclusively(), _undone_on_failure(supervisor):
        install(paths, progress)
        database = supabase.up(paths, supervisor, progress, ports.get("supabase"))
        emulator = emulator_service(paths, supervisor.port("emulator", ports.get("emulator")))
        if supervisor.ensure(emulator):
            progress(f"The AWS emulator runs on port {emulator.port}")
        laptop = _laptop(paths, emulator.port, database)
        store_secret(laptop)
        if deploy:
            sam = paths.environment("sam") / "bin" / "sam"
            given = PARAMETERS if parameters is None else parameters
            build_and_deploy(CHECKOUT, laptop.endpoint_url, laptop.stack, given, sam=sam, progress=progress)
    return laptop


def down(paths: Paths | None = None) -> list[str]:
    """End every process of the laptop target; returns the services that were recorded. Data and ports are kept.

    Raises BadConfiguration naming any process that would not end.
    """
    paths = paths or default_paths()
    if not paths.state.exists():
        return []
    supervisor = Supervisor(paths)
    with supervisor.exclusively():
        names = supervisor.stop_all()
        left = supervisor.leftovers()
    if left:
        raise BadConfiguration(f"Still running: {', '.join(str(one.pid) for one in left)}. End them with `kill -9`.")
    return names


def current(paths: Paths | None = None) -> Laptop | None:
    """The laptop target if it runs now, else None. Starts nothing."""
    paths = paths or default_paths()
    supervisor = Supervisor(paths)
    if not paths.keys.exists() or not all(supervisor.running(name) for name in ("postgres", "supabase", "emulator")):
        return None
    keys = supabase.ensure_keys(paths)
    known = supervisor.ports()
    database = supabase.describe(keys, known["supabase"], known["postgres"])
    return _laptop(paths, known["emulator"], database)


def emulator_service(paths: Paths, port: int) -> Service:
    """The AWS emulator as a service, run in its own environment from this checkout."""
    options = ["--port", str(port), "--state", str(paths.emulator)]
    tools = ["--runtime-python", str(paths.python("runtime")), "--rie", str(paths.rie())]
    return Service(
        name="emulator",
        command=[str(paths.python("emulator")), "-m", "local.emulator", *options, *tools],
        cwd=CHECKOUT,
        environment={
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "layers" / "common")]),
            "HOME": str(paths.emulator),
            "RATCHET_TRAINING_PYTHON": str(paths.python("training")),
            "RATCHET_TRAINING_WITHOUT_CAPACITY": os.environ.get("RATCHET_TRAINING_WITHOUT_CAPACITY", ""),
        },
        ready=lambda: healthy(port),
        port=port,
    )


def healthy(port: int) -> bool:
    """Whether the emulator answers on its health path."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_ministack/health", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def store_secret(laptop: Laptop) -> None:
    """Put the Supabase's address and key where the stack's functions look for them."""
    import boto3

    # Without db_url: the laptop reads as most stacks do, through the REST interface.
    told = {"url": laptop.supabase_url, "key": laptop.supabase_key}
    client = boto3.client(
        "secretsmanager",
        endpoint_url=laptop.endpoint_url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106
    )
    text = json.dumps(told)
    try:
        client.put_secret_value(SecretId=laptop.secret, SecretString=text)
    except client.exceptions.ResourceNotFoundException:
        client.create_secret(Name=laptop.secret, SecretString=text)


def require_disk(paths: Paths, needed: int = DISK_NEEDED) -> None:
    """Raises BadConfiguration when less than `needed` bytes are free where `.ratchet/` lies."""
    there = next(folder for folder in (paths.root, *paths.root.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise BadConfiguration(
            f"Only {free / 1024**3:.1f} GiB are free under {there}; the laptop target needs {needed / 1024**3:.1f}: "
            "free some and run `ratchet up` again."
        )


@contextlib.contextmanager
def _undone_on_failure(supervisor: Supervisor) -> Iterator[None]:
    before = set(supervisor.names())
    try:
        yield
    except BaseException:
        for name in reversed([one for one in supervisor.names() if one not in before]):
            supervisor.stop(name)
        raise


def _laptop(paths: Paths, port: int, database: Supabase) -> Laptop:
    return Laptop(paths, f"http://127.0.0.1:{port}", database)
