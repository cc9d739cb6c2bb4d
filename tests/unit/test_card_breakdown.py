"""The card of forecasts and machines: where a model errs, what it looks at, the newest forecasts; drawn to scale."""

import re
from datetime import UTC, datetime

import numpy as np
import pytest
from ratchet.card import bars, breakdown, fan, plot, scales, words
from ratchet.card.bars import Bar
from ratchet.evaluate import evaluate

from tests.fakes import Clock
from tests.grouped import forecasts, machines, quantiles
from tests.judged import cheap, later
from tests.page import Page

IMPORTANCE = {f"input_{number}": 1.0 / (1 + number) for number in range(30)}


def carded(made):
    clock = Clock(datetime(2026, 12, 21, 4, 12, tzinfo=UTC))
    evaluate(made.store, clock, made.pipeline, made.request(), allow_synthetic=False, measure=cheap)
    return made.evaluation(), made.store.objects[made.pipeline.keys.card(made.run_ts)].body


def forecast(champion=None):
    made = forecasts()
    if champion is not None:
        run = later(made.run_ts, -1)
        made.promote(run, made.bundle(made.signal, run, bias=champion))
    made.bundle(made.signal, bias=quantiles(), metrics={"rounds": 40, "importance": IMPORTANCE})
    return carded(made)


def lengths(drawn, side):
    """One side of every bar, in the order of drawing."""
    return [float(size) for size in re.findall(rf'<rect [^>]*{side}="([\d.]+)"[^>]*class="column"/>', drawn)]


def paths(drawn, kind):
    """The points of every stroke of that kind."""
    found = re.findall(rf'<path d="M([^"]+)" class="{kind}"', drawn)
    return [[tuple(map(float, point.split())) for point in path.split("L")] for path in found]


@pytest.mark.parametrize("champion", [None, quantiles(1.5)], ids=["the first", "against a champion"])
def test_the_page_of_a_forecast_has_every_section_and_is_sound(champion):
    _, body = forecast(champion)
    page = Page(body)
    assert page.ids() == [
        *("comparison", "reasons", "targets", "forecasts", "fit", "residuals"),
        *("groups", "hours", "importance", "data", "lineage"),
    ]
    charts = [attributes for name, attributes in page.elements if name == "svg"]
    assert all(attributes.get("aria-label") or attributes.get("aria-hidden") == "true" for attributes in charts)
    assert not re.search(rb"\b(nan|inf|None|null)\b", body)


def test_coverage_stands_beside_the_forecasts_and_at_the_top():
    evaluation, body = forecast()
    text = Page(body).text
    share = words.percent(evaluation["coverage"]["measured"], signed=False)
    assert f"between the 10 % and the 90 % quantile. {share} of the judged outcomes" in text
    assert f"Coverage (80 % promised){share}" in text


def test_answers_are_called_by_their_quantile_and_only_the_median_is_drawn_against_outcomes():
    _, body = forecast()
    text = Page(body).text
    for name in ("10 % quantile", "Median", "90 % quantile", "Pinball loss"):
        assert name in text
    assert "Sign accuracy" not in text
    assert body.count(b"realised over predicted") == 1


def test_importance_is_drawn_once_and_not_listed_among_the_metrics():
    text = Page(forecast()[1]).text
    assert "The 20 of 30 inputs that move predictions most" in text
    assert text.count("input_0") == 1
    assert "input_20" not in text


def test_the_page_of_machines_has_their_sections_and_no_forecasts():
    made = machines()
    made.bundle(made.signal)
    _, body = carded(made)
    page = Page(body)
    assert page.ids() == [
        *("comparison", "reasons", "targets", "fit", "residuals", "groups", "hours", "data", "lineage")
    ]
    assert "Error by machine" in page.text
    assert "Mean absolute error (hours), worst first." in page.text


def test_a_year_of_forecasts_makes_a_page_that_is_no_larger():
    sizes = []
    for origins in (120, 480):
        made = forecasts(origins)
        made.bundle(made.signal, bias=quantiles())
        sizes.append(len(carded(made)[1]))
    assert sizes[1] < 1.3 * sizes[0] < 200_000


def test_rows_that_files_did_not_give_are_counted_apart_from_records_that_were_rejected():
    told = {"left_out": {"no outcome": 90}, "rejected": {"readings: no number": 5_000}}
    counts = {"rows": 1_000, "train": 700, "validation": 100, "holdout": 200, "embargoed": 10, **told}
    made = forecasts(manifest={"counts": counts})
    made.bundle(made.signal, bias=quantiles())
    text = Page(carded(made)[1]).text
    assert "Left out908.2 %" in text
    assert "no outcome90rejected of readings: no number5,000" in text


def test_a_search_is_told_by_its_choice_and_its_number_of_trials():
    search = {"chosen": {"num_leaves": 31}, "trials": [{"number": 0, "value": 0.5, "params": {}}] * 40}
    made = machines()
    made.bundle(made.signal, metrics={"search": search})
    text = Page(carded(made)[1]).text
    assert "search: Chosennum_leaves 31" in text
    assert "search: Trials40 entries" in text


def an_evaluation(**changes):
    target = {"unit": "hours", "counted": True}
    common = {"group": "machine", "groups": None, "groups_left_out": 0, "hours": {}, "time_zone": "Asia/Seoul"}
    return {**common, "targets": {"remaining_hours": target}, "lineage": {"metrics": {}}, **changes}


def group(mae, champion=None, rows=10):
    return {"rows": rows, "mae": mae, "champion_mae": champion}


def test_bars_of_groups_stand_worst_first_to_scale_beside_the_champion():
    drawn = breakdown.by_group(an_evaluation(groups={"a": group(1.0, 2.0), "b": group(4.0, 3.0), "c": group(2.0, 1.0)}))
    assert drawn is not None
    assert re.findall(r'<th scope="row">(\w)', drawn) == ["b", "c", "a"]
    longest, *others = lengths(drawn, "width")
    assert longest == pytest.approx(100 / 1.04, rel=1e-3)
    assert others == pytest.approx([longest / 2, longest / 4], rel=1e-3)
    assert [path[0][0] for path in paths(drawn, "rival")] == pytest.approx(
        [longest * 3 / 4, longest / 4, longest / 2], rel=1e-3
    )


def test_more_groups_than_fit_are_counted():
    groups = {f"m{number}": group(float(number)) for number in range(30)}
    drawn = breakdown.by_group(an_evaluation(groups=groups, groups_left_out=7))
    assert drawn is not None
    assert "17 more are not shown" in drawn
    assert drawn.count("<rect") == 20
    assert "champion" not in drawn


def test_groups_that_are_spans_of_time_are_a_line():
    groups = {"0060": group(1.0, 2.0), "0240": group(2.0, 2.0), "1440": group(4.0, 2.0)}
    drawn = breakdown.by_group(an_evaluation(group="horizon", groups=groups))
    assert drawn is not None
    (ours,) = paths(drawn, "mean-line")
    assert [x for x, _ in ours] == pytest.approx([0, 100 * 180 / 1380, 100], rel=1e-3)
    assert [100 - y for _, y in ours] == pytest.approx([100 / 4.24, 200 / 4.24, 400 / 4.24], rel=1e-3)
    assert len(paths(drawn, "rival")) == 1
    assert "1 at 1 h, 4 at 1 d" in drawn


def test_hours_of_the_day_stand_where_they_belong_and_missing_ones_stay_empty():
    drawn = breakdown.by_hour(an_evaluation(hours={"00": {"rows": 1, "mae": 1.0}, "23": {"rows": 1, "mae": 2.0}}))
    assert drawn is not None
    assert lengths(drawn, "x") == pytest.approx([100 * 0.14 / 24, 100 * 23.14 / 24], rel=1e-3)
    low, high = lengths(drawn, "height")
    assert high == pytest.approx(2 * low, rel=1e-3)
    assert "by the clock of Asia/Seoul" in drawn
    assert "Highest from 23:00 on: 2." in drawn


@pytest.mark.parametrize(
    "told",
    [
        breakdown.by_group(an_evaluation()),
        breakdown.by_group(an_evaluation(groups={"a": group(1.0)})),
        breakdown.by_hour(an_evaluation()),
        breakdown.by_hour(an_evaluation(hours={"04": {"rows": 9, "mae": 1.0}})),
        breakdown.importance(an_evaluation()),
        breakdown.importance(an_evaluation(lineage={"metrics": {"importance": [1, 2]}})),
        breakdown.importance(an_evaluation(lineage={"metrics": {"importance": {"a": "x", "b": None, "c": True}}})),
    ],
)
def test_where_there_is_nothing_to_show_there_is_no_section(told):
    assert told is None


def test_importance_is_shown_for_sound_values_largest_first_and_names_are_escaped():
    told = {"<b>": 0.5, "small": 0.25, "odd": float("nan"), "negative": -1, "text": "9"}
    drawn = breakdown.importance(an_evaluation(lineage={"metrics": {"importance": told}}))
    assert drawn is not None
    assert re.findall(r'<th scope="row">([^ ]+)', drawn) == ["&lt;b&gt;", "small"]


def test_bars_of_nothing_have_no_length():
    assert lengths(bars.table([Bar("a", 0.0), Bar("b", 0.0)], ("A", "B")), "width") == [0, 0]


def hourly(origins, horizons=4, level=0.0):
    """Forecasts of 1, 2, 3 around outcomes of 2 + level: origins, ends, outcomes, answers."""
    starts = np.repeat(np.array(origins), horizons)
    ends = starts + 60 * np.tile(np.arange(1, horizons + 1), len(origins))
    return starts, ends, np.full(len(starts), 2.0 + level), np.tile([1.0, 2.0, 3.0], (len(starts), 1))


def test_a_forecast_is_drawn_with_its_band_median_and_outcomes():
    drawn = fan.forecasts(*hourly([0]))
    assert drawn is not None
    ((band,), (median,), (outcome,)) = (paths(drawn, kind) for kind in ("band", "mean-line", "outcome"))
    scale = plot.axis([1.0, 3.0])
    assert median == outcome == [pytest.approx((x, scale.up(2.0)), rel=1e-3) for x in (0, 100 / 3, 200 / 3, 100)]
    assert [y for _, y in band] == pytest.approx([scale.up(3.0)] * 4 + [scale.up(1.0)] * 4, rel=1e-3)
    assert "100.0 % within" in drawn


def test_the_last_three_origins_are_drawn_and_each_says_how_many_outcomes_its_band_held():
    drawn = fan.forecasts(*hourly([0, 1_440, 2_880, 4_320], level=1.5))
    assert drawn is not None
    assert re.findall(r"<b>([^<]+)</b>", drawn) == ["2 Jan 00:00 UTC", "3 Jan 00:00 UTC", "4 Jan 00:00 UTC"]
    assert drawn.count("0.00 % within") == 2 * 3


def test_rows_are_drawn_in_the_order_of_their_outcomes_whatever_the_order_in_the_file():
    starts, ends, outcomes, answers = hourly([0])
    outcomes += np.arange(4)
    order = [2, 0, 3, 1]
    mixed = fan.forecasts(starts, ends[order], outcomes[order], answers)
    assert mixed == fan.forecasts(starts, ends, outcomes, answers)


def test_forecasts_whose_outcomes_are_not_all_known_are_left_out():
    starts, ends, outcomes, answers = (column[:-1] for column in hourly([0, 1_440, 2_880]))
    drawn = fan.forecasts(starts, ends, outcomes, answers)
    assert drawn is not None
    assert re.findall(r"<b>([^<]+)</b>", drawn) == ["1 Jan 00:00 UTC", "2 Jan 00:00 UTC"]


def test_dates_at_the_edge_of_a_panel_are_left_out():
    drawn = fan.forecasts(*hourly([0], horizons=25))
    assert drawn is not None
    assert re.findall(r'left:([\d.]+)%">([^<]+)<', drawn) == [("45.83", "1 Jan 12:00")]


def test_single_rows_are_no_forecast():
    assert fan.forecasts(*hourly([0, 60, 120], horizons=1)) is None


def test_a_very_fine_forecast_has_a_bounded_number_of_points():
    drawn = fan.forecasts(*hourly([0], horizons=5_000))
    assert drawn is not None
    assert len(paths(drawn, "outcome")[0]) == 288


@pytest.mark.parametrize(
    ("minutes", "text"), [(15, "15 min"), (60, "1 h"), (90, "1.5 h"), (75, "75 min"), (1440, "1 d"), (2160, "1.5 d")]
)
def test_lengths_of_time_are_written_in_the_largest_unit_that_fits(minutes, text):
    assert words.span_of(minutes) == text


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(15, 1440, ["6 h", "12 h", "18 h", "1 d"]), (60, 240, ["1 h", "2 h", "3 h", "4 h"])],
)
def test_ticks_along_a_length_of_time_are_round(low, high, expected):
    assert [text for _, text in scales.spans(plot.Axis(low, high), 4)] == expected
