"""What tests of `adclick` on a laptop target share: impressions, runs that wait for a person, requests, deployments."""

import contextlib
import csv
import gzip
import io
import json
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from ratchet.catalog import load
from ratchet.sources import TabularFiles

from local.deploy import Application, deploy
from local.laptop import PARAMETERS, STACK
from local.paths import CHECKOUT, Paths
from local.seeding.clicks import simulate
from tests.laptop_target import COMMAND, LaptopTarget

ADCLICK = load("adclick")
KEYS, SOURCE = ADCLICK.keys, ADCLICK.source_as(TabularFiles)
PLANTED = "Zebulon Quuxley"
"""The name of everybody in the files that are made here."""
WEEK = "604800"
"""Seconds that a model waits for a person, unless the stack says otherwise."""
GROUP = f"{STACK}-models"
ENDPOINT = f"{STACK}-adclick"


def impressions(seed: int, records: int, users: int, strength: float = 2.0) -> bytes:
    """A CSV file as `ratchet seed` writes one, of people by another name."""
    made = simulate(SOURCE, np.random.default_rng(seed), signal=strength, records=records, users=users)
    header = [SOURCE.group, *SOURCE.personal, *SOURCE.numbers, *SOURCE.categories, SOURCE.label]
    text = io.StringIO()
    rows = [[row[0], PLANTED, *row[2:]] for row in made.rows(SOURCE)]
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


def says(key: str, body: bytes, text: str) -> bool:
    """Whether an object says that, packed or not."""
    if key.endswith(".parquet"):
        table = pq.read_table(io.BytesIO(body))
        return text in f"{table.column_names} {table.to_pylist()}"
    return text.encode() in (gzip.decompress(body) if key.endswith(".gz") else body)


@dataclass
class Followed:
    """`ratchet run adclick` in a process of its own, which follows a run that waits for a person."""

    process: "subprocess.Popen[str]"
    run_ts: str

    def ended(self) -> dict[str, Any]:
        """What the run came to, as that process tells it."""
        output, told = self.process.communicate(timeout=300)
        assert self.process.returncode == 0, told
        document: dict[str, Any] = json.loads(output)
        return document


@contextlib.contextmanager
def waiting(laptop: LaptopTarget) -> Iterator[Followed]:
    """A run whose model waits for a decision."""
    given: dict[str, Any] = {"env": laptop.environment, "cwd": laptop.home, "text": True}
    command = [str(COMMAND), "run", "adclick", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **given) as process:
        assert process.stderr is not None
        told: list[str] = []
        try:
            while not (told and told[-1].startswith("Waiting for a person: ")):
                told.append(process.stderr.readline())
                assert told[-1], f"it did not wait: {''.join(told)} {process.communicate()[0]}"
            yield Followed(process, told[-1].split("adclick ")[1].split(",")[0])
        finally:
            if process.poll() is None:
                process.kill()


@contextlib.contextmanager
def serving(laptop: LaptopTarget) -> Iterator[str]:
    """The address of `ratchet serve`."""
    command = [str(COMMAND), "serve", "--port", "0", "--json"]
    given: dict[str, Any] = {"env": laptop.environment, "cwd": laptop.home, "text": True}
    with subprocess.Popen(command, stdout=subprocess.PIPE, **given) as served:
        assert served.stdout is not None
        told = [served.stdout.readline()]
        while told[-1].rstrip() != "}":
            assert told[-1], "it ended"
            told.append(served.stdout.readline())
        try:
            yield str(json.loads("".join(told))["address"])
        finally:
            served.send_signal(signal.SIGINT)


def asked(address: str, form: str | None = None) -> tuple[int, str]:
    """Status and page of a GET, or of a POST with that form."""
    body = None if form is None else form.encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body), timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def deployed(laptop: LaptopTarget, **changed: str) -> dict[str, str]:
    """The stack's outputs after `sam deploy` of what is built, with these parameters beside the laptop's own."""
    sam = Paths(laptop.home).environment("sam") / "bin" / "sam"
    # What is not given stays as it was deployed before.
    given = {**PARAMETERS, "ApprovalSeconds": WEEK, **changed}
    return deploy(Application(CHECKOUT, laptop.target.endpoint_url or "", STACK, sam, given), lambda line: None)


def is_usual(laptop: LaptopTarget) -> bool:
    """Whether the stack is deployed as `ratchet up` does it."""
    (stack,) = laptop.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    given = {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}
    return PARAMETERS.items() <= given.items() and given["ApprovalSeconds"] == WEEK


def made(laptop: LaptopTarget) -> dict[str, list[str]]:
    """All that there is of models in SageMaker, by kind."""
    sagemaker = laptop.client("sagemaker")
    called = {"Endpoint": "list_endpoints", "EndpointConfig": "list_endpoint_configs", "Model": "list_models"}
    listed = {kind: getattr(sagemaker, call)()[f"{kind}s"] for kind, call in called.items()}
    found = {kind: [each[f"{kind}Name"] for each in listed[kind]] for kind in listed}
    packages = sagemaker.list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]
    return {**found, "Package": [each["ModelPackageArn"] for each in packages]}
