import json
import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import botocore.session
import numpy as np
import pytest
import yaml
from botocore.stub import Stubber
from botocore.validate import ParamValidator
from ratchet.adapters.sagemaker import SageMakerJobs
from ratchet.catalog import load
from ratchet.errors import (
    BadConfiguration,
    TrainingDiverged,
    TrainingFailed,
    TrainingLeftNoBundle,
    TrainingOutOfCapacity,
    TrainingStopped,
    TrainingTimedOut,
    Unavailable,
)
from ratchet.serving.bundle import write_bundle
from ratchet.settings import Settings
from ratchet.source_archive import Archive, installed
from ratchet.training import Job, classify, classify_error, confirm, stage
from ratchet.training_request import RETRIES, Run, base_name, candidates

from tests.fakes import MemoryStore

RUN_TS = "2026-11-21T04-00-00Z"
RUN = Run(RUN_TS, f"s3://bucket/train/run_ts={RUN_TS}/train.parquet")
SETTINGS = Settings("bucket", "ratchet-dev", training_role="arn:aws:iam::1:role/t", training_image="1.dkr/pytorch:2.9")
RETURNS = load("returns")
TAGS = {"ratchet:pipeline": "returns", "ratchet:stack": "ratchet-dev", "ratchet:run_ts": RUN_TS}
BASE = base_name("returns", "ratchet-dev", RUN_TS, 1)
OUTPUT = f"s3://bucket/jobs/{BASE}r0/output/model.tar.gz"
ROOT = Path(__file__).parents[2]


class FakeJobs:
    """`TrainingJobs` over a list of jobs."""

    region = "eu-central-1"

    def __init__(self, *jobs: Job) -> None:
        self.jobs = {job.name: job for job in jobs}

    def find(self, name: str) -> Job | None:
        return self.jobs.get(name)


def job(status: str = "Completed", name: str = f"{BASE}r0", **facts: Any) -> Job:
    ours = {"output_uri": OUTPUT, "hyperparameters": {"train_uri": RUN.train_uri}, "tags": TAGS}
    return Job(name, status, status, **{**ours, **facts})


def put_bundle(store: MemoryStore, folder: Path, key: str, run_ts: str = RUN_TS, targets: int = 6) -> bytes:
    names = list(RETURNS.data.targets)[:targets]
    interval = {"start": "2026-11-01T00:00:00Z", "end": "2026-11-10T00:00:00Z"}
    document = {
        "format": 1,
        "pipeline": "returns",
        "run_ts": run_ts,
        "inputs": [{"name": "features", "dtype": "float32", "shape": ["N", 512], "unit": "none"}],
        "targets": [{"name": name, "unit": "percent"} for name in names],
        "training": interval,
        "validation": interval,
        "train_mean": dict.fromkeys(names, 0.0),
        **dict.fromkeys(("data_digest", "train_uri", "code_version", "device"), "x"),
        **{name: {} for name in ("frameworks", "hyperparameters", "metrics")},
        "synthetic": None,
    }
    members = folder / "members"
    members.mkdir()
    (members / "bundle.json").write_text(json.dumps(document))
    (members / "model.onnx").write_bytes(b"onnx")
    np.savez(members / "reference.npz", features=np.ones((1, 512), "f4"), predictions=np.ones((1, 6), "f4"))
    write_bundle(members, folder / "packed.tar.gz")
    body = (folder / "packed.tar.gz").read_bytes()
    store.put(key, body)
    return body


def staged(store: MemoryStore, jobs: FakeJobs, run: Run = RUN, settings: Settings = SETTINGS) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        return stage(store, jobs, RETURNS, settings, run, Archive(installed()), Path(folder))


def test_a_job_name_says_pipeline_instant_stack_attempt_and_retry() -> None:
    assert re.fullmatch(r"mlops-returns-20261121-040000-[0-9a-f]{4}-a1", BASE)
    assert base_name("returns", "ratchet-prod", RUN_TS, 1) != BASE


def test_the_longest_pipeline_name_still_gives_a_name_that_sagemaker_takes() -> None:
    name = base_name("a" * 20, "stack", RUN_TS, 99) + f"r{RETRIES}"
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name)
    with pytest.raises(BadConfiguration, match="too long"):
        base_name("a" * 40, "stack", RUN_TS, 1)


def test_the_machine_retries_as_often_as_names_are_looked_up() -> None:
    machine = yaml.safe_load((ROOT / "statemachines" / "release.asl.yaml").read_text())
    assert {retry["MaxAttempts"] for retry in machine["States"]["Train"]["Retry"]} == {RETRIES}


@pytest.mark.parametrize("spot", [False, True])
def test_a_run_without_a_job_starts_one_with_a_request_that_sagemaker_accepts(spot: bool) -> None:
    store = MemoryStore()
    answer = staged(store, FakeJobs(), settings=replace(SETTINGS, training_spot=spot))
    request = {**answer["request"], "TrainingJobName": answer["job_name"] + "r0"}
    shape = (
        botocore.session.get_session().get_service_model("sagemaker").operation_model("CreateTrainingJob").input_shape
    )
    assert ParamValidator().validate(request, shape).generate_report() == ""
    assert answer["status"] == "start"
    assert answer["job_name"] == BASE
    assert store.key_of(request["HyperParameters"]["sagemaker_submit_directory"]) in store.objects
    assert ("MaxWaitTimeInSeconds" in request["StoppingCondition"]) is spot
    assert "holdout" not in json.dumps(request)
    assert "landing" not in json.dumps(request)


def test_the_request_names_the_channel_the_script_the_checkpoints_and_every_hyperparameter_as_text() -> None:
    request = staged(MemoryStore(), FakeJobs())["request"]
    knobs = request["HyperParameters"]
    assert request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] == f"s3://bucket/train/run_ts={RUN_TS}/"
    assert (installed() / knobs["sagemaker_program"]).is_file()
    assert request["CheckpointConfig"]["S3Uri"].endswith(f"checkpoints/run_ts={RUN_TS}")
    assert knobs["epochs"] == "100"
    assert knobs["use_layernorm"] == "False"
    assert knobs["run_ts"] == RUN_TS
    assert all(isinstance(value, str) for value in knobs.values())


def test_a_stack_without_a_training_image_is_told_so() -> None:
    with pytest.raises(BadConfiguration, match="RATCHET_TRAINING_IMAGE"):
        staged(MemoryStore(), FakeJobs(), settings=replace(SETTINGS, training_image=""))


@pytest.mark.parametrize("status", ["InProgress", "Completed"])
def test_a_job_that_an_earlier_attempt_started_is_adopted(status: str, tmp_path: Path) -> None:
    store = MemoryStore()
    put_bundle(store, tmp_path, store.key_of(OUTPUT))
    answer = staged(store, FakeJobs(job(status, f"{BASE}r2")), replace(RUN, attempt=3))
    assert (answer["status"], answer["job_name"]) == ("wait", f"{BASE}r2")


@pytest.mark.parametrize("output", [None, b"no bundle"], ids=["nothing", "no bundle"])
def test_a_completed_job_that_left_no_bundle_is_not_adopted_but_trained_again(output: bytes | None) -> None:
    store = MemoryStore()
    if output:
        store.put(store.key_of(OUTPUT), output)
    answer = staged(store, FakeJobs(job()), replace(RUN, attempt=2))
    assert (answer["status"], answer["job_name"]) == ("start", base_name("returns", "ratchet-dev", RUN_TS, 2))


@pytest.mark.parametrize(
    "foreign",
    [
        job("Failed"),
        job("Stopped"),
        job("Stopping"),
        job(tags={**TAGS, "ratchet:run_ts": "2026-11-21T03-00-00Z"}),
        job(tags={**TAGS, "ratchet:stack": "another"}),
        job(hyperparameters={"train_uri": "s3://bucket/train/run_ts=other/train.parquet"}),
    ],
    ids=["failed", "stopped", "stopping", "of another run", "of another stack", "on other data"],
)
def test_a_job_that_is_not_ours_or_came_to_nothing_is_not_adopted(foreign: Job) -> None:
    answer = staged(MemoryStore(), FakeJobs(foreign), replace(RUN, attempt=2))
    assert (answer["status"], answer["job_name"]) == ("start", base_name("returns", "ratchet-dev", RUN_TS, 2))


def test_the_newest_attempts_job_is_looked_for_first() -> None:
    names = candidates("returns", "ratchet-dev", replace(RUN, attempt=2))
    assert names[0].endswith("-a2r4")
    assert names[-1].endswith("-a1r0")
    assert len(names) == 10


def test_nothing_is_started_where_the_bundle_already_lies() -> None:
    store = MemoryStore()
    store.put(RETURNS.keys.model(RUN_TS), b"bundle")
    assert staged(store, FakeJobs())["status"] == "done"
    assert staged(store, FakeJobs(job()))["job_name"] == f"{BASE}r0"


def test_the_job_of_a_bundle_is_found_whatever_data_the_resumed_run_got() -> None:
    store = MemoryStore()
    store.put(RETURNS.keys.model(RUN_TS), b"bundle")
    jobs = FakeJobs(job(), job("Failed", f"{BASE}r1"))
    resumed = replace(RUN, attempt=2, train_uri="s3://bucket/train/run_ts=newer/train.parquet")
    answer = staged(store, jobs, resumed)
    assert (answer["status"], answer["job_name"]) == ("done", f"{BASE}r0")


def test_a_bundle_whose_job_is_forgotten_is_taken_as_it_is() -> None:
    store = MemoryStore()
    store.put(RETURNS.keys.model(RUN_TS), b"bundle")
    assert staged(store, FakeJobs())["job_name"] is None


@pytest.mark.parametrize(
    ("ended", "error"),
    [
        (job("Stopped", reason=""), TrainingStopped),
        (replace(job("Stopped"), secondary="MaxRuntimeExceeded"), TrainingTimedOut),
        (replace(job("Stopped"), secondary="MaxWaitTimeExceeded"), TrainingTimedOut),
        (
            job("Failed", reason="CapacityError: Unable to provision requested capacity."),
            TrainingOutOfCapacity,
        ),
        (job("Failed", reason="AlgorithmError: the loss is nan, exit code: 1"), TrainingFailed),
        (job("Failed", reason='AlgorithmError: ErrorMessage "FloatingPointError: nan"'), TrainingDiverged),
    ],
)
def test_each_end_of_a_job_but_completed_is_an_error_of_its_own(ended: Job, error: type[Exception]) -> None:
    with pytest.raises(error, match=ended.name) as raised:
        classify(ended)
    assert type(raised.value) is error


@pytest.mark.parametrize(("status", "says"), [("InProgress", "in_progress"), ("Completed", "completed")])
def test_a_job_that_runs_or_has_completed_is_no_error(status: str, says: str) -> None:
    assert classify(job(status)) == says


@pytest.mark.parametrize(
    ("error", "named"),
    [
        ({"Error": "SageMaker.ResourceLimitExceededException", "Cause": "limit is 0 Instances"}, TrainingOutOfCapacity),
        ({"Error": "States.Timeout", "Cause": ""}, TrainingTimedOut),
        ({"Error": "SageMaker.AmazonSageMakerException", "Cause": "AccessDenied"}, TrainingFailed),
        (
            {
                "Error": "States.TaskFailed",
                "Cause": json.dumps({"TrainingJobStatus": "Stopped", "SecondaryStatus": "MaxRuntimeExceeded"}),
            },
            TrainingTimedOut,
        ),
    ],
)
def test_what_the_machine_reports_of_a_job_that_is_not_there_gets_a_name(
    error: dict[str, str], named: type[Exception]
) -> None:
    with pytest.raises(named) as raised:
        classify_error(error)
    assert type(raised.value) is named


def test_a_completed_jobs_bundle_is_put_at_the_runs_own_key_with_its_digest(tmp_path: Path) -> None:
    store = MemoryStore()
    body = put_bundle(store, tmp_path, store.key_of(OUTPUT))
    (tmp_path / "work").mkdir()
    answer = confirm(store, FakeJobs(job()), RETURNS, RUN_TS, f"{BASE}r0", None, tmp_path / "work")
    key = RETURNS.keys.model(RUN_TS)
    assert store.objects[key].body == body
    assert store.tags[key] == {"ratchet:retention": "run"}
    assert answer["status"] == "completed"
    assert answer["bundle_uri"] == store.uri(key)
    assert len(answer["sha256"]) == 64


def test_confirming_again_keeps_the_bundle_even_if_the_job_is_forgotten(tmp_path: Path) -> None:
    store = MemoryStore()
    put_bundle(store, tmp_path, RETURNS.keys.model(RUN_TS))
    (tmp_path / "work").mkdir()
    writes = len(store.writes)
    answer = confirm(store, FakeJobs(), RETURNS, RUN_TS, None, None, tmp_path / "work")
    assert answer["status"] == "completed"
    assert len(store.writes) == writes


@pytest.mark.parametrize(
    ("change", "says"),
    [({"run_ts": "2026-11-21T03-00-00Z"}, "is of run"), ({"targets": 5}, "targets are not those")],
)
def test_a_bundle_of_another_run_or_with_other_targets_is_refused(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    store = MemoryStore()
    put_bundle(store, tmp_path, store.key_of(OUTPUT), **change)
    (tmp_path / "work").mkdir()
    with pytest.raises(TrainingLeftNoBundle, match=f"{BASE}r0 completed, but left no bundle of this run.*{says}"):
        confirm(store, FakeJobs(job()), RETURNS, RUN_TS, f"{BASE}r0", None, tmp_path / "work")
    assert RETURNS.keys.model(RUN_TS) not in store.objects


def confirmed(store: MemoryStore, jobs: FakeJobs, folder: Path, error: dict[str, str] | None = None) -> dict[str, Any]:
    return confirm(store, jobs, RETURNS, RUN_TS, f"{BASE}r0", error, folder)


def test_a_job_that_still_runs_is_reported_unless_the_machines_own_time_is_over(tmp_path: Path) -> None:
    jobs = FakeJobs(job("InProgress"))
    assert confirmed(MemoryStore(), jobs, tmp_path)["status"] == "in_progress"
    in_use = {"Error": "SageMaker.ResourceInUseException", "Cause": "exists"}
    assert confirmed(MemoryStore(), jobs, tmp_path, in_use)["status"] == "in_progress"
    with pytest.raises(TrainingTimedOut):
        confirmed(MemoryStore(), jobs, tmp_path, {"Error": "States.Timeout", "Cause": ""})


def test_a_foreign_job_under_our_name_a_missing_output_and_a_missing_job_are_failures(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match="is not of run"):
        confirmed(MemoryStore(), FakeJobs(job(tags={})), tmp_path)
    with pytest.raises(TrainingLeftNoBundle, match="completed without"):
        confirmed(MemoryStore(), FakeJobs(job()), tmp_path)
    with pytest.raises(TrainingFailed, match="There is no job"):
        confirmed(MemoryStore(), FakeJobs(), tmp_path)


ARN = f"arn:aws:sagemaker:eu-central-1:123456789012:training-job/{BASE}r0"


def stubbed() -> tuple[SageMakerJobs, Stubber]:
    client = botocore.session.get_session().create_client(
        "sagemaker", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    return SageMakerJobs(client), Stubber(client)


def test_the_adapter_reads_a_job_with_its_tags() -> None:
    jobs, stub = stubbed()
    described = {
        "TrainingJobName": f"{BASE}r0",
        "TrainingJobArn": ARN,
        "ModelArtifacts": {"S3ModelArtifacts": OUTPUT},
        "TrainingJobStatus": "Completed",
        "SecondaryStatus": "Completed",
        "CreationTime": 0,
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "HyperParameters": {"train_uri": RUN.train_uri},
    }
    stub.add_response("describe_training_job", described, {"TrainingJobName": f"{BASE}r0"})
    stub.add_response("list_tags", {"Tags": [{"Key": k, "Value": v} for k, v in TAGS.items()]}, {"ResourceArn": ARN})
    with stub:
        assert jobs.find(f"{BASE}r0") == job()
    assert jobs.region == "eu-central-1"


@pytest.mark.parametrize("told", ["Requested resource not found.", "Could not find the requested resource: not found"])
def test_the_adapter_answers_none_for_a_job_that_is_not_there(told: str) -> None:
    jobs, stub = stubbed()
    stub.add_client_error("describe_training_job", "ValidationException", told)
    with stub:
        assert jobs.find(f"{BASE}r0") is None


def test_the_adapter_turns_every_other_error_into_unavailable() -> None:
    jobs, stub = stubbed()
    stub.add_client_error("describe_training_job", "ThrottlingException", "Rate exceeded")
    with stub, pytest.raises(Unavailable, match="Rate exceeded"):
        jobs.find(f"{BASE}r0")
