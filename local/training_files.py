"""The files of one training job: its folder as the containers see it, and the ways between that folder and S3.

All reads and writes use the client given, which acts as the job's role. Boundary: no processes, no statuses.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import IO, Any

from botocore.exceptions import ClientError

# A source archive holds scripts and a few wheels; a container would not fit larger ones either.
_LARGEST_SOURCE_BYTES = 4 * 1024**3


class DataUnavailable(Exception):
    """Something the job needs could not be read, or what it made could not be written; the text is a FailureReason."""


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise DataUnavailable(f"ClientError: {uri!r} is no S3 URI")
    return bucket, key


def parsed(hyperparameters: dict[str, str]) -> dict[str, Any]:
    """Hyperparameters as the toolkit reads them: JSON where the text is JSON, else the text."""
    return {name: _loaded(value) for name, value in hyperparameters.items()}


def _loaded(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


class JobFolder:
    """`/opt/ml` of one job, under a folder of the laptop target."""

    def __init__(self, root: Path, s3: Any) -> None:
        """`root` is made afresh below; `s3` is a boto3 client with the job's role."""
        self.root, self._s3 = root, s3
        self.checkpoints = root / "checkpoints"
        self._uploaded: dict[str, tuple[int, int]] = {}
        for part in (
            "code",
            "model",
            "input/config",
            "input/data",
            "output/data",
            "output/intermediate",
            "checkpoints",
        ):
            (root / part).mkdir(parents=True, exist_ok=True)

    def configure(self, request: dict[str, Any]) -> None:
        """Write the three files a container finds under `input/config`."""
        resources = request.get("ResourceConfig", {})
        parameters = dict(request.get("HyperParameters", {}))
        if "sagemaker_submit_directory" in parameters:
            parameters["sagemaker_submit_directory"] = json.dumps(str(self.root / "code"))
        group: dict[str, Any] = {"instance_group_name": "homogeneousCluster", "hosts": ["localhost"]}
        group["instance_type"] = resources.get("InstanceType", "local")
        host: dict[str, Any] = {"current_host": "localhost", "hosts": ["localhost"], "network_interface_name": "lo"}
        host |= {"current_instance_type": group["instance_type"], "instance_groups": [group]}
        host |= {"current_instance_group": "homogeneousCluster", "current_group_name": "homogeneousCluster"}
        channels = {channel["ChannelName"]: _channel(channel) for channel in request.get("InputDataConfig", [])}
        for name, content in (("hyperparameters", parameters), ("resourceconfig", host), ("inputdataconfig", channels)):
            (self.root / "input" / "config" / f"{name}.json").write_text(json.dumps(content))

    def fetch_source(self, uri: str) -> None:
        """Unpack the source archive into `code/`; a member that leaves the folder is refused."""
        with tempfile.TemporaryFile() as file:
            bucket, key = split_uri(uri)
            self._fetch("Code download failed", bucket, key, file)
            file.seek(0)
            try:
                with tarfile.open(fileobj=file, mode="r:gz") as archive:
                    _check_size(archive)
                    archive.extractall(self.root / "code", filter="data")
            except (tarfile.TarError, OSError, EOFError) as error:
                raise DataUnavailable(f"ClientError: {uri} cannot be unpacked: {error}") from error

    def fetch_channels(self, request: dict[str, Any]) -> None:
        """Download every channel's objects into `input/data/<channel>/`."""
        for channel in request.get("InputDataConfig", []):
            source = channel["DataSource"].get("S3DataSource", {})
            if source.get("S3DataType") != "S3Prefix":
                raise DataUnavailable("ClientError: the laptop target reads channels of S3DataType S3Prefix only")
            if not self._download(source["S3Uri"], self.root / "input" / "data" / channel["ChannelName"]):
                raise DataUnavailable(f"ClientError: Data download failed: no S3 objects found under {source['S3Uri']}")

    def fetch_checkpoints(self, uri: str) -> None:
        """Bring earlier checkpoints down, as a restarted job finds them."""
        self._download(uri, self.checkpoints)
        self._uploaded = {path: state for path, _, state in self._checkpoint_files()}

    def save_checkpoints(self, uri: str) -> None:
        """Upload the checkpoints that changed since the last call."""
        bucket, prefix = split_uri(uri)
        for relative, path, state in self._checkpoint_files():
            if self._uploaded.get(relative) != state:
                key = str(PurePosixPath(prefix) / relative)
                # A script replaces its checkpoints by renaming: what vanished meanwhile comes with the next call.
                with contextlib.suppress(FileNotFoundError):
                    self._call("Checkpoint upload failed", self._s3.upload_file, str(path), bucket, key)
                    self._uploaded[relative] = state

    def _checkpoint_files(self) -> list[tuple[str, Path, tuple[int, int]]]:
        found = []
        for path in sorted(self.checkpoints.rglob("*")):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file():
                    state = path.stat()
                    name = path.relative_to(self.checkpoints).as_posix()
                    found.append((name, path, (state.st_mtime_ns, state.st_size)))
        return found

    def upload_model(self, output_path: str, job: str) -> str:
        """Pack `model/` and `output/data/`, upload both where SageMaker puts them, and return the model's URI."""
        base = f"{output_path.rstrip('/')}/{job}/output"
        if any((self.root / "output" / "data").iterdir()):
            self._upload_archive(self.root / "output" / "data", f"{base}/output.tar.gz")
        self._upload_archive(self.root / "model", f"{base}/model.tar.gz")
        return f"{base}/model.tar.gz"

    def failure(self) -> str:
        """What the script or the toolkit wrote about its failure; empty when nothing."""
        path = self.root / "output" / "failure"
        return path.read_text(errors="replace").strip() if path.exists() else ""

    def _upload_archive(self, folder: Path, uri: str) -> None:
        bucket, key = split_uri(uri)
        with tempfile.TemporaryFile() as file:
            # The same files as the same bytes: a job that was repeated can be compared with the one before.
            with (
                gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
                tarfile.open(fileobj=packed, mode="w") as archive,
            ):
                for path in sorted(folder.iterdir()):
                    archive.add(path, path.name, filter=_without_owner_and_time)
            file.seek(0)
            self._call("Artifact upload failed", self._s3.put_object, Bucket=bucket, Key=key, Body=file)

    def _download(self, uri: str, folder: Path) -> int:
        bucket, prefix = split_uri(uri)
        folder.mkdir(parents=True, exist_ok=True)
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        listed = self._call(
            "Data download failed", lambda: [item["Key"] for p in pages for item in p.get("Contents", [])]
        )
        keys = [key for key in listed if not key.endswith("/")]
        for key in keys:
            target = (folder / relative_name(key, prefix)).resolve()
            if not target.is_relative_to(folder.resolve()):
                raise DataUnavailable(f"ClientError: the key {key!r} leads out of the channel")
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                self._fetch("Data download failed", bucket, key, file)
        return len(keys)

    def _fetch(self, what: str, bucket: str, key: str, file: IO[bytes]) -> None:
        # Not download_file: that asks HEAD first, whose refusals have no text.
        shutil.copyfileobj(self._call(what, self._s3.get_object, Bucket=bucket, Key=key)["Body"], file)

    def _call(self, what: str, call: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return call(*arguments, **named)
        except ClientError as error:
            code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
            message = error.response["Error"].get("Message", "")
            raise DataUnavailable(
                f"ClientError: {what}:{code} ({status}): {message} {named.get('Key', '')}".rstrip()
            ) from error


def relative_name(key: str, prefix: str) -> str:
    """Where an object of a prefix lies in its channel: what follows the prefix, or its name where nothing does."""
    rest = key[len(prefix) :]
    if prefix.endswith("/") or rest.startswith("/"):
        return rest.lstrip("/")
    return key.rsplit("/", 1)[-1] if "/" not in rest else rest.lstrip("/")


def _without_owner_and_time(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime = entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _channel(channel: dict[str, Any]) -> dict[str, str]:
    chosen = {"TrainingInputMode": channel.get("InputMode", "File"), "S3DistributionType": "FullyReplicated"}
    return {**chosen, "RecordWrapperType": channel.get("RecordWrapperType", "None")}


def _check_size(archive: tarfile.TarFile) -> None:
    total = sum(member.size for member in archive)
    if total > _LARGEST_SOURCE_BYTES:
        raise DataUnavailable(f"ClientError: the source unpacks to {total} bytes, more than {_LARGEST_SOURCE_BYTES}")
