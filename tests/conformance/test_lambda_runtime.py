"""Functions run as on AWS: the deployed artifact, the role's rights, errors by name, time-outs, warm and cold."""

import concurrent.futures
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError


class Functions:
    """Invokes the sample's functions."""

    def __init__(self, emulator: Any, outputs: dict[str, str]) -> None:
        self.outputs, self.emulator = outputs, emulator
        self._client = emulator.client("lambda")

    def invoke(self, name: str, **event: Any) -> tuple[Any, str | None]:
        """The answer's document, and its FunctionError."""
        reply = self._client.invoke(FunctionName=self.outputs.get(name, name), Payload=json.dumps(event).encode())
        return json.loads(reply["Payload"].read()), reply.get("FunctionError")

    def value(self, name: str, **event: Any) -> Any:
        document, error = self.invoke(name, **event)
        assert error is None, document
        return document["value"]


@pytest.fixture(scope="module")
def functions(emulator: Any, deployment: Any) -> Functions:
    return Functions(emulator, deployment.outputs)


def test_a_function_finds_the_modules_of_its_layer(functions: Functions) -> None:
    assert functions.value("ProbeName") == "from the layer"


def test_the_next_invocation_meets_the_same_warm_process(functions: Functions) -> None:
    first, _ = functions.invoke("ProbeName")
    second, _ = functions.invoke("ProbeName")
    assert second["started"] == first["started"]
    assert second["calls"] == first["calls"] + 1


def test_concurrent_invocations_each_have_their_own_process(functions: Functions) -> None:
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: functions.invoke("ProbeName", do="sleep", seconds=0.5)[0], range(3)))
    assert len({answer["started"] for answer in answers}) == 3


def test_an_exception_is_reported_by_the_name_of_its_class(functions: Functions) -> None:
    document, error = functions.invoke("ProbeName", do="raise")
    assert (error, document["errorType"], document["errorMessage"]) == ("Unhandled", "OutOfPaper", "the tray is empty")
    assert "in _raise" in "".join(document["stackTrace"])


def test_an_exception_leaves_the_process_warm(functions: Functions) -> None:
    before, _ = functions.invoke("ProbeName")
    functions.invoke("ProbeName", do="raise")
    after, _ = functions.invoke("ProbeName")
    assert after["started"] == before["started"]


def test_a_result_that_looks_like_an_error_is_a_result(functions: Functions) -> None:
    document, error = functions.invoke("ProbeName", do="look alike")
    assert error is None
    assert document["value"]["errorType"] == "NotReally"


def test_a_function_that_runs_too_long_is_killed_and_says_so(functions: Functions) -> None:
    pid = functions.value("ProbeName", do="pid")
    began = time.monotonic()
    document, error = functions.invoke("ProbeName", do="sleep", seconds=60)
    assert time.monotonic() - began < 6
    assert (error, document["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert "Task timed out after 3.00 seconds" in document["errorMessage"]
    assert not Path(f"/proc/{pid}").exists()


def test_a_process_that_exits_is_replaced(functions: Functions) -> None:
    document, error = functions.invoke("ProbeName", do="exit")
    assert (error, document["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert functions.value("ProbeName") == "from the layer"


def test_memory_above_the_configured_size_is_refused(functions: Functions) -> None:
    assert functions.value("ProbeName", do="allocate", megabytes=64) == 64 << 20
    document, error = functions.invoke("ProbeName", do="allocate", megabytes=600)
    assert (error, document["errorType"]) == ("Unhandled", "MemoryError")


def test_a_function_sees_its_own_environment_and_none_of_the_hosts(functions: Functions) -> None:
    held = functions.value("ProbeName", do="environment")
    assert held["COLOUR"] == 'deep "blue"'
    assert held["AWS_REGION"] == "us-east-1"
    assert held["AWS_LAMBDA_FUNCTION_NAME"] == functions.outputs["ProbeName"]
    assert "HOST_SECRET" not in held
    assert held["HOME"] != os.environ.get("HOME")


def test_an_alias_runs_the_published_version(functions: Functions) -> None:
    assert functions.value("ProbeAlias", do="version") == "1"
    assert functions.value("ProbeName", do="version") == "$LATEST"


def test_a_function_acts_as_its_role(functions: Functions) -> None:
    assert ":assumed-role/sample-WriterRole" in functions.value("WriterName", do="who")


def test_a_role_without_put_object_is_refused(functions: Functions) -> None:
    document, _ = functions.invoke("ProbeName", do="put", bucket=functions.outputs["BucketName"], key="allowed/one")
    assert document["errorType"] == "AccessDenied"
    assert "AccessDenied" in document["errorMessage"]


def test_a_role_with_put_object_is_allowed_under_its_prefix_only(functions: Functions) -> None:
    bucket = functions.outputs["BucketName"]
    assert functions.value("WriterName", do="put", bucket=bucket, key="allowed/two")
    document, _ = functions.invoke("WriterName", do="put", bucket=bucket, key="elsewhere/two")
    assert "AccessDenied" in document["errorMessage"]


def test_creating_an_object_twice_with_if_none_match_is_412(functions: Functions, emulator: Any) -> None:
    bucket = functions.outputs["BucketName"]
    functions.value("WriterName", do="put", bucket=bucket, key="allowed/once", IfNoneMatch="*")
    document, _ = functions.invoke("WriterName", do="put", bucket=bucket, key="allowed/once", IfNoneMatch="*")
    assert "PreconditionFailed" in document["errorMessage"]
    with pytest.raises(ClientError) as refused:
        emulator.client("s3").put_object(Bucket=bucket, Key="allowed/once", Body=b"y", IfNoneMatch="*")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412


def test_replacing_an_object_with_if_match_works_once_per_etag(functions: Functions, emulator: Any) -> None:
    s3, bucket = emulator.client("s3"), functions.outputs["BucketName"]
    first = s3.put_object(Bucket=bucket, Key="swap", Body=b"1")["ETag"]
    s3.put_object(Bucket=bucket, Key="swap", Body=b"2", IfMatch=first)
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key="swap", Body=b"3", IfMatch=first)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    with pytest.raises(ClientError) as absent:
        s3.put_object(Bucket=bucket, Key="never", Body=b"3", IfMatch=first)
    assert absent.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_what_a_function_prints_is_in_cloudwatch_logs_and_in_its_file(functions: Functions, emulator: Any) -> None:
    functions.invoke("ProbeName", do="raise")
    name = functions.outputs["ProbeName"]
    events = emulator.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    said = "\n".join(event["message"] for event in events)
    kept = (emulator.state / "lambda" / "logs" / f"{name}.log").read_text()
    for text in (said, kept):
        assert "probe raise" in text
        assert "[ERROR] OutOfPaper: the tray is empty" in text
        assert "REPORT RequestId" in text
        assert "(rapid)" not in text


def test_an_asynchronous_invocation_runs(functions: Functions, emulator: Any) -> None:
    bucket, name = functions.outputs["BucketName"], functions.outputs["WriterName"]
    event = json.dumps({"do": "put", "bucket": bucket, "key": "allowed/later"}).encode()
    assert (
        emulator.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=event)["StatusCode"] == 202
    )
    emulator.client("s3").get_waiter("object_exists").wait(
        Bucket=bucket, Key="allowed/later", WaiterConfig={"Delay": 1, "MaxAttempts": 10}
    )
