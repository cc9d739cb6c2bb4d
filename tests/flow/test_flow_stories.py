"""The machines as deployed, run by the emulator on scripted functions: ends, outputs, and every call with its event."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from ratchet.instants import parse_instant

from tests.contract.application import logical_id, tasks
from tests.emulated import CHECKOUT
from tests.flow.script import DATA, EVIDENCE, PACKAGE, RUN, STEPS, URI, USUAL, filled
from tests.flow.stage import Stage

STORIES = yaml.safe_load((Path(__file__).parent / "stories.yaml").read_text())


def usual_events(pipeline: str, execution: str, given: Any, outcome: str) -> dict[str, dict[str, Any]]:
    """The event of each step in a manual run, by docs/contracts.md."""
    run = {"pipeline": pipeline, "run_ts": RUN}
    ours, job = {"execution": execution, "token": 7}, f"mlops-{pipeline}-a1r0"
    bundle = {"bundle_uri": f"{URI}/model.tar.gz", "job_name": job}
    events = {
        "claim_run": {"pipeline": pipeline, "execution": execution, "input": given},
        "take_lease": {**run, "execution": execution},
        "extract": {**run, **ours, "since_ts": None, "month": None},
        "check_sufficiency": {**run, "scheduled": False, "month": None},
        "prepare": {**run, **ours, "limit": 0, "skip_data_prep": False, "month": None, "sample": 0},
        "stage_training": {**run, "attempt": 1, "train_uri": DATA["train_uri"]},
        "confirm_training": {**run, "job_name": job, "error": None},
        "evaluate": {
            **{**run, **ours, **bundle, "manifest_uri": f"{URI}/manifest.json"},
            "holdout_uri": DATA["holdout_uri"],
        },
        "promote": {
            **{**run, **ours, **bundle, "sha256": "5ha", "champion_etag": '"e1"'},
            **{"train_uri": DATA["train_uri"], "reason": "12 % better", **EVIDENCE},
            **{"holdout_uri": DATA["holdout_uri"], "manifest_uri": f"{URI}/manifest.json"},
        },
        "give_back_lease": {**run, "execution": execution, "outcome": outcome},
    }
    # Where a person signs it has the place of the other, and the same event.
    return {**events, "register": events["promote"]}


@pytest.mark.parametrize("story", STORIES, ids=[story["it"] for story in STORIES])
def test_story(story: dict[str, Any], stage: Stage) -> None:
    machine, part = stage.pipeline(stage.signed if "signed" in story else None, **story.get("answers", {}))
    given = story.get("input", {})
    execution = stage.start(machine, given)
    ended = stage.end(execution)

    assert part.steps == story["steps"].split(), ended
    output = story.get("output", {"outcome": "failed"})
    usual = usual_events(part.pipeline, execution, given, output["outcome"])
    # When the execution was started is the stage's to say; the run of an input without an instant is named by it.
    for event in part.events("claim_run"):
        assert abs(parse_instant(event.pop("started")) - ended["startDate"]) < timedelta(seconds=1)
    for step in set(part.steps):
        unusual = story.get("events", {}).get(step, {})
        each = unusual if isinstance(unusual, list) else [unusual] * len(part.events(step))
        assert part.events(step) == [{**usual[step], **one} for one in each], step

    if "error" in story:
        assert (ended["status"], ended["error"]) == ("FAILED", story["error"])
        assert ended["cause"] == story.get("cause", ended["cause"])
        assert stage.last_state(execution) == "Failed"
        return
    assert ended["status"] == "SUCCEEDED", ended
    uris = {"evaluation": EVIDENCE["evaluation_uri"], "card": EVIDENCE["card_uri"], "package": PACKAGE}
    told = filled(output, pipeline=part.pipeline, **uris)
    assert json.loads(ended["output"]) == {"pipeline": part.pipeline, "run_ts": RUN, **told}
    assert stage.last_state(execution) == story["ends"]


def sent(step: str) -> set[str]:
    """The fields of the events that machines send to a step."""
    found: set[str] = set()
    for machine, _, task in tasks():
        given = task["Arguments"] if isinstance(task["Arguments"], dict) else {}
        called = machine.substitutions.get(given.get("FunctionName", task["Resource"])[2:-1])
        if f"${{{logical_id(step)}.Arn}}" in str(called):
            found |= set(given.get("Payload", given))
    return found


def row_of(step: str) -> list[str]:
    """What docs/contracts.md says of the event and the result of a step."""
    table = (CHECKOUT / "docs" / "contracts.md").read_text()
    (row,) = [line for line in table.splitlines() if line.startswith(f"| `{step}` |")]
    return row.split("|")[2:4]


@pytest.mark.parametrize("step", STEPS)
def test_the_stubs_speak_as_the_contract_says(step: str) -> None:
    event, result = row_of(step)
    if same := re.fullmatch(r" as `(\w+)` ", event):
        event, _ = row_of(same[1])
    assert set(USUAL[step]) <= set(re.findall(r"\w+", result))
    assert sent(step) <= set(re.findall(r"\w+", event))
