"""The deployed batch machine: its ranges, its answer, and what it says of a range that cannot be scored."""

import io
import json
import zipfile
from typing import Any

import pytest

from tests.flow.stage import Stage, definition

STUB = """
class BadInput(Exception):
    pass

def handler(event, context):
    if "start" not in event:
        return {"ranges": [{**event, "start": n, "bad": event["bad"] == n} for n in range(event["ranges"])]}
    if event["bad"]:
        raise BadInput(f"line 3 after byte {event['start']}: 'embedding_a' has 255 values; send 256.")
    return {"rows": 10 + event["start"], "output_uri": event["output_uri"], "model_run_ts": "run"}
"""


@pytest.fixture(scope="module")
def machine(stage: Stage) -> str:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("app.py", STUB)
    client = stage.emulator.client("lambda")
    arn = client.create_function(
        FunctionName="flow-batch",
        Runtime="python3.12",
        Handler="app.handler",
        Role=stage.role,
        Code={"ZipFile": archive.getvalue()},
    )["FunctionArn"]
    filled = definition("score_batch.asl.yaml", PlanBatchFunctionArn=arn, ScoreFunctionArn=arn)
    created = stage.machines.create_state_machine(name="flow-score-batch", definition=filled, roleArn=stage.role)
    return str(created["stateMachineArn"])


def ended(stage: Stage, machine: str, **event: Any) -> dict[str, Any]:
    given = {"pipeline": "returns", "input_uri": "s3://b/in", "output_uri": "s3://b/out", "bad": None, **event}
    return stage.end(stage.start(machine, given))


@pytest.mark.parametrize(("ranges", "rows", "runs"), [(0, 0, []), (1, 10, ["run"]), (3, 33, ["run"])])
def test_ranges_are_scored_and_their_rows_summed(
    stage: Stage, machine: str, ranges: int, rows: int, runs: list[str]
) -> None:
    execution = ended(stage, machine, ranges=ranges)
    assert execution["status"] == "SUCCEEDED", execution
    expected = {"outcome": "scored", "output_uri": "s3://b/out", "parts": ranges, "rows": rows, "model_run_ts": runs}
    assert json.loads(execution["output"]) == expected


@pytest.mark.parametrize("ranges", [1, 3])
def test_a_range_with_a_bad_row_fails_the_execution_by_its_name_and_sentence(
    stage: Stage, machine: str, ranges: int
) -> None:
    execution = ended(stage, machine, ranges=ranges, bad=0)
    assert (execution["status"], execution["error"]) == ("FAILED", "BadInput")
    assert execution["cause"] == "line 3 after byte 0: 'embedding_a' has 255 values; send 256."
