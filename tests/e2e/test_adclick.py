"""The story of `adclick` on a laptop target: refused, signed for, served, taken back, rejected, expired, destroyed."""

import io
import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest

from local.laptop import STACK
from tests.clicking import (
    ADCLICK,
    ENDPOINT,
    KEYS,
    PLANTED,
    SOURCE,
    asked,
    deployed,
    impressions,
    is_usual,
    made,
    says,
    serving,
    waiting,
)
from tests.laptop_target import COMMAND, LaptopTarget, until
from tests.queues import Queue, messages

REAL = Path(__file__).parents[2].parent / "shared/data/adclick/ad_click_dataset.csv"
ROW = {
    **{"age": 31, "gender": "Male", "device_type": "Mobile", "ad_position": None},
    **{"browsing_history": "Gardening", "time_of_day": "Night"},
}
LANDS_WITHIN = 60
"""Seconds from an upload to what its event does, on a machine that has much else to do."""
NOTHING: dict[str, list[str]] = {"Endpoint": [], "EndpointConfig": [], "Model": [], "Package": []}


def served_by(laptop: LaptopTarget) -> str:
    """The run whose model the endpoint answers with."""
    (answer,) = laptop.plain_json("invoke", "adclick", "--json", json.dumps(ROW))["predictions"]
    return str(answer["model_run_ts"])


def landed(laptop: LaptopTarget) -> dict[str, str]:
    """Every landed object of the pipeline, and what says what the feature group has, with its version."""
    roots = (f"{ADCLICK.prefix}landing/", f"{ADCLICK.prefix}features/")
    return {row.key: row.etag for root in roots for row in laptop.store.list(root)}


def parts(laptop: LaptopTarget) -> set[str]:
    """The documents of the files that have landed."""
    return {key for key in landed(laptop) if "/landing/" in key and key.endswith(".json")}


def uploaded(laptop: LaptopTarget, name: str, body: bytes) -> None:
    """A file that nobody runs anything for, once it has landed."""
    before = parts(laptop)
    # Rows are new to the gate from the minute after its last test's on.
    time.sleep(60 - time.time() % 60)
    laptop.store.put(f"{SOURCE.prefix}{name}.csv", body)
    until(lambda: parts(laptop) - before, LANDS_WITHIN)


def ingested(laptop: LaptopTarget) -> None:
    """Waits until no file is being ingested any more."""
    states, machine = laptop.client("stepfunctions"), laptop.target.output("IngestMachineArn")
    until(lambda: not states.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"])


@pytest.fixture(scope="module")
def people(laptop: LaptopTarget) -> Iterator[Queue]:
    """Who listens to what the stack tells; the stack is left as other tests expect it."""
    with messages(laptop, "adclick-people") as queue:
        yield queue
    if not is_usual(laptop):
        deployed(laptop)


@pytest.fixture(scope="module")
def refused(laptop: LaptopTarget) -> dict[str, Any]:
    """The real file: ingested, ingested again, and a run over it."""
    if not REAL.exists():
        pytest.skip(f"real data are not part of the repository: no {REAL}")
    first = laptop.ratchet("ingest", "adclick", "--csv", str(REAL))
    before = landed(laptop)
    again = laptop.ratchet("ingest", "adclick", "--csv", str(REAL))
    return {"first": first, "before": before, "again": again, "run": laptop.ratchet("run", "adclick")}


def test_the_real_clicks_are_refused_and_nothing_is_registered(laptop: LaptopTarget, refused: dict[str, Any]) -> None:
    run = refused["run"]
    assert (run["outcome"], run["verdict"]) == ("kept_champion", "keep")
    assert run["reason"].startswith("Below the floor: AUC is 0.5"), run["reason"]
    assert laptop.etag(KEYS.pointer()) is None
    assert made(laptop) == NOTHING
    page = laptop.store.get(KEYS.card(run["run_ts"])).body.decode()  # type: ignore[union-attr]
    assert "That is memory: rows of one person are alike" in page


def test_the_same_file_again_changes_nothing(laptop: LaptopTarget, refused: dict[str, Any]) -> None:
    assert (refused["first"]["changed"], refused["again"]["changed"]) == (True, False)
    assert refused["first"]["written"] == refused["first"]["records"]
    assert {key: landed(laptop).get(key) for key in refused["before"]} == refused["before"]


@pytest.fixture(scope="module")
def seeded(laptop: LaptopTarget, people: Queue) -> Any:
    """Few clicks that depend on the attributes, in place of whatever was there."""
    return laptop.ratchet("seed", "adclick", "--signal", "2.0", "--records", "3000", "--users", "1500", "--yes")


@pytest.fixture(scope="module")
def first(laptop: LaptopTarget, seeded: Any) -> dict[str, Any]:
    """A run that one process follows while a person approves in another."""
    before = made(laptop)
    with waiting(laptop) as followed:
        asking = made(laptop)
        approved = laptop.ratchet("approve", "adclick", followed.run_ts, "--why", "looks right")
        return {"run_ts": followed.run_ts, "before": before, "asking": asking, "ended": followed.ended(), **approved}


def test_a_model_that_passed_the_gate_waits_and_is_not_deployed(first: dict[str, Any]) -> None:
    assert len(first["asking"]["Package"]) == len(first["before"]["Package"]) + 1
    assert {**first["asking"], "Package": []} == NOTHING


def test_who_follows_the_run_sees_what_another_approves(laptop: LaptopTarget, first: dict[str, Any]) -> None:
    assert (first["outcome"], first["ended"]["outcome"]) == ("promoted", "promoted")
    assert laptop.document(KEYS.pointer())["run_ts"] == first["run_ts"]
    told = laptop.client("sagemaker").describe_model_package(ModelPackageName=first["package_arn"])
    assert told["ModelApprovalStatus"] == "Approved"
    assert "looks right (by " in told["ApprovalDescription"]


def test_the_endpoint_says_which_model_answers_and_what_it_did_not_know(laptop: LaptopTarget, first: Any) -> None:
    (answer,) = laptop.plain_json("invoke", "adclick", "--json", json.dumps([ROW]))["predictions"]
    assert 0 < answer["probability"] < 1
    assert (answer["model_run_ts"], answer["unknown"]) == (first["run_ts"], ["browsing_history"])
    line = ",".join("" if value is None else str(value) for value in ROW.values())
    assert laptop.plain_json("invoke", "adclick", "--csv", f"{','.join(ROW)}\n{line}\n") == {"predictions": [answer]}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--json", '{"age": 31}'), "is not there; send null"),
        (("--json", json.dumps({**ROW, "age": "old"})), "'age'"),
        (("--json", json.dumps({**ROW, "height": 2})), "no field 'height'"),
        (("--json", '{"features": [[1, 2]]}'), "rows of"),
        (("--json", "{"), "Expecting property name"),
        (("--csv", "31,Male"), "there are 2 values"),
    ],
)
def test_a_wrong_body_is_named(laptop: LaptopTarget, first: Any, arguments: tuple[str, ...], said: str) -> None:
    ran = laptop.plain("invoke", "adclick", *arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("ratchet: ")
    assert said in ran.stderr


@pytest.fixture(scope="module")
def linked(laptop: LaptopTarget, people: Queue, first: Any) -> dict[str, Any]:
    """A run over a file more, which came by itself: decided by the link in the message."""
    people.read()
    uploaded(laptop, "more", impressions(7, 8000, 4000))
    with waiting(laptop) as followed, serving(laptop) as address:
        subject = f"adclick {followed.run_ts}: approve?"
        told = [json.loads(body) for body in until(people.read)]
        (message,) = (each["Message"] for each in told if each["Subject"] == subject)
        (link,) = re.findall(r"https?://\S+/approvals/\S+", message)
        link = f"{address}{link.removeprefix(f'{urlsplit(link).scheme}://{urlsplit(link).netloc}')}"
        looked, changed = asked(link), asked(link.replace("signature=", "signature=0"))
        package = laptop.document(KEYS.package(followed.run_ts))["package_arn"]
        pending = laptop.client("sagemaker").describe_model_package(ModelPackageName=package)["ModelApprovalStatus"]
        posted, ended = asked(link, "decision=approve&why=by+link"), followed.ended()
        again = asked(link, "decision=reject&why=changed+my+mind")
    pages = {"looked": looked, "changed": changed, "posted": posted, "again": again}
    return {"run_ts": followed.run_ts, "pending": pending, "package": package, "ended": ended, **pages}


def test_an_uploaded_file_is_ingested_and_trained_on(laptop: LaptopTarget, linked: dict[str, Any]) -> None:
    assert len(parts(laptop)) == 2
    assert laptop.document(KEYS.manifest(linked["run_ts"]))["synthetic"] is True


def test_a_link_shows_and_decides_nothing_until_somebody_posts(laptop: LaptopTarget, linked: dict[str, Any]) -> None:
    status, page = linked["looked"]
    assert (status, linked["pending"]) == (200, "PendingManualApproval")
    assert linked["run_ts"] in page
    assert linked["changed"][0] == 403
    assert linked["posted"][0] == 200
    assert linked["ended"]["outcome"] == "promoted"
    told = laptop.client("sagemaker").describe_model_package(ModelPackageName=linked["package"])
    assert told["ModelApprovalStatus"] == "Approved"
    assert told["ApprovalDescription"] == "by link (by the link in the message)"


def test_what_was_decided_by_a_link_is_not_decided_again(linked: dict[str, Any]) -> None:
    assert linked["again"][0] == 200
    assert "decided already: Approved" in linked["again"][1]


def test_the_endpoint_moves_to_the_better_model(laptop: LaptopTarget, first: Any, linked: Any) -> None:
    assert laptop.document(KEYS.evaluation(linked["run_ts"]))["champion"]["run_ts"] == first["run_ts"]
    assert served_by(laptop) == linked["run_ts"]
    assert made(laptop)["Endpoint"] == [ENDPOINT]


def test_records_are_in_both_stores_of_the_feature_group(laptop: LaptopTarget, linked: Any) -> None:
    ingested(laptop)
    key = next(key for key in landed(laptop) if "/landing/" in key and key.endswith(".parquet"))
    row = pq.read_table(io.BytesIO(laptop.store.get(key).body)).to_pylist()[0]  # type: ignore[union-attr]
    told = laptop.client("sagemaker-featurestore-runtime").get_record(
        FeatureGroupName=ENDPOINT, RecordIdentifierValueAsString=row["record_id"]
    )["Record"]
    record = {each["FeatureName"]: each["ValueAsString"] for each in told}
    assert (record["record_id"], record["click"]) == (row["record_id"], str(row["click"]))
    assert set(record) <= {"record_id", "event_time", SOURCE.group, *SOURCE.numbers, *SOURCE.categories, SOURCE.label}
    offline = f"{ADCLICK.prefix}feature-store/"
    until(lambda: any(each.key.endswith(".parquet") for each in laptop.store.list(offline)), LANDS_WITHIN)


def test_a_persons_name_goes_no_further_than_the_file(laptop: LaptopTarget, linked: Any) -> None:
    held = {listed.key: laptop.store.get(listed.key) for listed in laptop.store.list("")}
    telling = {key for key, stored in held.items() if stored and says(key, stored.body, PLANTED)}
    assert telling == {f"{SOURCE.prefix}more.csv"}


def test_a_rollback_takes_the_endpoint_along(laptop: LaptopTarget, first: Any, linked: Any) -> None:
    told = laptop.ratchet("rollback", "adclick", "--why", "its nights are wrong")
    assert (told["from_run_ts"], told["to_run_ts"]) == (linked["run_ts"], first["run_ts"])
    assert told["endpoint"] == ENDPOINT
    assert served_by(laptop) == first["run_ts"]


def test_a_second_deployment_changes_nothing(laptop: LaptopTarget, linked: Any) -> None:
    formation, before = laptop.client("cloudformation"), made(laptop)
    (latest, *_) = formation.describe_stack_events(StackName=STACK)["StackEvents"]
    assert deployed(laptop) == laptop.target.outputs
    assert formation.describe_stack_events(StackName=STACK)["StackEvents"][0] == latest
    assert made(laptop) == before


@pytest.fixture(scope="module")
def rejected(laptop: LaptopTarget, linked: Any) -> dict[str, Any]:
    """All anew, but for the endpoint: a model that a person rejects."""
    laptop.ratchet("seed", "adclick", "--signal", "2.0", "--records", "3000", "--users", "1500", "--seed", "3", "--yes")
    before, serves = made(laptop), served_by(laptop)
    with waiting(laptop) as followed:
        told = laptop.ratchet("reject", "adclick", followed.run_ts, "--why", "too good to be true")
        ended = followed.ended()
    return {"run_ts": followed.run_ts, "told": told, "ended": ended, "before": before, "served": serves}


def test_a_rejected_model_is_never_deployed(laptop: LaptopTarget, rejected: dict[str, Any]) -> None:
    assert (rejected["told"]["status"], rejected["ended"]["outcome"]) == ("Rejected", "rejected")
    assert "too good to be true (by " in rejected["ended"]["reason"]
    said = laptop.call("approve", "adclick", rejected["run_ts"])
    assert (said.code, "was rejected" in said.complaint) == (2, True)
    assert {**made(laptop), "Package": []} == {**rejected["before"], "Package": []}
    assert served_by(laptop) == rejected["served"]
    assert laptop.etag(KEYS.pointer()) is None


@pytest.fixture(scope="module")
def forgotten(laptop: LaptopTarget, people: Queue, rejected: Any) -> dict[str, Any]:
    """A model about which nobody decides for a minute; meanwhile a run in a stack that allows nothing synthetic."""
    deployed(laptop, ApprovalSeconds="60")
    # Rows that no test has judged yet.
    uploaded(laptop, "further", impressions(11, 3000, 1500))
    with waiting(laptop) as followed:
        package = laptop.document(KEYS.package(followed.run_ts))["package_arn"]
        asking = made(laptop)
        deployed(laptop, AllowSynthetic="false")
        uploaded(laptop, "last", impressions(13, 3000, 1500))
        strict, after = laptop.ratchet("run", "adclick"), made(laptop)
        ended = followed.ended()
    people.read()
    sagemaker = laptop.client("sagemaker")
    status = sagemaker.describe_model_package(ModelPackageName=package)["ModelApprovalStatus"]
    sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    late = until(lambda: [body for body in people.read() if "too late" in body])
    told = {"ended": ended, "status": status, "late": late, "package": package}
    return {**told, "strict": strict, "asking": asking, "after": after}


def test_what_nobody_decides_expires_and_a_late_approval_changes_nothing(
    laptop: LaptopTarget, rejected: Any, forgotten: dict[str, Any]
) -> None:
    assert (forgotten["ended"]["outcome"], forgotten["status"]) == ("approval_expired", "Rejected")
    assert len(forgotten["late"]) == 1
    name = KEYS.approval("-".join(forgotten["package"].split("/")[1:]))
    assert laptop.document(name)["state"] == "expired"
    assert laptop.etag(KEYS.pointer()) is None
    assert served_by(laptop) == rejected["served"]
    assert {**made(laptop), "Package": []} == {**forgotten["asking"], "Package": []}


def test_a_stack_that_allows_nothing_synthetic_refuses_such_a_model(
    laptop: LaptopTarget, forgotten: dict[str, Any]
) -> None:
    strict = forgotten["strict"]
    assert (strict["outcome"], "The data is synthetic" in strict["reason"]) == ("kept_champion", True), strict["reason"]
    assert forgotten["after"] == forgotten["asking"]


def test_the_stack_is_destroyed_whole_and_deploys_again(laptop: LaptopTarget, people: Queue, forgotten: Any) -> None:
    environment, bucket = {**laptop.environment, **laptop.ratchet("env")}, laptop.store.bucket
    there = {kind: len(names) for kind, names in made(laptop).items()}
    command = [str(COMMAND), "destroy", "--target", "aws", "--stack", STACK, "--yes", "--json"]

    def destroy() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(command, env=environment, cwd=laptop.home, capture_output=True, text=True, check=False)

    told = destroy()
    assert told.returncode == 0, told.stderr
    removed = json.loads(told.stdout)["removed"]
    counted = {kind: len([line for line in removed if line.startswith(f"{kind} ")]) for kind in ("endpoint", "model")}
    assert counted["model"] == there["Model"] > 0
    assert {f"endpoint {ENDPOINT}", f"stack {STACK}"} < set(removed)
    assert any(line.startswith(f"bucket {bucket} with ") for line in removed)
    sagemaker = laptop.client("sagemaker")
    assert not sagemaker.list_endpoints()["Endpoints"]
    assert not sagemaker.list_endpoint_configs()["EndpointConfigs"]
    assert bucket not in {each["Name"] for each in laptop.client("s3").list_buckets()["Buckets"]}
    again = destroy()
    assert (again.returncode, "nothing is left of one" in again.stderr) == (1, True)
    laptop.ratchet("up")
    laptop.forget()
    assert made(laptop) == NOTHING
