"""Parts of the training executor that need no emulator: files and S3, processes, the job's record."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from local.emulator.sagemaker_jobs import TrainingJob
from local.training_files import DataUnavailable, JobFolder, parsed, relative_name, split_uri
from local.training_process import GuardedProcess


class Objects:
    """What JobFolder uses of a boto3 S3 client, over a dict of one bucket."""

    def __init__(self, **objects: bytes) -> None:
        self.objects = objects
        self.puts: list[str] = []

    def get_paginator(self, name: str) -> "Objects":
        assert name == "list_objects_v2"
        return self

    def paginate(self, Bucket: str, Prefix: str) -> list[dict[str, Any]]:
        return [{"Contents": [{"Key": key}]} for key in sorted(self.objects) if key.startswith(Prefix)] or [{}]

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        return {"Body": io.BytesIO(self.objects[Key])}

    def upload_file(self, path: str, bucket: str, key: str) -> None:
        self.objects[key] = Path(path).read_bytes()
        self.puts.append(key)


def channel(uri: str) -> dict[str, Any]:
    return {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}


@pytest.mark.parametrize(
    ("key", "prefix", "name"),
    [
        ("train/run=1/a/b.txt", "train/run=1/", "a/b.txt"),
        ("train/run=1/b.txt", "train/run=1", "b.txt"),
        ("train/run=1/b.txt", "train/run=1/b.txt", "b.txt"),
        ("train/run=1/b.txt", "train/run=1/b", "b.txt"),
    ],
)
def test_an_object_lies_in_its_channel_by_what_follows_the_prefix(key: str, prefix: str, name: str) -> None:
    assert relative_name(key, prefix) == name


def test_hyperparameters_are_json_where_they_can_be() -> None:
    given = {"program": '"train.py"', "plain": "train.py", "rate": "0.001"}
    assert parsed(given) == {"program": "train.py", "plain": "train.py", "rate": 0.001}


def test_only_s3_uris_name_objects() -> None:
    assert split_uri("s3://bucket/a/b") == ("bucket", "a/b")
    with pytest.raises(DataUnavailable, match="no S3 URI"):
        split_uri("/etc/passwd")


def test_a_channel_is_downloaded_with_its_folders(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path, Objects(**{"train/x/a.txt": b"a", "train/x/sub/b.txt": b"b", "train/x/": b""}))
    folder.fetch_channels({"InputDataConfig": [channel("s3://bucket/train/x/")]})
    data = tmp_path / "input" / "data" / "train"
    assert (data / "a.txt").read_text() + (data / "sub" / "b.txt").read_text() == "ab"


def test_a_key_that_leads_out_of_the_channel_is_refused(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "job", Objects(**{"train/../../../../evil": b"x"}))
    with pytest.raises(DataUnavailable, match="leads out of the channel"):
        folder.fetch_channels({"InputDataConfig": [channel("s3://bucket/train/")]})
    assert not (tmp_path / "evil").exists()


def test_checkpoints_go_up_when_they_changed_and_only_then(tmp_path: Path) -> None:
    s3 = Objects(**{"checkpoints/old.pt": b"1"})
    folder = JobFolder(tmp_path, s3)
    folder.fetch_checkpoints("s3://bucket/checkpoints")
    assert (tmp_path / "checkpoints" / "old.pt").read_text() == "1"
    folder.save_checkpoints("s3://bucket/checkpoints")
    assert s3.puts == []
    (tmp_path / "checkpoints" / "new.pt").write_text("22")
    folder.save_checkpoints("s3://bucket/checkpoints")
    folder.save_checkpoints("s3://bucket/checkpoints")
    assert s3.puts == ["checkpoints/new.pt"]


def test_a_checkpoint_that_is_renamed_away_during_the_upload_does_not_fail_the_job(tmp_path: Path) -> None:
    class Renaming(Objects):
        def upload_file(self, path: str, bucket: str, key: str) -> None:
            Path(path).rename(tmp_path / "checkpoints" / "whole.pt")
            raise FileNotFoundError(path)

    folder = JobFolder(tmp_path, Renaming())
    (tmp_path / "checkpoints").mkdir(exist_ok=True)
    (tmp_path / "checkpoints" / "whole.pt.part").write_text("1")
    folder.save_checkpoints("s3://bucket/checkpoints")
    folder._s3 = s3 = Objects()
    folder.save_checkpoints("s3://bucket/checkpoints")
    assert s3.puts == ["checkpoints/whole.pt"]


def test_the_container_finds_its_configuration(tmp_path: Path) -> None:
    parameters = {"sagemaker_submit_directory": "s3://bucket/code.tar.gz", "lr": "1"}
    request = {"HyperParameters": parameters, "InputDataConfig": [channel("s3://bucket/x")]}
    JobFolder(tmp_path, Objects()).configure(request)
    config = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "input" / "config").iterdir()}
    assert config["resourceconfig"]["hosts"] == ["localhost"]
    assert config["hyperparameters"]["lr"] == "1"
    assert json.loads(config["hyperparameters"]["sagemaker_submit_directory"]) == str(tmp_path / "code")
    assert config["inputdataconfig"]["train"]["TrainingInputMode"] == "File"
    assert (tmp_path / "output" / "intermediate").is_dir()


def guarded(tmp_path: Path, script: str) -> GuardedProcess:
    command = [sys.executable, "-c", script]
    return GuardedProcess(Path(sys.executable), command, dict(os.environ), tmp_path, tmp_path / "log")


def awaited(path: Path) -> str:
    deadline = time.monotonic() + 10
    while not path.exists() or not path.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return path.read_text()


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_the_exit_code_is_the_commands(tmp_path: Path) -> None:
    process = guarded(tmp_path, "print('said', flush=True); raise SystemExit(3)")
    assert process.wait(10) == 3
    process.kill()
    assert (tmp_path / "log").read_text() == "said\n"


def test_sigterm_reaches_the_command_which_may_end_in_its_own_way(tmp_path: Path) -> None:
    script = "import signal, time, pathlib; signal.signal(15, lambda *_: exit(7)); "
    process = guarded(tmp_path, script + "pathlib.Path('ready').write_text('y'); time.sleep(60)")
    awaited(tmp_path / "ready")
    process.terminate()
    assert process.wait(10) == 7
    process.kill()


def test_killing_ends_what_the_command_started(tmp_path: Path) -> None:
    script = "import subprocess, time, pathlib; p = subprocess.Popen(['sleep', '60']); "
    process = guarded(tmp_path, script + "pathlib.Path('pid').write_text(str(p.pid)); time.sleep(60)")
    child = int(awaited(tmp_path / "pid"))
    process.kill()
    deadline = time.monotonic() + 5
    while not gone(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_group_ends_with_its_owner_even_when_that_is_killed(tmp_path: Path) -> None:
    inner = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"
    owner = (
        "import os, sys, time; from pathlib import Path; from local.training_process import GuardedProcess; "
        f"GuardedProcess(Path(sys.executable), [sys.executable, '-c', {inner!r}], dict(os.environ), "
        f"Path({str(tmp_path)!r}), Path({str(tmp_path / 'log')!r})); time.sleep(60)"
    )
    started = subprocess.Popen([sys.executable, "-c", owner], cwd=Path(__file__).resolve().parents[2])
    command = int(awaited(tmp_path / "pid"))
    started.send_signal(signal.SIGKILL)
    started.wait()
    deadline = time.monotonic() + 5
    while not gone(command):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def job(**more: Any) -> TrainingJob:
    return TrainingJob(
        {"TrainingJobName": "job", "RoleArn": "arn", "OutputDataConfig": {}, **more}, "arn:job", "us-east-1"
    )


def test_a_job_starts_and_ends_with_closed_transitions() -> None:
    subject = job()
    subject.enter("Training")
    subject.finish("Failed", "Failed", "AlgorithmError: broken")
    described = subject.describe()
    assert [each["Status"] for each in described["SecondaryStatusTransitions"]] == ["Starting", "Training", "Failed"]
    assert all("EndTime" in each for each in described["SecondaryStatusTransitions"])
    assert (described["TrainingJobStatus"], described["FailureReason"]) == ("Failed", "AlgorithmError: broken")
    assert subject.ended.is_set()


def test_a_reason_is_no_longer_than_the_service_allows() -> None:
    subject = job()
    subject.finish("Failed", "Failed", "x" * 5000)
    assert len(subject.describe()["FailureReason"]) == 1024


def test_asking_an_ended_job_to_stop_changes_nothing() -> None:
    subject = job()
    subject.finish("Completed", "Completed", "done", "s3://bucket/model.tar.gz")
    subject.ask_to_stop()
    assert subject.describe()["TrainingJobStatus"] == "Completed"
    assert not subject.stop_asked.is_set()


def test_a_job_that_is_asked_to_stop_is_stopping() -> None:
    subject = job(StoppingCondition={"MaxRuntimeInSeconds": 60})
    subject.ask_to_stop()
    described = subject.describe()
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Stopping", "Stopping")
    assert subject.limit("MaxRuntimeInSeconds") == 60
    assert subject.limit("MaxWaitTimeInSeconds") is None
