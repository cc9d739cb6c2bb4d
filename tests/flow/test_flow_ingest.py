"""The deployed ingest machine: a file lands, and its records go into the feature group in as many calls as it takes."""

from typing import Any

import pytest

from tests.flow.play import Call, Ended, play
from tests.flow.script import Answer
from tests.flow.stage import Stage

FILE, PART = "people/datasets/0123.csv", "file=0123456789abcdef"
LANDED: Answer = {"tables": {"records": {"part": PART, "rows": 4, "records": 5, "rejected": 1}}}
WRITING = {"part": PART, "execution": "$execution"}
SUMMARY = {"outcome": "ingested", "part": PART, "rows": 4, "rejected": 1, "feature_group": "people", "written": 4}


def lands(**answer: Any) -> Call:
    return Call("extract", {**LANDED, **answer}, {"part": FILE})


def writes(**answer: Any) -> Call:
    return Call("write_features", answer, WRITING)


def fails(name: str = "BadInput") -> Answer:
    return {"raises": name, "saying": "a sentence with its remedy"}


def told(found: Ended) -> dict[str, Any]:
    """The output, less the name of the pipeline, which only the story knows."""
    assert found.last == "Ingested", found
    assert found.output.pop("pipeline").startswith("story")
    return dict(found.output)


def ingested(stage: Stage, *calls: Call) -> Ended:
    return play(stage, stage.ingest, {"key": FILE}, list(calls))


def test_a_file_lands_and_its_records_go_into_the_feature_group(stage: Stage) -> None:
    assert told(ingested(stage, lands(), writes())) == SUMMARY


def test_more_records_than_one_invocation_writes_are_written_by_several(stage: Stage) -> None:
    calls = (lands(), writes(done=False, records=1), writes(done=False, records=3), writes())
    assert told(ingested(stage, *calls)) == SUMMARY


def test_while_another_execution_writes_the_records_it_is_waited_for(stage: Stage) -> None:
    calls = (lands(), writes(done=False, busy=True), writes(done=False, busy=True), writes())
    assert told(ingested(stage, *calls)) == SUMMARY


def test_without_a_feature_group_a_file_lands_all_the_same(stage: Stage) -> None:
    found = ingested(stage, lands(), writes(records=0, feature_group=None))
    assert told(found) == {**SUMMARY, "feature_group": None, "written": 0}


def test_a_file_that_is_refused_fails_by_its_name_and_writes_nothing(stage: Stage) -> None:
    refused = Call("extract", fails("SourceMismatch"), {"part": FILE})
    found = ingested(stage, refused)
    assert (found.last, found.error, found.cause) == ("Failed", "SourceMismatch", "a sentence with its remedy")


def test_records_that_are_refused_fail_by_their_error(stage: Stage) -> None:
    refused = Call("write_features", fails("BadConfiguration"), WRITING)
    found = ingested(stage, lands(), writes(done=False), refused)
    assert (found.last, found.error, found.cause) == ("Failed", "BadConfiguration", "a sentence with its remedy")


@pytest.mark.parametrize("name", ["Unavailable", "Sandbox.Timedout"])
def test_each_step_is_tried_again_where_that_may_help(name: str, stage: Stage) -> None:
    again = (Call("extract", fails(name), {"part": FILE}), lands(), Call("write_features", fails(name), WRITING))
    assert told(ingested(stage, *again, writes())) == SUMMARY
