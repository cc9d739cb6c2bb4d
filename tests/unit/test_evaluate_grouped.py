"""The step "evaluate" where rows share instants: quantile forecasts and machines, from verdict to `evaluation.json`."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from ratchet.errors import BadConfiguration, ContractError
from ratchet.evaluate import evaluate
from ratchet.evaluation import slices
from ratchet.evaluation.scores import Scores
from ratchet.evaluation.target import Target

from tests.fakes import Clock
from tests.grouped import HORIZONS, MACHINES, ORIGIN, SIGMA, forecasts, machines, patient_model, pipeline, quantiles
from tests.judged import World, cheap, later

NOW = datetime(2026, 12, 21, 4, 12, tzinfo=UTC)


def judged(made: World):
    evaluate(made.store, Clock(NOW), made.pipeline, made.request(), allow_synthetic=False, measure=cheap)
    return made.evaluation()


def failed(evaluation):
    return [row["check"] for row in evaluation["reasons"] if not row["passed"]]


def forecast(bias=None, **options):
    """The evaluation of a first model with the true weights."""
    made = forecasts(**options)
    made.bundle(made.signal, bias=quantiles() if bias is None else bias)
    return judged(made)


def challenged(ours, theirs, **changes):
    """A forecast with the one bias, against a champion with the other."""
    made = forecasts()
    champion = later(made.run_ts, -1)
    made.promote(champion, made.bundle(made.signal, champion, bias=theirs, **changes))
    made.bundle(made.signal, bias=ours)
    return made


def no_numbers(text):
    raise AssertionError(text)


def test_true_quantiles_are_promoted_and_every_check_says_why():
    found = forecast()
    assert found["verdict"] == "promote"
    assert [row["check"] for row in found["reasons"]][-3:] == ["skill", "mae", "coverage"]
    assert found["reason"].startswith("Better than every naive baseline; the closest is last week: ")
    assert found["comparison"]["metric"].startswith("mean pinball loss over training standard deviation")
    assert set(found["comparison"]["baselines"]) == {"yesterday", "last_week"}


def test_the_loss_is_the_pinball_loss_over_the_training_deviation_and_stands_per_target():
    made = forecasts()
    made.bundle(made.signal, bias=quantiles())
    found = judged(made)
    targets = found["targets"].values()
    manifest = json.loads(made.store.objects[made.pipeline.keys.manifest(made.run_ts)].body)
    deviation = np.sqrt(manifest["targets"]["kw_p50"]["variance"])
    pooled = np.mean([target["pinball"] for target in targets]) / deviation
    assert found["comparison"]["challenger"] == pytest.approx(pooled)
    assert found["targets"]["kw_p50"]["pinball"] == pytest.approx(found["targets"]["kw_p50"]["mae"] / 2)
    assert [found["targets"][name]["quantile"] for name in ("kw_p10", "kw_p50", "kw_p90")] == [0.1, 0.5, 0.9]
    assert all(target["counted"] for target in targets)


def test_coverage_stands_beside_what_is_promised():
    found = forecast()["coverage"]
    assert (found["low"], found["high"], found["promised"]) == (0.1, 0.9, 0.8)
    assert found["measured"] == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(("width", "share"), [(0.6, 0.56), (2.0, 0.99)], ids=["too narrow", "too wide"])
def test_a_band_that_does_not_hold_what_it_promises_is_kept_out(width, share):
    found = forecast(quantiles(width))
    assert (found["verdict"], failed(found)) == ("keep", ["coverage"])
    assert found["coverage"]["measured"] == pytest.approx(share, abs=0.04)


def test_without_a_tolerance_coverage_is_only_told():
    found = forecast(quantiles(2.0), coverage_tolerance=None)
    assert found["verdict"] == "promote"
    assert "coverage" not in {row["check"] for row in found["reasons"]}
    assert found["coverage"]["measured"] > 0.95


def test_quantiles_that_have_crossed_cover_nothing_and_are_kept_out():
    found = forecast(quantiles(-0.05))
    assert (found["verdict"], failed(found)) == ("keep", ["coverage"])
    assert found["coverage"]["measured"] == 0


def test_good_outer_quantiles_do_not_make_up_for_a_bad_median():
    off = quantiles()
    off[1] += 2 * SIGMA
    found = forecast(off)
    assert found["skill"]["last_week"]["low"] > 0
    assert (found["verdict"], failed(found)) == ("keep", ["mae"])
    assert "The median is worse than" in found["reason"]


def test_a_forecast_may_be_measured_by_one_baseline():
    found = forecast(baselines=["yesterday"])
    assert found["verdict"] == "promote"
    assert found["reason"].startswith("Better than yesterday: ")


def test_a_better_forecast_replaces_the_champion():
    found = judged(challenged(quantiles(), quantiles(1.6)))
    assert found["verdict"] == "promote"
    assert found["reason"].startswith("Better than the champion")
    assert found["comparison"]["low"] > 0
    assert found["targets"]["kw_p10"]["champion"]["pinball"] > found["targets"]["kw_p10"]["pinball"]
    # Medians that are the same are not worse.
    assert found["targets"]["kw_p50"]["effect"]["relative"] == 0
    assert "mae" not in failed(found)


def test_a_better_band_around_a_worse_median_leaves_the_champion():
    off = quantiles()
    off[1] += 0.5 * SIGMA
    found = judged(challenged(off, quantiles(3.0)))
    assert found["comparison"]["low"] > 0
    assert (found["verdict"], failed(found)) == ("keep", ["mae"])
    assert "worse than the champion's" in found["reason"]


def test_a_champion_of_other_inputs_is_not_compared_and_the_baselines_decide():
    made = challenged(quantiles(), quantiles(1.6), about={"inputs": ["b", "a", "c"]})
    prepared_with(made, ["a", "b", "c"])
    found = judged(made)
    assert found["verdict"] == "promote"
    assert found["champion"]["run_ts"] == later(made.run_ts, -1)
    assert found["comparison"]["champion"] is None
    assert any("other inputs or targets" in row["text"] for row in found["reasons"])


def test_a_challenger_of_other_inputs_than_the_prepared_rows_is_kept_out():
    made = forecasts()
    prepared_with(made, ["a", "b", "c"])
    made.bundle(made.signal, bias=quantiles(), about={"inputs": ["a", "c", "b"]})
    found = judged(made)
    assert (found["verdict"], failed(found)[0]) == ("keep", "schema")
    assert "input 2 is c, that of the prepared rows b" in found["reason"]


def test_models_of_the_same_inputs_are_compared():
    made = challenged(quantiles(), quantiles(1.6), about={"inputs": ["a", "b", "c"], "step_minutes": 15})
    prepared_with(made, ["a", "b", "c"])
    assert judged(made)["comparison"]["champion"] is not None


def prepared_with(made, inputs):
    key = made.pipeline.keys.manifest(made.run_ts)
    manifest = json.loads(made.store.objects[key].body) | {"about": {"inputs": inputs}}
    made.store.put(key, json.dumps(manifest).encode())


def test_each_horizon_stands_with_its_rows_and_both_errors():
    found = judged(challenged(quantiles(), quantiles(shift=1.0)))
    groups = found["groups"]
    assert found["group"] == "horizon"
    assert sorted(groups) == [f"{60 * hour:04}" for hour in range(1, HORIZONS + 1)]
    assert sum(group["rows"] for group in groups.values()) == found["holdout"]["used"]
    weighted = sum(group["rows"] * group["mae"] for group in groups.values()) / found["holdout"]["used"]
    assert weighted == pytest.approx(found["targets"]["kw_p50"]["mae"])
    assert all(group["champion_mae"] > group["mae"] for group in groups.values())


def test_machines_are_judged_by_their_squared_error_and_the_loudest_errs_most():
    made = machines()
    made.bundle(made.signal)
    found = judged(made)
    assert found["verdict"] == "promote"
    assert found["comparison"]["metric"].startswith("mean squared error")
    errors = [found["groups"][machine] for machine in MACHINES]
    assert [error["mae"] for error in errors] == sorted(error["mae"] for error in errors)
    assert {error["champion_mae"] for error in errors} == {None}
    assert (found["coverage"], found["groups_left_out"]) == (None, 0)
    assert not {"pinball", "quantile"} & set(found["targets"]["remaining_hours"])


def test_a_model_below_its_floor_is_kept_out_though_better_than_naive():
    made = machines(noise=60.0)
    made.bundle(made.signal * 0.5)
    found = judged(made)
    assert found["skill"]["train_mean"]["low"] > 0
    assert (found["verdict"], failed(found)) == ("keep", ["floor_r2"])
    assert found["floors"]["r2"]["measured"] < found["floors"]["r2"]["limit"] == 0.2
    assert found["floors"]["r2"]["measured"] == pytest.approx(found["targets"]["remaining_hours"]["r2"])


def test_rows_whose_inputs_are_missing_are_judged_all_the_same():
    made = machines(missing=True)
    features = np.random.default_rng(1).normal(size=(16, 3)).astype("f4")
    made.bundle(made.signal, model=patient_model(made.signal), reference=features @ made.signal)
    assert judged(made)["verdict"] == "promote"


def test_many_rows_of_few_instants_are_insufficient():
    made = machines(hours=14, min_holdout_rows=10)
    made.bundle(made.signal)
    found = judged(made)
    assert (found["verdict"], failed(found)) == ("insufficient", ["instants"])
    assert found["comparison"] is None
    assert (found["groups"], found["hours"], found["floors"]) == (None, {}, {})


def test_blocks_are_as_long_as_the_instants_allow_not_the_rows():
    # 56 instants of 24 rows are left: 8 blocks of 7 instants, though the rows would allow blocks of a week.
    assert forecast()["comparison"]["block_minutes"] == 7 * ORIGIN // timedelta(minutes=1)


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ({"floors": {"auc": 0.7}}, "auc"),
        ({"quantiles": {"remaining_hours": 0.5}}, r"gate\.quantiles"),
    ],
)
def test_a_gate_that_cannot_be_is_a_configuration_fault(gate, words):
    made = machines(**gate)
    made.bundle(made.signal)
    with pytest.raises(BadConfiguration, match=words):
        judged(made)


def test_a_holdout_that_lacks_a_baselines_answers_is_a_named_error():
    made = forecasts(baselines=["yesterday", "last_year"])
    made.bundle(made.signal, bias=quantiles())
    with pytest.raises(ContractError, match="lacks baseline_last_year"):
        judged(made)


def test_no_value_is_no_number_in_any_evaluation():
    for made in (challenged(quantiles(), quantiles(1.2)), machines()):
        made.bundle(made.signal, bias=quantiles() if made.signal.shape[1] == 3 else None)
        judged(made)
        body = made.store.objects[made.pipeline.keys.evaluation(made.run_ts)].body
        json.loads(body, parse_constant=no_numbers)


def rows(minutes, ends, groups=None, champion=None):
    """Scores whose error is the row's number."""
    count = len(minutes)
    error = np.arange(count, dtype=np.float64)[:, None]
    return Scores(
        np.array(minutes), np.zeros((count, 1)), error, champion, count, np.array(ends), {}, groups and np.array(groups)
    )


ONE = [Target("remaining_hours", "hours", 0.0, 1.0, True, None)]


def told(scores, zone="UTC", kind="rul"):
    declared = pipeline("rul")
    if kind != "rul":
        declared = replace(declared, source=pipeline(kind).source)
    return slices.of(scores, ONE, replace(declared, time_zone=zone))


def test_a_machine_is_looked_at_by_the_clock_of_its_site():
    found = told(rows([0, 60, 60], [9_000, 9_060, 9_060]), zone="Asia/Seoul")["hours"]
    assert found == {"09": {"rows": 1, "mae": 0.0}, "10": {"rows": 2, "mae": 1.5}}


def test_an_outcome_belongs_to_the_hour_that_it_ends_in_summer_time_included():
    # 30 June and 30 December 2026, 18:00 UTC.
    summer, winter = (int(datetime(2026, month, 30, 18, tzinfo=UTC).timestamp()) // 60 for month in (6, 12))
    found = told(rows([0, 0], [summer, winter]), zone="Europe/Paris", kind="energy")["hours"]
    assert found == {"19": {"rows": 1, "mae": 0.0}, "18": {"rows": 1, "mae": 1.0}}


def test_the_groups_with_most_rows_are_told_and_the_rest_counted():
    names = [f"m{number:03}" for number in range(slices.MOST_GROUPS + 5)]
    groups = sorted([*names, *names[5:]])
    found = told(rows([0] * len(groups), [60] * len(groups), groups))
    assert sorted(found["groups"]) == names[5:]
    assert found["groups_left_out"] == 5


def test_rows_without_groups_have_none():
    assert told(rows([0], [60]))["groups"] is None
