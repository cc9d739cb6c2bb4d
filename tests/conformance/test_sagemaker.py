"""Training jobs of the emulator: run for real, with the statuses, errors and rights of SageMaker."""

import contextlib
import dataclasses
import io
import json
import signal
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from local.emulator.sagemaker_jobs import TrainingJob
from local.training import SubprocessExecutor

BUCKET = "training"
# One script for all cases: the hyperparameter `do` says what happens.
SCRIPT = """
import argparse, os, pathlib, signal, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("--do"); parser.add_argument("--checkpoints"); parser.add_argument("--rate", type=float)
given = parser.parse_args()
if given.do == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
model = pathlib.Path(os.environ["SM_MODEL_DIR"])
# One write: unbuffered output is cut into lines where the writes end, by AWS's toolkit.
print(f"training with {given.do} {sorted(os.listdir(os.environ['SM_CHANNEL_TRAIN']))}", flush=True)
if given.do == "fail":
    raise ValueError("the loss is not finite")
if given.do == "sleep":
    model.joinpath("partial.txt").write_text("so far")
    time.sleep(300)
if given.do == "stubborn":
    time.sleep(300)
if given.do == "checkpoint":
    state = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"], "checkpoints", "epoch.txt")
    if not state.exists():
        signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), state.write_text("7"), sys.exit(0)))
        print("waiting for the interruption", flush=True)
        time.sleep(300)
    model.joinpath("resumed.txt").write_text(state.read_text())
model.joinpath("model.txt").write_text(f"{given.rate}")
"""


def role(emulator: Any, name: str, service: str, *statements: tuple[Any, Any]) -> str:
    """A role that `service` may take, with one Allow for each (actions, resources)."""
    iam = emulator.client("iam")
    trust = [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]
    document = {"Version": "2012-10-17", "Statement": trust}
    created = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))
    allowed = [{"Effect": "Allow", "Action": actions, "Resource": resources} for actions, resources in statements]
    policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    iam.put_role_policy(RoleName=name, PolicyName="given", PolicyDocument=policy)
    return str(created["Role"]["Arn"])


def archive(**files: str) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name.replace("__", "."))
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return content.getvalue()


def unpacked(s3: Any, uri: str) -> dict[str, str]:
    key = uri.removeprefix(f"s3://{BUCKET}/")
    body = io.BytesIO(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    with tarfile.open(fileobj=body, mode="r:gz") as tar:
        files = {member.name: tar.extractfile(member) for member in tar if member.isfile()}
        return {name: file.read().decode() for name, file in files.items() if file is not None}


class Training:
    """Creates jobs of the script above and waits for them."""

    def __init__(self, emulator: Any) -> None:
        self.emulator = emulator
        self.client, self.s3 = emulator.client("sagemaker"), emulator.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)
        for key in ("train/run=1/rows.txt", "holdout/rows.txt"):
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=b"rows")
        self.s3.put_object(Bucket=BUCKET, Key="code/source.tar.gz", Body=archive(train__py=SCRIPT))
        reads = [f"arn:aws:s3:::{BUCKET}/{folder}/*" for folder in ("code", "train", "checkpoints")]
        writes = [f"arn:aws:s3:::{BUCKET}/{folder}/*" for folder in ("model", "checkpoints")]
        self.role = role(
            emulator,
            "conformance-training",
            "sagemaker.amazonaws.com",
            ("s3:GetObject", reads),
            ("s3:PutObject", writes),
            ("s3:ListBucket", f"arn:aws:s3:::{BUCKET}"),
            (["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], "*"),
        )

    def request(self, name: str, do: str, prefix: str = "train/run=1/", **more: Any) -> dict[str, Any]:
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{prefix}"}
        parameters = {"sagemaker_program": "train.py", "do": do, "rate": "0.5"}
        return {
            "TrainingJobName": name,
            "RoleArn": self.role,
            "AlgorithmSpecification": {"TrainingImage": "framework", "TrainingInputMode": "File"},
            "HyperParameters": {**parameters, "sagemaker_submit_directory": f"s3://{BUCKET}/code/source.tar.gz"},
            "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/model"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            **more,
        }

    def run(self, name: str, do: str, **more: Any) -> dict[str, Any]:
        self.client.create_training_job(**self.request(name, do, **more))
        return self.end(name)

    def described(self, name: str) -> dict[str, Any]:
        found = dict(self.client.describe_training_job(TrainingJobName=name))
        found.pop("ResponseMetadata")
        return found

    def end(self, name: str, seconds: float = 30) -> dict[str, Any]:
        return self.until(name, lambda found: found["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"), seconds)

    def until(self, name: str, condition: Any, seconds: float = 30) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while not condition(found := self.described(name)):
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        return found

    def training(self, name: str) -> None:
        """Wait until the script itself runs."""
        log = self.emulator.state / "training" / "logs" / f"{name}.log"
        deadline = time.monotonic() + 30
        while not (log.exists() and "training with" in log.read_text()):
            assert time.monotonic() < deadline, self.described(name)
            time.sleep(0.05)


@pytest.fixture(scope="module")
def training(emulator: Any) -> Training:
    python = emulator.environments.python("training")
    if not python.exists():
        pytest.fail(f"{python} is missing: `make test` and `ratchet up` make the environments")
    return Training(emulator)


@pytest.fixture(scope="module")
def machine_role(emulator: Any, training: Training) -> str:
    job = "arn:aws:sagemaker:*:*:training-job/conformance-*"
    actions = ["sagemaker:CreateTrainingJob", "sagemaker:DescribeTrainingJob", "sagemaker:StopTrainingJob"]
    grants = (([*actions, "sagemaker:AddTags"], job), ("iam:PassRole", training.role))
    return role(emulator, "conformance-trainer", "states.amazonaws.com", *grants)


@pytest.fixture(scope="module")
def completed(training: Training) -> dict[str, Any]:
    return training.run("conformance-completed", "train", Tags=[{"Key": "run", "Value": "one"}])


def test_a_job_trains_and_leaves_its_model_under_its_own_name(training: Training, completed: dict[str, Any]) -> None:
    assert completed["TrainingJobStatus"] == completed["SecondaryStatus"] == "Completed"
    uri = completed["ModelArtifacts"]["S3ModelArtifacts"]
    assert uri == f"s3://{BUCKET}/model/conformance-completed/output/model.tar.gz"
    assert unpacked(training.s3, uri) == {"model.txt": "0.5"}


def test_the_transitions_follow_one_another(completed: dict[str, Any]) -> None:
    transitions = completed["SecondaryStatusTransitions"]
    expected = ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert [each["Status"] for each in transitions] == expected
    assert all(each["StartTime"] <= each["EndTime"] for each in transitions)


def test_the_description_has_the_shape_of_the_service_model(completed: dict[str, Any]) -> None:
    model = botocore.session.get_session().get_service_model("sagemaker")
    shape = model.operation_model("DescribeTrainingJob").output_shape
    report = ParamValidator().validate(completed, shape)
    assert not report.has_errors(), report.generate_report()


def test_the_output_reaches_cloudwatch_logs(emulator: Any, completed: dict[str, Any]) -> None:
    logs, group = emulator.client("logs"), "/aws/sagemaker/TrainingJobs"
    prefix = f"{completed['TrainingJobName']}/algo-1-"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=prefix)["logStreams"]
    events = logs.get_log_events(logGroupName=group, logStreamName=streams[0]["logStreamName"])["events"]
    assert any("training with train ['rows.txt']" in event["message"] for event in events)


def test_a_name_is_given_once(training: Training, completed: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="ResourceInUse"):
        training.client.create_training_job(**training.request(completed["TrainingJobName"], "train"))


def test_tags_are_kept_and_added(training: Training, completed: dict[str, Any]) -> None:
    arn = completed["TrainingJobArn"]
    training.client.add_tags(ResourceArn=arn, Tags=[{"Key": "more", "Value": "two"}])
    tags = training.client.list_tags(ResourceArn=arn)["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"run": "one", "more": "two"}


def test_jobs_are_listed_by_name_and_status(training: Training, completed: dict[str, Any]) -> None:
    listed = training.client.list_training_jobs(NameContains="completed", StatusEquals="Completed")
    assert [each["TrainingJobName"] for each in listed["TrainingJobSummaries"]] == ["conformance-completed"]
    assert not training.client.list_training_jobs(StatusEquals="Stopping")["TrainingJobSummaries"]


def test_a_call_that_is_not_implemented_says_so(training: Training) -> None:
    with pytest.raises(ClientError, match="DescribeAlgorithm is not implemented"):
        training.client.describe_algorithm(AlgorithmName="a")


def test_a_value_the_service_would_refuse_is_refused(training: Training) -> None:
    wrong = training.request("conformance_wrong", "train")
    with pytest.raises(ClientError, match="TrainingJobName must match"):
        training.client.create_training_job(**wrong)


def test_spot_training_needs_a_longer_wait_than_runtime(training: Training) -> None:
    limits = {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 30}
    request = training.request("conformance-spot", "train", EnableManagedSpotTraining=True, StoppingCondition=limits)
    with pytest.raises(ClientError, match="MaxWaitTimeInSeconds"):
        training.client.create_training_job(**request)


def test_a_failing_script_is_the_failure_reason(training: Training) -> None:
    failed = training.run("conformance-failing", "fail")
    assert (failed["TrainingJobStatus"], failed["SecondaryStatus"]) == ("Failed", "Failed")
    assert failed["FailureReason"].startswith("AlgorithmError")
    assert "the loss is not finite" in failed["FailureReason"]
    assert failed["ModelArtifacts"] == {}


def test_the_role_cannot_read_what_its_policy_leaves_out(training: Training) -> None:
    failed = training.run("conformance-forbidden", "train", prefix="holdout/")
    assert failed["TrainingJobStatus"] == "Failed"
    assert "AccessDenied" in failed["FailureReason"]


def test_a_channel_without_objects_fails_the_job(training: Training) -> None:
    failed = training.run("conformance-empty", "train", prefix="train/absent/")
    assert "no S3 objects found under s3://training/train/absent/" in failed["FailureReason"]


def test_a_source_that_leaves_its_folder_is_refused(training: Training) -> None:
    training.s3.put_object(Bucket=BUCKET, Key="code/evil.tar.gz", Body=archive(**{"../evil__py": "x"}))
    request = training.request("conformance-evil", "train")
    request["HyperParameters"]["sagemaker_submit_directory"] = f"s3://{BUCKET}/code/evil.tar.gz"
    training.client.create_training_job(**request)
    assert "cannot be unpacked" in training.end("conformance-evil")["FailureReason"]


def test_a_job_above_its_max_runtime_is_stopped_with_what_it_has(training: Training) -> None:
    stopped = training.run("conformance-runtime", "sleep", StoppingCondition={"MaxRuntimeInSeconds": 3})
    assert (stopped["TrainingJobStatus"], stopped["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert unpacked(training.s3, stopped["ModelArtifacts"]["S3ModelArtifacts"]) == {"partial.txt": "so far"}


def test_a_job_is_stopped_on_request(training: Training) -> None:
    training.client.create_training_job(**training.request("conformance-stop", "sleep"))
    training.training("conformance-stop")
    training.client.stop_training_job(TrainingJobName="conformance-stop")
    stopped = training.end("conformance-stop")
    assert (stopped["TrainingJobStatus"], stopped["SecondaryStatus"]) == ("Stopped", "Stopped")
    with pytest.raises(ClientError, match="already ended"):
        training.client.stop_training_job(TrainingJobName="conformance-stop")


def start_machine(emulator: Any, name: str, role_arn: str, request: dict[str, Any]) -> str:
    resource = "arn:aws:states:::sagemaker:createTrainingJob.sync"
    state = {"Type": "Task", "Resource": resource, "Arguments": request, "End": True}
    definition = {"QueryLanguage": "JSONata", "StartAt": "Train", "States": {"Train": state}}
    client = emulator.client("stepfunctions")
    machine = client.create_state_machine(name=name, definition=json.dumps(definition), roleArn=role_arn)
    return str(client.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"])


def end_of(emulator: Any, execution: str) -> dict[str, Any]:
    client = emulator.client("stepfunctions")
    deadline = time.monotonic() + 30
    while (found := client.describe_execution(executionArn=execution))["status"] == "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return dict(found)


def test_a_machine_trains_and_gets_the_description(emulator: Any, training: Training, machine_role: str) -> None:
    request = training.request("conformance-sync", "train")
    ended = end_of(emulator, start_machine(emulator, "trains", machine_role, request))
    assert ended["status"] == "SUCCEEDED", ended
    result = json.loads(ended["output"])
    assert result["TrainingJobStatus"] == "Completed"
    assert result["CreationTime"] > 1e12, "Step Functions gives milliseconds"


def test_a_failed_job_is_a_failed_task_with_the_description_as_cause(
    emulator: Any, training: Training, machine_role: str
) -> None:
    request = training.request("conformance-sync-fails", "fail")
    ended = end_of(emulator, start_machine(emulator, "fails-to-train", machine_role, request))
    assert (ended["status"], ended["error"]) == ("FAILED", "States.TaskFailed")
    assert "the loss is not finite" in json.loads(ended["cause"])["FailureReason"]


def test_a_taken_name_has_its_own_error(
    emulator: Any, training: Training, machine_role: str, completed: dict[str, Any]
) -> None:
    request = training.request(completed["TrainingJobName"], "train")
    ended = end_of(emulator, start_machine(emulator, "takes-a-taken-name", machine_role, request))
    assert ended["error"] == "SageMaker.ResourceInUseException"


def test_a_machine_that_may_not_pass_the_role_cannot_train(
    emulator: Any, training: Training, machine_role: str
) -> None:
    other = role(emulator, "conformance-other", "sagemaker.amazonaws.com", ("s3:*", "*"))
    request = {**training.request("conformance-other-role", "train"), "RoleArn": other}
    ended = end_of(emulator, start_machine(emulator, "passes-another-role", machine_role, request))
    assert ended["error"] == "SageMaker.AmazonSageMakerException"
    assert "iam:PassRole" in ended["cause"]


def test_stopping_the_execution_stops_the_job(emulator: Any, training: Training, machine_role: str) -> None:
    request = training.request("conformance-abort", "sleep")
    execution = start_machine(emulator, "is-aborted", machine_role, request)
    time.sleep(0.5)
    training.training("conformance-abort")
    emulator.client("stepfunctions").stop_execution(executionArn=execution)
    assert training.end("conformance-abort")["SecondaryStatus"] == "Stopped"


@dataclasses.dataclass(frozen=True)
class Direct:
    """An executor in this process, to take its instances away; it reads and writes the emulator's S3."""

    executor: SubprocessExecutor
    training: Training

    def start(self, name: str, do: str, **more: Any) -> tuple[TrainingJob, threading.Thread]:
        job = TrainingJob(
            self.training.request(name, do, **more), f"arn:aws:sagemaker:::training-job/{name}", "us-east-1"
        )
        thread = threading.Thread(target=self.executor.run, args=(job,))
        thread.start()
        log, deadline = self.executor.log_file(name), time.monotonic() + 30
        while not (log.exists() and "training with" in log.read_text()):
            assert time.monotonic() < deadline, job.describe()
            time.sleep(0.05)
        return job, thread


@pytest.fixture
def direct(training: Training, tmp_path: Path) -> Iterator[Direct]:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    executor = SubprocessExecutor(
        python=training.emulator.environments.python("training"),
        home=tmp_path,
        endpoint=training.emulator.endpoint,
        credentials=lambda role, session: keys,
        grace_seconds=1,
    )
    yield Direct(executor, training)
    executor.close()


def test_an_interrupted_spot_job_resumes_from_its_checkpoints(direct: Direct) -> None:
    uri = f"s3://{BUCKET}/checkpoints/run-1"
    limits = {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120}
    spot = {"EnableManagedSpotTraining": True, "StoppingCondition": limits, "CheckpointConfig": {"S3Uri": uri}}
    job, thread = direct.start("conformance-interrupted", "checkpoint", **spot)
    log = direct.executor.log_file(job.name)
    while "waiting for the interruption" not in log.read_text():
        time.sleep(0.05)
    direct.executor.interrupt(job.name)
    thread.join(timeout=30)
    described = job.describe()
    statuses = [each["Status"] for each in described["SecondaryStatusTransitions"]]
    again = ["Starting", "Downloading", "Training"]
    assert statuses == [*again, "Interrupted", *again, "Uploading", "Completed"]
    model = unpacked(direct.training.s3, described["ModelArtifacts"]["S3ModelArtifacts"])
    assert model["resumed.txt"] == "7"


def test_a_job_that_is_not_spot_is_never_interrupted(direct: Direct) -> None:
    job, thread = direct.start("conformance-on-demand", "sleep")
    with pytest.raises(ValueError, match="no running spot training job"):
        direct.executor.interrupt(job.name)
    job.ask_to_stop()
    thread.join(timeout=30)
    assert job.describe()["SecondaryStatus"] == "Stopped"


def test_a_script_that_ignores_sigterm_is_killed_after_the_grace(direct: Direct) -> None:
    job, thread = direct.start("conformance-stubborn", "stubborn")
    asked = time.monotonic()
    job.ask_to_stop()
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert 1 <= time.monotonic() - asked < 15
    assert job.describe()["TrainingJobStatus"] == "Stopped"


def test_training_without_a_training_python_says_what_to_do(training: Training, tmp_path: Path) -> None:
    executor = SubprocessExecutor(tmp_path / "none", tmp_path, "http://127.0.0.1:1", lambda role, session: {})
    job = TrainingJob(training.request("conformance-none", "train"), "arn", "us-east-1")
    executor.run(job)
    assert "run `ratchet up`" in job.describe()["FailureReason"]


def processes_in(folder: Path) -> list[str]:
    """The pids of the processes that work in the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").readlink().is_relative_to(folder):
                found.append(entry.name)
    return found


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_a_job_leaves_no_process_when_the_emulator_ends(
    by: signal.Signals, training: Training, emulator: Any, tmp_path: Path
) -> None:
    other = type(emulator)(emulator.environments, tmp_path / "emulator").start()
    elsewhere = Training(other)
    name = f"conformance-{by.name.lower()}"
    elsewhere.client.create_training_job(**elsewhere.request(name, "stubborn"))
    elsewhere.training(name)
    assert processes_in(tmp_path)
    other.stop(by)
    deadline = time.monotonic() + 10
    while processes_in(tmp_path):
        assert time.monotonic() < deadline, processes_in(tmp_path)
        time.sleep(0.05)
