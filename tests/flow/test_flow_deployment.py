"""The deployed deployment machine: what is approved is judged again, served, promoted, and the lease comes back."""

from hashlib import sha256
from typing import Any

import pytest

from tests.flow.play import Call, Ended, ended, play
from tests.flow.script import DATA, EVIDENCE, RUN, URI, Answer
from tests.flow.stage import Stage

CHAMPION, SAYING = "2026-11-21T03-00-00Z", "a sentence with its remedy"
BUNDLE = {"bundle_uri": f"{URI}/model.tar.gz", "job_name": "mlops-a1r0"}
GIVEN = {"run_ts": RUN, **BUNDLE, "holdout_uri": DATA["holdout_uri"], "manifest_uri": f"{URI}/manifest.json"}
OURS = {"execution": "$execution"}
TOKEN = {**OURS, "token": 7}
REPORT = {"reason": "12 % better", **EVIDENCE}


def fails(name: str) -> Answer:
    return {"raises": name, "saying": SAYING}


def takes(**answer: Any) -> Call:
    return Call("take_lease", answer, {"run_ts": RUN, **OURS})


def judges(**answer: Any) -> Call:
    return Call("evaluate", answer, {**GIVEN, **TOKEN})


def stages(**answer: Any) -> Call:
    return Call("stage_endpoint", {"status": "in_service", **answer}, {"run_ts": RUN, **TOKEN})


def stages_champion(run: str, **answer: Any) -> Call:
    """Without the lease's token: staging then insists on the champion."""
    return stages(**answer)._replace(event={"run_ts": run, "execution": None, "token": None})


def deploys(staged: Call, **answer: Any) -> list[Call]:
    """What the endpoint's machine does in the shortest way; test_flow_endpoint.py has the others."""
    verified = Call("verify_endpoint", answer, {"run_ts": staged.event["run_ts"], "endpoint": "served"})
    return [staged, verified, Call("tidy_endpoint", {}, {"endpoint": "served"})]


def promotes(etag: str = '"e1"', **answer: Any) -> Call:
    told = {"train_uri": DATA["train_uri"], "evaluation_uri": EVIDENCE["evaluation_uri"], "reason": "12 % better"}
    return Call("promote", answer, {"run_ts": RUN, **TOKEN, **BUNDLE, "sha256": "5ha", "champion_etag": etag, **told})


def gives_back(outcome: str, **answer: Any) -> Call:
    return Call("give_back_lease", answer, {"run_ts": RUN, **OURS, "outcome": outcome})


MOVED: Answer = {"status": "champion_moved", "seq": None}
HELD: Answer = {"status": "held", "token": 6, "holder": "another", "holder_run": CHAMPION}
SERVED = [takes(), judges(), *deploys(stages())]
ROLLBACK = {"run_ts": RUN, "champion": True}
REJECTED: Answer = {"status": "not_approved", "reason": "its package is Rejected"}
NOT_FOLLOWED = Ended(
    "Failed", None, "EndpointFailed", "The endpoint does not follow the pointer: its package is Rejected"
)
WORSE = {"verdict": "keep", "reason": "the champion that came meanwhile is better"}
RESTORED = deploys(stages_champion(CHAMPION))


def deployment(stage: Stage, *calls: Call, machine: str | None = None, given: dict[str, Any] = GIVEN) -> Ended:
    found = play(stage, machine or stage.deployment, given, list(calls))
    if found.output:
        assert found.output.pop("pipeline").startswith("story")
        assert found.output.pop("run_ts") == RUN
    return found


def test_a_challenger_that_is_still_better_is_served_and_then_promoted(stage: Stage) -> None:
    found = deployment(stage, *SERVED, promotes(), gives_back("promoted"))
    assert found == Ended("Promoted", {"outcome": "promoted", "verdict": "promote", **REPORT})


@pytest.mark.parametrize("verdict", ["keep", "insufficient"])
def test_a_challenger_that_is_no_better_any_more_is_not_served(verdict: str, stage: Stage) -> None:
    found = deployment(stage, takes(), judges(verdict=verdict, reason="3 % worse"), gives_back("kept_champion"))
    expected = {"outcome": "kept_champion", "verdict": verdict, **REPORT, "reason": "3 % worse"}
    assert found == Ended("Kept champion", expected)


def test_a_package_that_was_rejected_since_is_not_served_and_the_lease_comes_back(stage: Stage) -> None:
    found = deployment(stage, takes(), judges(), stages(**REJECTED), gives_back("rejected"))
    assert found == Ended("Rejected", {"outcome": "rejected", "reason": "its package is Rejected"})


def test_a_lease_that_another_run_holds_is_waited_for(stage: Stage) -> None:
    waited = [takes(**HELD), takes(**HELD), takes()]
    assert deployment(stage, *waited, *SERVED[1:], promotes(), gives_back("promoted")).last == "Promoted"


def test_a_lease_that_is_held_for_hours_fails_and_nothing_is_given_back(stage: Stage) -> None:
    text = stage.definition("DeploymentMachine", EndpointMachineArn=stage.endpoint)
    assert "$refused >= 420" in text
    impatient = stage.created("flow-impatient-deployment", text.replace("$refused >= 420", "$refused >= 3"))
    found = deployment(stage, *[takes(**HELD)] * 3, machine=impatient)
    cause = f"Run {CHAMPION} holds the lease for hours; approve again when it has ended."
    assert found == Ended("Failed", None, "AlreadyRunning", cause)


def test_a_champion_that_moved_meanwhile_is_judged_against_and_nothing_is_deployed_twice(stage: Stage) -> None:
    again = [promotes(**MOVED), judges(champion_etag='"e2"'), promotes('"e2"')]
    assert deployment(stage, *SERVED, *again, gives_back("promoted")).last == "Promoted"


def test_a_champion_that_came_meanwhile_and_is_better_is_served_again(stage: Stage) -> None:
    again = [promotes(**MOVED), judges(**WORSE), *RESTORED]
    found = deployment(stage, *SERVED, *again, gives_back("kept_champion"))
    assert found == Ended("Kept champion", {"outcome": "kept_champion", **REPORT, **WORSE})


def test_a_champion_that_may_not_be_served_again_fails_since_the_challenger_is(stage: Stage) -> None:
    refused = stages_champion(CHAMPION, **REJECTED)
    found = deployment(stage, *SERVED, promotes(**MOVED), judges(**WORSE), refused, gives_back("failed"))
    assert found == NOT_FOLLOWED


def test_after_a_rollback_the_endpoint_follows_the_pointer_under_the_lease(stage: Stage) -> None:
    calls = [takes(**HELD), takes(), *deploys(stages_champion(RUN)), gives_back("in_service")]
    found = deployment(stage, *calls, given=ROLLBACK)
    assert (found.last, found.output["outcome"], found.output["endpoint"]) == ("In service", "in_service", "served")


def test_a_rollback_to_what_was_rejected_since_fails_and_the_lease_comes_back(stage: Stage) -> None:
    calls = [takes(), stages_champion(RUN, **REJECTED), gives_back("failed")]
    assert deployment(stage, *calls, given=ROLLBACK) == NOT_FOLLOWED


def test_a_champion_that_moves_three_times_fails_and_the_lease_comes_back(stage: Stage) -> None:
    again = [promotes(**MOVED), judges(), promotes(**MOVED), judges(), promotes(**MOVED)]
    found = deployment(stage, *SERVED, *again, *RESTORED, gives_back("failed"))
    cause = "The champion moved three times while the challenger was judged; approve again."
    assert found == Ended("Failed", None, "ChampionMoved", cause)


@pytest.mark.parametrize("answer", [{"instead": {}}, {"verdict": "perhaps"}], ids=["none", "an unknown one"])
def test_an_evaluation_without_a_verdict_fails_instead_of_passing_for_a_kept_champion(
    answer: Answer, stage: Stage
) -> None:
    found = deployment(stage, takes(), judges(**answer), gives_back("failed"))
    cause = "The evaluation gave no verdict of promote, keep or insufficient."
    assert found == Ended("Failed", None, "ContractError", cause)


def test_without_a_lease_there_is_none_to_give_back(stage: Stage) -> None:
    found = deployment(stage, takes(**fails("ForeignDocument")))
    assert found == Ended("Failed", None, "ForeignDocument", SAYING)


BROKEN = {
    "the evaluation": [takes(), judges(**fails("BadBundle"))],
    "the staging": [takes(), judges(), stages(**fails("BadBundle"))],
    "the promotion": [*SERVED, promotes(**fails("BadBundle")), *RESTORED],
    "the second evaluation": [*SERVED, promotes(**MOVED), judges(**fails("BadBundle")), *RESTORED],
    "the return to the champion": [
        *(*SERVED, promotes(**MOVED), judges(**WORSE), stages_champion(CHAMPION, **fails("BadBundle")))
    ],
}


@pytest.mark.parametrize("calls", BROKEN.values(), ids=BROKEN)
def test_what_fails_gives_the_lease_back_and_fails_by_its_name(calls: list[Call], stage: Stage) -> None:
    assert deployment(stage, *calls, gives_back("failed")) == Ended("Failed", None, "BadBundle", SAYING)


def test_a_second_evaluation_without_a_verdict_gives_the_endpoint_back_to_the_champion(stage: Stage) -> None:
    unsaid = [promotes(**MOVED), judges(verdict="perhaps"), *RESTORED]
    assert deployment(stage, *SERVED, *unsaid, gives_back("failed")).error == "ContractError"


@pytest.mark.parametrize("answer", [REJECTED, fails("LeaseLost")], ids=["refused", "moved meanwhile"])
def test_the_first_error_stands_where_the_champion_cannot_be_served_again(answer: Answer, stage: Stage) -> None:
    broken = [promotes(**fails("BadBundle")), stages_champion(CHAMPION, **answer)]
    found = deployment(stage, *SERVED, *broken, gives_back("failed"))
    assert found == Ended("Failed", None, "BadBundle", SAYING)


def test_a_first_model_that_could_not_be_promoted_stays_in_service(stage: Stage) -> None:
    first = [takes(), judges(champion_run_ts=None, champion_etag=None), *deploys(stages())]
    broken = promotes(**fails("BadBundle"))._replace(event={**promotes().event, "champion_etag": None})
    found = deployment(stage, *first, broken, gives_back("failed"))
    assert found == Ended("Failed", None, "BadBundle", SAYING)


def test_what_it_starts_is_named_after_itself_so_that_a_lost_answer_starts_nothing_twice(stage: Stage) -> None:
    part = stage.part(promote=[MOVED], evaluate=[{}, WORSE])
    execution = stage.start(stage.deployment, {"pipeline": part.pipeline, **GIVEN})
    assert ended(stage, execution).last == "Kept champion"
    listed = stage.machines.list_executions(stateMachineArn=stage.endpoint)["executions"]
    name = f"{part.pipeline}-{RUN}-{sha256(execution.encode()).hexdigest()[:8]}"
    ours = {each["name"] for each in listed if each["name"].startswith(f"{part.pipeline}-")}
    assert ours == {f"{name}-deploy1", f"{name}-champion"}


def test_an_endpoint_that_answers_wrongly_is_never_promoted(stage: Stage) -> None:
    answers_wrongly = deploys(stages(), **fails("EndpointFailed"))[:2]
    put_back = Call("move_endpoint", {}, {"endpoint": "served", "config": "old", "asked": False})
    removed = Call("move_endpoint", {"status": "gone"}, {"endpoint": "candidate", "config": None, "asked": False})
    found = deployment(stage, takes(), judges(), *answers_wrongly, put_back, removed, gives_back("failed"))
    assert found == Ended("Failed", None, "EndpointFailed", SAYING)


def test_a_lease_that_cannot_be_given_back_fails_what_went_well(stage: Stage) -> None:
    found = deployment(stage, *SERVED, promotes(), gives_back("promoted", **fails("ForeignDocument")))
    assert found == Ended("Failed", None, "ForeignDocument", SAYING)


def test_the_first_error_stands_where_the_lease_cannot_be_given_back_either(stage: Stage) -> None:
    calls = [takes(), judges(**fails("BadBundle")), gives_back("failed", **fails("ForeignDocument"))]
    assert deployment(stage, *calls) == Ended("Failed", None, "BadBundle", SAYING)


@pytest.mark.parametrize("name", ["Unavailable", "Runtime.ExitError"])
def test_every_step_is_tried_again_where_that_may_help(name: str, stage: Stage) -> None:
    calls = [*SERVED, promotes(), gives_back("promoted")]
    twice = [each for call in calls for each in (call._replace(answer=fails(name)), call)]
    assert deployment(stage, *twice).last == "Promoted"
