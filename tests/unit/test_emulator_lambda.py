"""What a function gets to see, where its code lies, and what the answers of AWS's runtime emulator mean."""

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from local.emulator.lambda_artifacts import extracted
from local.emulator.lambda_environment import Function, variables
from local.emulator.lambda_runtime import outcome
from local.emulator.runtime_process import Answer, command, readable

CONFIG: dict[str, Any] = {
    "FunctionName": "score",
    "FunctionArn": "arn:aws:lambda:eu-west-1:000000000000:function:score",
    "Version": "3",
    "MemorySize": 512,
    "Timeout": 30,
    "Environment": {"Variables": {"BUCKET": "landing", "AWS_REGION": "nowhere"}},
}


def archive(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o755 << 16
            opened.writestr(info, content)
    return buffer.getvalue()


def seen(layers: tuple[Path, ...] = ()) -> dict[str, str]:
    return variables(CONFIG, Path("/code"), layers, {"AWS_ACCESS_KEY_ID": "ASIAROLE"}, "http://127.0.0.1:1")


def test_a_function_sees_its_variables_and_its_roles_credentials() -> None:
    held = seen()
    assert held["BUCKET"] == "landing"
    assert held["AWS_ACCESS_KEY_ID"] == "ASIAROLE"
    assert held["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert held["AWS_LAMBDA_FUNCTION_VERSION"] == "3"


def test_reserved_variables_win_over_the_functions_own() -> None:
    assert seen()["AWS_REGION"] == "eu-west-1"


def test_nothing_of_the_host_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "x")
    assert "SECRET_OF_THE_HOST" not in seen()


def test_the_last_layer_comes_first_on_the_search_path() -> None:
    parts = seen((Path("/a"), Path("/b")))["PYTHONPATH"].split(os.pathsep)
    assert parts.index("/b/python") < parts.index("/a/python")


def test_an_archive_is_extracted_once_with_its_permissions(tmp_path: Path) -> None:
    content = archive(tool="#!/bin/sh")
    first = extracted(content, tmp_path)
    (first / "witness").touch()
    assert extracted(content, tmp_path) == first
    assert (first / "witness").exists()
    assert os.access(first / "tool", os.X_OK)
    assert extracted(archive(tool="other"), tmp_path) != first


def test_a_file_that_is_no_archive_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(zipfile.BadZipFile):
        extracted(b"not a zip", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_process_of_an_environment_dies_with_its_parent_and_has_a_limit() -> None:
    function = Function("score", "1", "app.handler", 3, 512, Path("/code"), (), ())
    line = " ".join(command(function, Path("/python"), Path("/rie"), (1, 2)))
    assert line.startswith("setpriv --pdeathsig KILL /rie ")
    assert line.endswith(
        f"setpriv --pdeathsig KILL prlimit --data={(512 + 96) << 20} /python -m awslambdaric app.handler"
    )


EXCEPTION = {"errorType": "Unavailable", "errorMessage": "later", "requestId": "r1", "stackTrace": []}


def told(status: int, body: Any) -> tuple[dict[str, Any], bool]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return outcome(Answer(status, raw, "log"), "r1")


@pytest.mark.parametrize(
    ("status", "body", "kind", "reusable"),
    [
        pytest.param(200, EXCEPTION, "Unavailable", True, id="an exception of the handler"),
        pytest.param(200, {**EXCEPTION, "errorType": "MemoryError"}, "MemoryError", False, id="out of memory"),
        pytest.param(200, b"Task timed out after 3.00 seconds", "Sandbox.Timedout", False, id="a time-out"),
        pytest.param(
            502,
            {**EXCEPTION, "errorType": "Runtime.ImportModuleError"},
            "Runtime.ImportModuleError",
            False,
            id="a failed import",
        ),
        pytest.param(502, b"", "Runtime.ExitError", False, id="a process that died without a word"),
    ],
)
def test_an_error_keeps_its_name(status: int, body: Any, kind: str, reusable: bool) -> None:
    result, again = told(status, body)
    assert (result["body"]["errorType"], result["function_error"], again) == (kind, "Unhandled", reusable)
    assert result["error"] is True


@pytest.mark.parametrize("body", [None, "Task timed out after 3.00 seconds", {**EXCEPTION, "requestId": "another"}, []])
def test_whatever_a_handler_returns_is_a_result(body: Any) -> None:
    result, again = told(200, body)
    assert (result["body"], "error" in result, again) == (body, False, True)


def test_the_runtime_emulators_own_lines_are_left_out_of_the_log() -> None:
    output = "21 Nov [INFO] (rapid) INIT START\nSTART RequestId: r1\n[ERROR] Boom\rTraceback\n"
    assert readable(output) == "START RequestId: r1\n[ERROR] Boom\nTraceback"
