"""The step "evaluate" for a pipeline of classes: areas, floors, calibration, from verdict to `evaluation.json`."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from ratchet.catalog import load
from ratchet.errors import BadConfiguration, ContractError
from ratchet.evaluate import evaluate
from ratchet.gate import calibration
from ratchet.settings import settings

from functions.evaluate import app
from tests import classed
from tests.classed import bundle, clicks, holdout, split
from tests.fakes import Clock
from tests.judged import cheap, later
from tests.unit.test_evaluate import Context, Ports

NOW = datetime(2026, 11, 21, 4, 12, tzinfo=UTC)
OTHER_WAY = np.array([[-1.0], [1.0], [1.0]])


def judge(made, run_ts=None, **options):
    options = {"allow_synthetic": False, "measure": cheap} | options
    return evaluate(made.store, Clock(NOW), made.pipeline, made.request(run_ts), **options)


def judged(made, **options):
    judge(made, **options)
    return made.evaluation()


def failed(evaluation):
    return [row["check"] for row in evaluation["reasons"] if not row["passed"]]


def first(weights=None, *, known=1.0, **options):
    """A first model that knows so much of the signal, or has other weights."""
    made = clicks(**options)
    bundle(made, made.signal * known if weights is None else weights)
    return made


def challenged(ours, theirs, **changes):
    """A challenger with the one weights against a champion with the other."""
    made = clicks()
    champion = later(made.run_ts, -1)
    made.promote(champion, bundle(made, made.signal + theirs, champion, **changes), seq=4)
    bundle(made, made.signal + ours)
    return made


def test_a_first_model_that_ranks_people_it_has_never_seen_is_promoted():
    found = judged(first())
    assert found["verdict"] == "promote"
    assert [row["check"] for row in found["reasons"]][-9:] == [
        *("targets", "rows", "probabilities", "distinct", "outcomes", "groups", "new_rows", "floor_auc", "skill")
    ]
    assert found["reason"].startswith("Better than the training mean: ")
    assert "less log loss" in found["reason"]
    assert found["comparison"]["champion"] is None


def test_a_model_below_the_floor_is_kept_out_and_told_so_in_plain_words():
    found = judged(first(strength=0.2))
    assert (found["verdict"], failed(found)[0]) == ("keep", "floor_auc")
    assert found["reason"].startswith("Below the floor: AUC is 0.5")
    assert "95 % interval" in found["reason"]
    assert "at least 0.65 is needed, and 0.5 is a coin." in found["reason"]
    assert found["floors"] == {"auc": {"measured": found["classes"]["auc"]["estimate"], "limit": 0.65}}


def test_what_is_written_down_is_what_the_rows_say():
    made = first()
    found = judged(made)["classes"]
    click, answers, people = holdout(made, made.signal)
    above = answers[click == 1][:, None] > answers[click == 0]
    assert found["auc"]["estimate"] == pytest.approx(above.mean(), abs=1e-6)
    assert found["auc"]["low"] < found["auc"]["estimate"] < found["auc"]["high"]
    assert (found["positives"], found["groups"]) == (click.sum(), len(set(people)))
    assert found["log_loss"] == pytest.approx(calibration.log_losses(click, answers).mean(), rel=1e-5)
    assert found["brier"] == pytest.approx(np.square(click - answers).mean(), rel=1e-5)
    told = json.loads(made.store.objects[made.pipeline.keys.manifest(made.run_ts)].body)["targets"]["click"]["mean"]
    base = -np.where(click == 1, np.log(told), np.log(1 - told)).mean()
    assert found["base_rate_log_loss"] == pytest.approx(base)
    assert found["champion_auc"] is None
    bins = found["calibration"]["bins"]
    assert sum(part["rows"] for part in bins) == len(click)
    assert set(bins[0]) == {"low", "high", "rows", "predicted", "realised"}


def test_skill_is_the_share_of_the_base_rates_log_loss_that_is_gone():
    found = judged(first())
    classes, skill = found["classes"], found["skill"]["train_mean"]
    assert skill["skill"] == pytest.approx(1 - classes["log_loss"] / classes["base_rate_log_loss"])
    assert 0 < skill["low"] < skill["skill"] < skill["high"]


def test_a_model_that_ranks_well_but_is_sure_of_nonsense_is_kept_out():
    made = clicks()
    bundle(made, made.signal, base=6.0)
    found = judged(made)
    assert found["classes"]["auc"]["estimate"] > 0.65
    assert (found["verdict"], failed(found)) == ("keep", ["skill"])


def test_a_better_challenger_replaces_the_champion_by_the_paired_test_of_areas():
    found = judged(challenged(0, OTHER_WAY))
    comparison, classes = found["comparison"], found["classes"]
    assert found["verdict"] == "promote"
    assert found["reason"].startswith("Better than the champion: 0.")
    assert "more AUC" in found["reason"]
    assert comparison["metric"] == "AUC"
    assert comparison["challenger"] == classes["auc"]["estimate"]
    assert comparison["champion"] == classes["champion_auc"]["estimate"]
    assert comparison["baselines"] == {"train_mean": 0.5}
    assert comparison["difference"] == comparison["relative"] > comparison["low"] > 0
    assert comparison["difference"] == pytest.approx(comparison["challenger"] - comparison["champion"])
    assert comparison["p_value"] < 0.025
    assert (comparison["blocks"], comparison["block_minutes"]) == (classes["groups"], None)


def test_a_worse_challenger_leaves_the_champion():
    found = judged(challenged(OTHER_WAY * 0.7, 0))
    assert (found["verdict"], failed(found)) == ("keep", ["champion"])
    assert "less AUC" in found["reason"]


def test_a_challenger_that_ranks_the_same_leaves_the_champion():
    made = clicks()
    champion = later(made.run_ts, -1)
    made.promote(champion, bundle(made, made.signal * 0.9, champion))
    bundle(made, made.signal * 0.9, base=classed.BASE - 0.1)
    found = judged(made)
    assert found["verdict"] == "keep"
    assert found["reason"] == "The challenger ranks the rows as the champion ranks them."


def test_a_difference_too_small_to_tell_is_insufficient_and_says_what_would_show():
    found = judged(challenged(np.array([[0.6], [0], [0]]), np.array([[0], [-0.6], [0]])))
    assert found["verdict"] == "insufficient"
    assert f"only a gain of {found['comparison']['minimum_detectable']:.3f} would show" in found["reason"]


def test_after_the_champion_moved_the_challenger_is_judged_again():
    made = challenged(0, OTHER_WAY)
    assert judge(made)["verdict"] == "promote"
    other = later(made.run_ts, -2)
    made.promote(other, bundle(made, made.signal, other, base=classed.BASE - 0.1), seq=5)
    result = judge(made)
    assert (result["verdict"], result["champion_run_ts"]) == ("keep", other)
    assert made.evaluation()["champion"]["seq"] == 5


def test_all_rows_of_a_salted_split_are_judged_whenever_training_ended():
    made = first()
    long_after = {"start": "2026-11-01T00:00:00Z", "end": "2027-11-01T00:00:00Z"}
    bundle(made, made.signal, training=long_after)
    found = judged(made)
    assert found["verdict"] == "promote"
    assert found["holdout"]["used"] == found["holdout"]["rows"] > 900


@pytest.mark.parametrize("other", [{"salt": "another"}, {"shares": {"train": 0.5, "validation": 0.3, "holdout": 0.2}}])
def test_a_champion_of_another_split_cannot_be_compared_and_the_base_rate_decides(other):
    made = clicks()
    champion = later(made.run_ts, -1)
    made.promote(champion, bundle(made, made.signal, champion, told={"split": split(made.pipeline) | other}))
    bundle(made, made.signal)
    found = judged(made)
    assert found["verdict"] == "promote"
    assert found["champion"]["run_ts"] == champion
    assert found["comparison"]["champion"] is None
    assert any("was trained on another split" in row["text"] for row in found["reasons"])


@pytest.mark.parametrize("told", [{"split": {"salt": "another", "shares": {}}}, {"split": None}])
def test_a_challenger_of_another_split_or_of_none_is_kept_out(told):
    made = clicks()
    bundle(made, made.signal, told=told)
    found = judged(made)
    assert (found["verdict"], failed(found)[0]) == ("keep", "schema")
    assert "may have seen the holdout" in found["reason"]


def test_rows_of_another_split_than_the_pipelines_judge_nobody():
    made = clicks(told={"split": {"salt": "another", "shares": {}}})
    bundle(made, made.signal)
    assert failed(judged(made))[0] == "schema"


@pytest.mark.parametrize("outcome", [0.0, 1.0], ids=["never", "always"])
def test_an_outcome_that_never_or_always_occurs_is_insufficient(outcome):
    made = first(outcomes=[outcome])
    classed.manifest(made, targets=varied(made))
    found = judged(made)
    assert (found["verdict"], failed(found)) == ("insufficient", ["outcomes", "groups"])
    assert found["classes"] is None
    assert found["comparison"] is None


def varied(made):
    """Targets that varied in training."""
    told = json.loads(made.store.objects[made.pipeline.keys.manifest(made.run_ts)].body)["targets"]
    return {name: facts | {"counted": True, "variance": 0.1, "why_not": None} for name, facts in told.items()}


@pytest.mark.parametrize("groups", [1, 7])
def test_rows_of_too_few_groups_are_insufficient_however_many_they_are(groups):
    found = judged(first(groups=groups))
    assert (found["verdict"], failed(found)) == ("insufficient", ["groups"])
    assert f"occurred in {groups} groups of holdout rows, and failed to in {groups}; at least 8" in found["reason"]
    assert found["comparison"] is None


def test_rows_of_one_person_make_an_area_less_sure_than_rows_of_many():
    made = first()
    by_person = judged(made)["classes"]["auc"]
    made.pipeline = replace(made.pipeline, data=replace(made.pipeline.data, group=None))
    made.store.delete(made.pipeline.keys.evaluation(made.run_ts))
    by_row = judged(made)["classes"]["auc"]
    assert by_row["estimate"] == by_person["estimate"]
    assert by_person["high"] - by_person["low"] > 1.15 * (by_row["high"] - by_row["low"])


def test_a_model_that_answers_alike_to_all_is_kept_out_by_name():
    found = judged(first(np.zeros((3, 1))))
    assert (found["verdict"], failed(found)[0]) == ("keep", "distinct")
    assert "the same probability, 0.182" in found["reason"]
    assert found["classes"]["auc"] == {"estimate": 0.5, "low": 0.5, "high": 0.5}


def test_answers_that_are_ties_count_half():
    made = clicks()
    steep = np.array([[1e4], [0.0], [0.0]])
    bundle(made, steep)
    found = judged(made)["classes"]
    click, answers, _ = holdout(made, steep)
    assert len(np.unique(answers.round(6))) == 2
    ours, theirs = answers[click == 1][:, None].round(6), answers[click == 0].round(6)
    right = (ours > theirs) + 0.5 * (ours == theirs)
    assert found["auc"]["estimate"] == pytest.approx(right.mean())
    assert [part["predicted"] for part in found["calibration"]["bins"]] == pytest.approx([0, 1], abs=1e-6)


def test_answers_that_are_no_probabilities_are_kept_out():
    made = clicks()
    bundle(made, made.signal, ending="Identity")
    found = judged(made)
    assert (found["verdict"], failed(found)) == ("keep", ["probabilities"])
    assert found["classes"] is None


def test_answers_that_are_no_numbers_are_kept_out():
    made = clicks()
    bundle(made, made.signal, base=5.0, ending="Log")
    found = judged(made)
    assert (found["verdict"], failed(found)[0]) == ("keep", "finite")
    assert found["classes"] is None


def test_a_champion_whose_answers_are_no_numbers_is_not_compared():
    made = clicks()
    champion = later(made.run_ts, -1)
    made.promote(champion, bundle(made, made.signal, champion, base=5.0, ending="Log"))
    bundle(made, made.signal)
    found = judged(made)
    assert found["verdict"] == "promote"
    assert found["comparison"]["champion"] is None


def test_an_outcome_that_is_neither_is_a_named_error():
    with pytest.raises(ContractError, match="neither 0 nor 1"):
        judged(first(outcomes=[0.0, 1.0, 0.5]))


def test_classes_have_no_quantiles():
    with pytest.raises(BadConfiguration, match=r"one target and no gate\.quantiles"):
        judged(first(quantiles={"click": 0.5}))


def test_classes_are_of_one_target():
    made = first()
    data = replace(made.pipeline.data, targets={"click": "probability", "purchase": "probability"})
    made.pipeline = replace(made.pipeline, data=data)
    told = varied(made)
    classed.manifest(made, targets=told | {"purchase": told["click"]})
    with pytest.raises(BadConfiguration, match="one target"):
        judged(made)


def test_a_second_test_on_the_same_rows_is_insufficient():
    made = challenged(OTHER_WAY * 0.7, 0)
    judge(made)
    following = later(made.run_ts, 1)
    bundle(made, made.signal, following)
    assert judge(made, following)["verdict"] == "insufficient"
    assert failed(made.evaluation(following))[0] == "new_rows"


def test_a_higher_floor_of_the_stack_stands_instead_of_the_pipelines():
    found = judged(first(), floors={"auc": 0.99})
    assert (found["verdict"], failed(found)) == ("keep", ["floor_auc"])
    assert found["floors"]["auc"]["limit"] == 0.99


def test_an_evaluation_by_another_floor_is_not_adopted():
    made = first()
    assert judge(made)["verdict"] == "promote"
    assert judge(made, floors={"auc": 0.99})["verdict"] == "keep"
    writes = len(made.store.writes)
    assert judge(made, floors={"auc": 0.99})["verdict"] == "keep"
    assert len(made.store.writes) == writes


def test_a_floor_of_what_a_pipeline_has_not_is_a_configuration_fault():
    made = first(floors={})
    with pytest.raises(BadConfiguration, match="'f1' is unknown; there is r2, auc"):
        judged(made, floors={"f1": 0.5})


def test_where_a_model_errs_is_not_told_by_person_or_hour():
    found = judged(first())
    assert (found["group"], found["groups"], found["groups_left_out"], found["hours"]) == ("person", None, 0, {})


def test_no_value_is_no_number_in_any_evaluation():
    for made in (first(), challenged(0, OTHER_WAY), first(np.zeros((3, 1)))):
        judged(made)
        body = made.store.objects[made.pipeline.keys.evaluation(made.run_ts)].body
        json.loads(body, parse_constant=no_numbers)


def no_numbers(text):
    raise AssertionError(text)


@pytest.fixture
def environment(monkeypatch):
    told = {"RATCHET_BUCKET": "bucket", "RATCHET_STACK": "test", "RATCHET_FLOORS": "adclick.auc=0.99, rul.r2=0.5"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.usefixtures("environment")
def test_the_handler_takes_the_floors_of_its_stack():
    made = first(inputs=sum(load("adclick").data.features.values()))
    result = app.handler(vars(made.request()), Context(), Ports(made.store), Clock(NOW))
    assert result["verdict"] == "keep"
    assert "at least 0.99 is needed" in result["reason"]
