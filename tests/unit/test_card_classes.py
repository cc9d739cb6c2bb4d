"""The card of classes: areas on one scale, what was memorised in words for a manager, the reliability plot."""

import re
from datetime import UTC, datetime

import numpy as np
import pytest
from ratchet.evaluate import evaluate

from tests.classed import BASE, bundle, clicks
from tests.fakes import Clock
from tests.judged import cheap, later
from tests.page import Page
from tests.unit.test_card_breakdown import paths

MEMORISED = {"split_by_row_auc": 0.7012, "split_by_group_auc": 0.5131}


def carded(made):
    clock = Clock(datetime(2026, 12, 21, 4, 12, tzinfo=UTC))
    evaluate(made.store, clock, made.pipeline, made.request(), allow_synthetic=False, measure=cheap)
    return made.evaluation(), made.store.objects[made.pipeline.keys.card(made.run_ts)].body


def first(strength=2.0, metrics=None, **options):
    made = clicks(strength=strength, **options)
    bundle(made, made.signal, metrics=metrics or {})
    return carded(made)


def challenged():
    made = clicks()
    champion = later(made.run_ts, -1)
    made.promote(champion, bundle(made, made.signal + np.array([[-1], [1], [1]]), champion))
    bundle(made, made.signal, metrics={"split_by_row_auc": 0.83, "split_by_group_auc": 0.81})
    return carded(made)


def test_the_page_of_a_refused_model_says_first_that_it_is_below_the_floor():
    evaluation, body = first(0.1, MEMORISED)
    page = Page(body)
    assert page.text.index("Not promoted: below the floor") < page.text.index("Below the floor: AUC is 0.")
    assert page.ids() == ["comparison", "memorised", "reasons", "calibration", "data", "lineage"]
    assert f"AUC (0.5 is a coin){evaluation['classes']['auc']['estimate']:.3f}" in page.text
    assert "Dashed: the floor, 0.65." in page.text


@pytest.mark.parametrize("make", [first, challenged], ids=["the first", "against a champion"])
def test_the_page_loads_nothing_names_its_charts_and_has_no_number_that_is_none(make):
    _, body = make()
    charts = [attributes for name, attributes in Page(body).elements if name == "svg"]
    assert charts
    assert all(attributes.get("aria-label") or attributes.get("aria-hidden") == "true" for attributes in charts)
    assert not re.search(rb"\b(nan|inf|None|null)\b", body)
    assert not re.search(rb"https?://|@import|url\(|javascript:", body)


def test_what_was_memorised_is_told_so_that_a_manager_understands():
    evaluation, body = first(0.1, MEMORISED)
    text, auc = Page(body).text, evaluation["classes"]["auc"]
    assert auc["low"] < 0.5
    for expected in (
        "On those that it has never seen",
        "Tested on rows drawn at random, this very recipe reaches an AUC of 0.70. That is memory:",
        "It recognises them.",
        f"it reaches 0.51, and {auc['estimate']:.2f} ({auc['low']:.2f} to {auc['high']:.2f}) on the holdout",
        "of a person that it has never seen, the model knows no more than a coin.",
    ):
        assert expected in text


def test_a_model_that_knows_too_little_is_said_to():
    evaluation, body = first(0.45, MEMORISED)
    assert 0.5 < evaluation["classes"]["auc"]["low"] < evaluation["classes"]["auc"]["estimate"] < 0.65
    assert "the model knows more than a coin, but less than the 0.65 that is asked for." in Page(body).text


def test_a_model_that_memorised_little_is_not_said_to():
    text = Page(challenged()[1]).text
    assert "this very recipe reaches an AUC of 0.83." in text
    assert "memory" not in text
    assert "This is what the model is worth on a person that it has never seen." in text


@pytest.mark.parametrize("told", [{}, {"split_by_row_auc": 0.7}, MEMORISED | {"split_by_group_auc": None}])
def test_where_training_has_not_told_nothing_is_said_of_memory(told):
    page = Page(first(metrics=told)[1])
    assert "memorised" not in page.ids()
    assert "cross-validated" not in page.text


def test_areas_stand_beside_the_champions_with_the_difference_between_them():
    evaluation, body = challenged()
    text, classes = Page(body).text, evaluation["classes"]
    for area in (classes["auc"], classes["champion_auc"]):
        assert f"{area['estimate']:.3f} {area['low']:.3f} to {area['high']:.3f}" in text
    assert f"Challenger less champion: +{evaluation['comparison']['relative']:.3f} (+" in text
    assert f"A true gain of {evaluation['comparison']['minimum_detectable']:.3f} in AUC would show" in text
    assert "blocks of" not in text


def test_each_bin_is_a_dot_and_true_probabilities_lie_on_the_dashes():
    evaluation, body = first()
    bins = evaluation["classes"]["calibration"]["bins"]
    top = max(max(part["predicted"], part["realised"]) for part in bins) * 1.08
    (dashes,) = paths(body.decode(), "perfect")
    assert dashes == [(0, 100), (100, 0)]
    drawn = re.findall(r'<path d="M([\d.]+) ([\d.]+)h0" class="dot mean"', body.decode())
    wanted = [(100 * part["predicted"] / top, 100 - 100 * part["realised"] / top) for part in bins]
    np.testing.assert_allclose(np.array(drawn, float), wanted, atol=0.01)


def test_what_probabilities_cost_stands_beside_the_base_rate():
    made = clicks()
    bundle(made, made.signal, base=BASE + 1)
    evaluation, body = carded(made)
    text, classes = Page(body).text, evaluation["classes"]
    assert f"off by {classes['calibration']['error'] * 100:.1f} points" in text
    assert classes["calibration"]["error"] > 0.08
    assert f"Log loss{classes['log_loss']:#.4g}" in text
    assert f"Log loss of the base rate{classes['base_rate_log_loss']:#.4g}" in text


def test_without_a_floor_the_page_says_so():
    assert "There is no floor." in Page(first(floors={})[1]).text


def test_where_nothing_could_be_judged_there_is_a_page_all_the_same():
    _, body = first(groups=7)
    assert "Not enough evidence for a first champion" in Page(body).text
    assert "comparison" not in Page(body).ids()
