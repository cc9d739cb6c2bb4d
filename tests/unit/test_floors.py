"""Floors: those of AUC, and what a stack sets instead of a pipeline's own."""

import pytest
from ratchet.catalog import load
from ratchet.errors import BadConfiguration
from ratchet.gate import floors, policy
from ratchet.gate.delong import Area

PIPELINES = ["adclick", "rul"]


@pytest.mark.parametrize(("estimate", "verdict"), [(0.65, "promote"), (0.649, "keep"), (0.5, "keep")])
def test_an_area_must_be_at_least_its_floor_and_the_sentence_has_its_interval(estimate, verdict):
    area = Area(estimate, estimate - 0.04, estimate + 0.05, 0.025)
    limits = {"auc": 0.65}
    (found,) = floors.checks(floors.measure(limits, [], area), limits, area)
    assert (found.name, policy.decide([found]).verdict) == ("floor_auc", verdict)
    assert f"AUC is {estimate:.3f} (95 % interval {estimate - 0.04:.3f} to {estimate + 0.05:.3f})" in found.text
    assert "at least 0.65 is needed, and 0.5 is a coin." in found.text
    assert found.text.startswith("Below the floor: ") is (verdict == "keep")


def test_only_classes_have_an_area():
    with pytest.raises(BadConfiguration, match="'auc' is unknown; there is r2"):
        floors.measure({"auc": 0.65}, [])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("adclick.auc=0.65", {"adclick": {"auc": 0.65}}),
        (" adclick.auc = 0.7 , rul.r2=0,", {"adclick": {"auc": 0.7}, "rul": {"r2": 0.0}}),
        ("rul.r2=1,rul.auc=.5", {"rul": {"r2": 1.0, "auc": 0.5}}),
    ],
)
def test_a_stack_sets_floors_by_pipeline_and_metric(text, found):
    assert floors.parse(text, PIPELINES) == found


@pytest.mark.parametrize(
    "part",
    [
        *("0.65", "auc=0.65", "adclick=0.65", "adclick.auc", "adclick.auc=", "adclick.auc=high", "adclick.auc=nan"),
        *("adclick.auc=1.1", "adclick.auc=-0.1", "adclick.auc=inf", "adclick.auc=0.6=0.7"),
        *("adclicks.auc=0.65", ".auc=0.65", "adclick.f1=0.65", "adclick.AUC=0.65", "adclick.auc.x=0.65"),
    ],
)
def test_what_cannot_be_a_floor_is_named_with_what_can(part):
    with pytest.raises(BadConfiguration) as error:
        floors.parse(f"rul.r2=0.2,{part}", PIPELINES)
    for words in (f"'{part}'", "RATCHET_FLOORS", "PIPELINE.METRIC=NUMBER", "adclick, rul", "r2, auc"):
        assert words in str(error.value)
    assert "rul.r2=0.2'" not in str(error.value)


def test_all_parts_that_cannot_be_floors_are_named_at_once():
    with pytest.raises(BadConfiguration, match=r"in 'x', 'adclick.auc=2':"):
        floors.parse("x,adclick.auc=2", PIPELINES)


def test_a_floor_that_is_given_twice_is_named():
    with pytest.raises(BadConfiguration, match=r"'adclick.auc=0.7'"):
        floors.parse("adclick.auc=0.6,adclick.auc=0.7", PIPELINES)


def test_the_floor_of_clicks_is_declared():
    gate = load("adclick").gate
    assert (gate.metric, gate.floors) == ("auc", {"auc": 0.65})
