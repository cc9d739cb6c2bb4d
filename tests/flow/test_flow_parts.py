"""Sources that are files: their parts land side by side, in an execution of their own, and are looked at once more."""

from typing import Any

from tests.flow.script import RUN
from tests.flow.stage import Stage

PARTS = ["dt=2026-11-19", "dt=2026-11-20"]


def parts(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if "part" in event]


def test_parts_that_want_to_be_landed_are_and_then_the_run_goes_on(stage: Stage) -> None:
    machine, part = stage.pipeline(extract=[{"done": False, "parts": PARTS}, {}])
    ended = stage.end(stage.start(machine, {}))
    assert stage.last_state(str(ended["executionArn"])) == "Promoted"
    landed = parts(part.events("extract"))
    assert sorted(landed, key=lambda event: event["part"]) == [
        {"pipeline": part.pipeline, "run_ts": RUN, "part": name} for name in PARTS
    ]
    assert part.steps[:2] == ["claim_run", "take_lease"]
    assert part.steps[2:7] == ["extract"] * 4 + ["check_sufficiency"]


def test_one_part_is_a_list_of_one(stage: Stage) -> None:
    machine, part = stage.pipeline(extract=[{"done": False, "parts": PARTS[:1]}, {}])
    ended = stage.end(stage.start(machine, {}))
    assert (ended["status"], len(parts(part.events("extract")))) == ("SUCCEEDED", 1)


def test_a_part_that_cannot_land_fails_the_run_by_its_own_error(stage: Stage) -> None:
    refused = {"raises": "SourceMismatch", "saying": "The file is no CSV: correct it."}
    machine, part = stage.pipeline(extract=[{"done": False, "parts": PARTS}, refused])
    ended = stage.end(stage.start(machine, {}))
    assert (ended["status"], ended["error"]) == ("FAILED", "SourceMismatch")
    assert "The file is no CSV: correct it." in ended["cause"]
    assert part.steps[-1] == "give_back_lease"


def test_a_month_and_a_sample_reach_the_steps(stage: Stage) -> None:
    machine, part = stage.pipeline(claim_run=[{"month": "2025-06", "sample": 500}])
    stage.end(stage.start(machine, {"month": "2025-06", "sample": 500}))
    assert [event["month"] for event in part.events("extract")] == ["2025-06"]
    assert [event["month"] for event in part.events("check_sufficiency")] == ["2025-06"]
    (prepared,) = part.events("prepare")
    assert (prepared["month"], prepared["sample"]) == ("2025-06", 500)
