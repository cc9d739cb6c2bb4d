"""Runs functions as AWS does: the deployed archive and layers under AWS's own runtime, errors by their class's name.

Replaces ministack's own workers for Python, which report every exception as `Runtime.HandlerError`. Everything around
an execution (aliases, versions, asynchronous retries, concurrency, CloudWatch Logs) stays ministack's.
Known differences: `context.invoked_function_arn` is the runtime emulator's constant, and a cold start counts into the
time-out.
"""

from __future__ import annotations

import atexit
import json
import re
import shutil
import threading
from pathlib import Path
from typing import Any

from local.emulator import settings
from local.emulator.lambda_artifacts import extracted
from local.emulator.lambda_environment import Function, variables
from local.emulator.runtime_pool import Pool
from local.emulator.runtime_process import Answer, ProcessEnded, RuntimeProcess

_TIMED_OUT = re.compile(r"Task timed out after [\d.]+ seconds")
_log_lock = threading.Lock()

Result = dict[str, Any]


def failure(kind: str, message: str, log: str) -> Result:
    """A function error in ministack's terms."""
    body = {"errorType": kind, "errorMessage": message}
    return {"body": body, "error": True, "function_error": "Unhandled", "log": log, "log_source": "rie"}


def outcome(answer: Answer, request_id: str) -> tuple[Result, bool]:
    """What an answer means to ministack, and whether its process may serve again.

    Errors and time-outs come with HTTP 200: a time-out as bare text, an exception as JSON with the request's id.
    """
    text = answer.body.decode(errors="replace")
    if _TIMED_OUT.fullmatch(text):
        return failure("Sandbox.Timedout", f"RequestId: {request_id} Error: {text}", answer.log), False
    try:
        body = json.loads(text)
    except ValueError:
        message = f"RequestId: {request_id} Error: Runtime exited without providing a reason"
        return failure("Runtime.ExitError", message, answer.log), False
    if answer.status >= 400:
        return failure(body["errorType"], body["errorMessage"], answer.log), False
    if _is_exception(body, request_id):
        reported = failure(body["errorType"], body["errorMessage"], answer.log)
        return {**reported, "body": body}, body["errorType"] != "MemoryError"
    return {"body": body, "log": answer.log, "log_source": "rie"}, True


def _is_exception(body: Any, request_id: str) -> bool:
    fields = {"errorType", "errorMessage", "requestId", "stackTrace"}
    return isinstance(body, dict) and body.keys() == fields and body["requestId"] == request_id


class Runtime:
    """Executes functions for ministack."""

    def __init__(self, configured: settings.Settings) -> None:
        """Starts nothing yet; removes the working folders that a killed emulator left."""
        self._settings = configured
        self._root = configured.state / "lambda"
        shutil.rmtree(self._root / "environments", ignore_errors=True)
        self._pool: Pool[RuntimeProcess] = Pool(self._start)

    def execute(self, record: dict[str, Any], event: Any, request_id: str) -> Result:
        """Run one invocation of ministack's function `record`; every failure is a result, as Invoke reports it."""
        function = self._function(record)
        try:
            with self._pool.lease(function) as lease:
                result, reusable = outcome(lease.process.invoke(event, request_id), request_id)
                if not reusable:
                    lease.spend()
        except ProcessEnded as ended:
            result = failure("Runtime.ExitError", f"RequestId: {request_id} Error: Runtime exited", str(ended))
        self._keep_log(function.name, result["log"])
        return result

    def close(self) -> None:
        """End all processes."""
        self._pool.close()

    def _start(self, function: Function) -> RuntimeProcess:
        given = self._settings
        return RuntimeProcess(function, given.runtime_python, given.rie, self._root / "environments")

    def _function(self, record: dict[str, Any]) -> Function:
        config = _unqualified(record["config"])
        code = extracted(record["code_zip"], self._root / "code")
        layers = tuple(self._layers(config))
        held = variables(config, code, layers, _credentials(config), self._settings.endpoint)
        return Function(
            name=config["FunctionName"],
            version=str(config.get("Version", "$LATEST")),
            handler=config["Handler"],
            timeout=int(config.get("Timeout", 3)),
            memory=int(config.get("MemorySize", 128)),
            code=code,
            layers=layers,
            variables=tuple(sorted(held.items())),
        )

    def _layers(self, config: dict[str, Any]) -> list[Path]:
        from ministack.services import lambda_svc

        archives = [lambda_svc._resolve_layer_zip(layer) for layer in config.get("Layers", [])]
        return [extracted(archive, self._root / "layers") for archive in archives if archive]

    def _keep_log(self, name: str, text: str) -> None:
        folder = self._root / "logs"
        with _log_lock:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / f"{name}.log").open("a") as opened:
                opened.write(f"{text}\n")


def _unqualified(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration under the function's own ARN: an alias and its version share processes and role session."""
    return {**config, "FunctionArn": ":".join(config["FunctionArn"].split(":")[:7])}


def _credentials(config: dict[str, Any]) -> dict[str, str]:
    from ministack.core.lambda_runtime import execution_credentials

    found: dict[str, str] = execution_credentials(config)
    return {key: value for key, value in found.items() if value}


def install() -> None:
    """Take over the execution of Python functions."""
    from ministack.services import lambda_svc

    runtime = Runtime(settings.current())
    atexit.register(runtime.close)
    lambda_svc._execute_function_warm = runtime.execute
