"""One run of a Distributed Map: its child executions, its counts, its tolerance and its result files."""

from __future__ import annotations

import json
import threading
from functools import partial
from typing import Any

from ministack.services import stepfunctions as sfn

from local.emulator import roles
from local.emulator import stepfunctions_scope as scopes
from local.emulator.stepfunctions_sdk import role_of
from local.emulator.stepfunctions_states import Context, inner, record, run_states

# AWS runs up to 10,000 children at once; a laptop does not.
AT_MOST = 16
_COUNTS = ("pending", "running", "succeeded", "failed", "timedOut", "aborted", "total", "resultsWritten")
_MORE_COUNTS = ("failuresNotRedrivable", "pendingRedrive")


class MapRun:
    """The children of one Map state, kept in ministack's own records so that its API shows them."""

    def __init__(self, state: dict[str, Any], processor: dict[str, Any], items: list[Any], at_most: int) -> None:
        """`at_most` children run at a time (0: the emulator's own bound)."""
        self._parent = scopes.current().execution
        self._processor, self._items = processor, items
        self._at_most = min(at_most or AT_MOST, AT_MOST)
        self._lock = threading.Lock()
        self._children: list[dict[str, Any]] = []
        self._tolerated: list[float] = []
        head, _, machine = self._parent["stateMachineArn"].rpartition(":stateMachine:")
        self._name = f"{machine}/{state.get('Label') or sfn.new_uuid()}"
        self._head = head
        self.arn = f"{head}:mapRun:{self._name}:{sfn.new_uuid()}"
        self._record = self._new_record(at_most)
        sfn._map_runs[self.arn] = self._record

    def _new_record(self, at_most: int) -> dict[str, Any]:
        total = len(self._items)
        counts = {**dict.fromkeys((*_COUNTS, *_MORE_COUNTS), 0), "total": total, "pending": total}
        return {
            "mapRunArn": self.arn,
            "executionArn": self._parent["executionArn"],
            "status": "RUNNING",
            "startDate": sfn.now_iso(),
            "maxConcurrency": at_most,
            "toleratedFailurePercentage": 0.0,
            "toleratedFailureCount": 0,
            "itemCounts": dict(counts),
            "executionCounts": dict(counts),
            "redriveCount": 0,
            "_stateMachineArn": f"{self._head}:stateMachine:{self._name}",
        }

    def tolerate(self, field: str, value: float) -> None:
        """Allow failures: `ToleratedFailurePercentage` (percent) or `ToleratedFailureCount`; the stricter one holds."""
        self._record[field[0].lower() + field[1:]] = value
        self._tolerated.append(value if field.endswith("Count") else value * len(self._items) / 100)

    def execute(self, ctx: Context) -> list[Any]:
        """Outputs of the children that succeeded, in the order of their items."""
        record("MapRunStarted", "mapRunStartedEventDetails", mapRunArn=self.arn)
        works = [partial(self._child, index, item, ctx) for index, item in enumerate(self._items)]
        try:
            results = scopes.run_all(works, self._at_most)
        except BaseException:
            self._close("FAILED")
            raise
        self._close("SUCCEEDED")
        return [result["output"] for result in results if result is not None]

    def _close(self, status: str) -> None:
        self._record.update(status=status, stopDate=sfn.now_iso())
        record(f"MapRun{status.title()}")

    def _child(self, index: int, item: Any, ctx: Context) -> dict[str, Any] | None:
        child = self._new_child(item)
        self._count_up("pending", "running")
        scope = scopes.Scope(child, scopes.current())
        try:
            with scopes.entered(scope):
                own = inner(ctx, Map={"Item": {"Index": index, "Value": item}})
                own["Execution"] = {**ctx["Execution"], "Id": child["executionArn"], "Input": item}
                output = run_states(self._processor, item, own)
        except sfn._ExecutionError as error:
            self._end(child, "FAILED", error=error.error, cause=error.cause)
            self._check_tolerance()
            return None
        except BaseException:
            self._end(child, "ABORTED")
            raise
        self._end(child, "SUCCEEDED", output=json.dumps(output))
        return {"output": output}

    def _new_child(self, item: Any) -> dict[str, Any]:
        name = sfn.new_uuid()
        child = {
            "executionArn": f"{self._head}:execution:{self._name}:{name}",
            "stateMachineArn": self._record["_stateMachineArn"],
            "name": name,
            "status": "RUNNING",
            "startDate": sfn.now_iso(),
            "stopDate": None,
            "input": json.dumps(item),
            "output": None,
            "mapRunArn": self.arn,
            "events": [],
        }
        sfn._executions[child["executionArn"]] = child
        self._children.append(child)
        return child

    def _end(self, child: dict[str, Any], status: str, **fields: Any) -> None:
        child.update(status=status, stopDate=sfn.now_iso(), **fields)
        self._count_up("running", status.lower())

    def _count_up(self, before: str, after: str) -> None:
        with self._lock:
            for counts in (self._record["itemCounts"], self._record["executionCounts"]):
                counts[before] -= 1
                counts[after] += 1

    def _check_tolerance(self) -> None:
        if self._record["itemCounts"]["failed"] > min(self._tolerated, default=0):
            raise sfn._ExecutionError(
                "States.ExceedToleratedFailureThreshold", "The specified tolerated failure threshold was exceeded"
            )

    def write(self, bucket: str, prefix: str) -> dict[str, Any]:
        """Put the children's results and the manifest into S3, as ResultWriter does, and return where they are."""
        base = "/".join(part for part in (prefix.strip("/"), self.arn.rsplit(":", 1)[-1]) if part)
        s3 = roles.client("s3", role_of(self._parent), "map-run", sfn.get_region())
        files: dict[str, list[dict[str, Any]]] = {"SUCCEEDED": [], "FAILED": [], "PENDING": []}
        for status in ("SUCCEEDED", "FAILED"):
            results = [_result(child) for child in self._children if child["status"] == status]
            if results:
                body, key = json.dumps(results).encode(), f"{base}/{status}_0.json"
                s3.put_object(Bucket=bucket, Key=key, Body=body)
                files[status] = [{"Key": key, "Size": len(body)}]
        manifest = {"DestinationBucket": bucket, "MapRunArn": self.arn, "ResultFiles": files}
        s3.put_object(Bucket=bucket, Key=f"{base}/manifest.json", Body=json.dumps(manifest).encode())
        return {"MapRunArn": self.arn, "ResultWriterDetails": {"Bucket": bucket, "Key": f"{base}/manifest.json"}}


def _result(child: dict[str, Any]) -> dict[str, Any]:
    names = {"executionArn": "ExecutionArn", "input": "Input", "output": "Output", "error": "Error", "cause": "Cause"}
    names |= {"name": "Name", "startDate": "StartDate", "stopDate": "StopDate", "status": "Status"}
    return {name: child[key] for key, name in names.items() if child.get(key) is not None}
