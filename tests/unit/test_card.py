"""The report card: self-contained, well-formed, escaped, complete for every verdict, and bounded in size."""

import json
import re
from datetime import UTC, datetime

import numpy as np
import pytest
from ratchet import card
from ratchet.card import plot, series, words
from ratchet.card.markup import Markup, join, tag
from ratchet.evaluate import evaluate

from tests.fakes import Clock
from tests.judged import cheap, fragile_model, later, world
from tests.page import Page

ALWAYS = ["reasons", "data", "lineage"]
SCORED = ["comparison", "targets", "fit", "residuals", "hours"]


def judged(made, *, allow_synthetic=False):
    """The evaluation and the page of a run."""
    clock = Clock(datetime(2026, 11, 21, 4, 12, tzinfo=UTC))
    evaluate(made.store, clock, made.pipeline, made.request(), allow_synthetic=allow_synthetic, measure=cheap)
    return made.evaluation(), made.store.objects[made.pipeline.keys.card(made.run_ts)].body


def versus(good, bad, **options):
    made = world(**options)
    champion = later(made.run_ts, -1)
    made.promote(champion, made.bundle(made.signal * bad, champion))
    made.bundle(made.signal * good)
    return made


def first():
    made = world()
    made.bundle(made.signal)
    return made


def broken():
    made = world()
    made.bundle(made.signal, model=fragile_model(made.signal))
    return made


def seen():
    made = world()
    made.bundle(made.signal, training={"start": "2026-11-01T00:00:00Z", "end": "2027-01-01T00:00:00Z"})
    return made


CASES = {
    "a first promotion": (first, "Promote: the first champion", SCORED),
    "a promotion": (lambda: versus(1.0, 0.3), "Promote: better than the champion", SCORED),
    "a kept champion": (lambda: versus(0.3, 1.0), "Keep the champion", SCORED),
    "an open question": (
        lambda: versus(0.9, 0.88, rows=300, noise=0.5),
        "Not enough evidence: the champion stays",
        SCORED,
    ),
    "a broken model": (broken, "Not promoted", []),
    "a holdout all seen": (seen, "Not enough evidence for a first champion", []),
}


@pytest.mark.parametrize("case", CASES)
def test_the_page_of_each_verdict_says_it_first_and_has_every_section(case):
    make, headline, sections = CASES[case]
    evaluation, body = judged(make())
    page = Page(body)
    assert page.text.index(headline) < page.text.index("Why: every check in order")
    assert words.said(evaluation["reason"]) in page.text
    assert page.ids() == [
        name
        for name in ("comparison", "reasons", "targets", "fit", "residuals", "hours", "data", "lineage")
        if name in sections + ALWAYS
    ]


@pytest.mark.parametrize("case", CASES)
def test_the_page_loads_nothing_and_runs_nothing(case):
    _, body = judged(CASES[case][0]())
    page = Page(body)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & {
        name for name, _ in page.elements
    }
    loading = {"src", "href", "srcset", "action", "poster", "xlink:href"}
    assert not [attributes for _, attributes in page.elements if loading & set(attributes)]
    assert not re.search(rb"https?://|@import|url\(|javascript:|\son[a-z]+=", body)


def test_no_number_on_the_page_is_no_number():
    for make, _, _ in CASES.values():
        _, body = judged(make())
        assert not re.search(rb"\b(nan|inf|None|null)\b", body.replace(b"scale-inf", b""))


def test_text_from_outside_is_escaped_wherever_it_stands():
    evil = "<script>alert('&\"')</script>"
    evaluation, _ = judged(versus(1.0, 0.3))
    spoiled = json.loads(json.dumps(evaluation).replace("1f2e3d4c", "x"))
    spoiled["title"] = spoiled["reason"] = spoiled["lineage"]["code_version"] = evil
    spoiled["pipeline"] = spoiled["challenger"]["job_name"] = spoiled["data"]["source"] = evil
    spoiled["lineage"]["hyperparameters"] = {evil: evil}
    spoiled["data"]["counts"]["rejected"] = {evil: 3}
    spoiled["reasons"][0] = {"check": evil, "passed": False, "text": evil}
    spoiled["targets"]["breakout_return_pct"]["unit"] = evil
    spoiled["targets"][evil] = spoiled["targets"].pop("scalper_return_pct")
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 6))
    body = card.render(spoiled, card.Series(np.arange(40) * 10, np.arange(40) * 10, values, values + 1, values[:, 0]))
    page = Page(body)
    assert "script" not in {name for name, _ in page.elements}
    assert page.text.count(evil) >= 10


def test_the_mark_of_synthetic_data_stands_before_the_verdict():
    made = world()
    made.bundle(made.signal, synthetic=True)
    _, body = judged(made, allow_synthetic=True)
    text = Page(body).text
    assert text.index("Synthetic data.") < text.index("Promote: the first champion")
    _, body = judged(first())
    assert "Synthetic data." not in Page(body).text


def test_what_does_not_count_is_shown_with_its_reason():
    _, body = judged(first())
    assert "not counted: constant (always 0)" in Page(body).text


def test_quarantine_reasons_embargo_and_lineage_are_on_the_page():
    evaluation, body = judged(versus(1.0, 0.3))
    text = Page(body).text
    for expected in ("not finite", "Embargoed", evaluation["challenger"]["sha256"], evaluation["champion"]["sha256"]):
        assert expected in text
    for uri in ("train_uri", "holdout_uri", "manifest_uri"):
        assert evaluation["lineage"][uri] in text


def test_every_chart_has_a_name_for_those_who_cannot_see_it():
    _, body = judged(versus(1.0, 0.3))
    charts = [attributes for name, attributes in Page(body).elements if name == "svg"]
    assert charts
    assert all(attributes.get("aria-label") or attributes.get("aria-hidden") == "true" for attributes in charts)
    headings = [name for name, _ in Page(body).elements if name in {"h1", "h2", "h3"}]
    assert headings.count("h1") == 1


def test_the_page_follows_the_readers_colours_and_prints():
    _, body = judged(first())
    assert b"prefers-color-scheme: dark" in body
    assert b"@media print" in body


def test_a_hundred_thousand_rows_make_a_page_as_small_as_a_thousand():
    evaluation, _ = judged(versus(1.0, 0.3))
    rng = np.random.default_rng(0)
    sizes = []
    for rows in (1_000, 100_000):
        realised = rng.normal(size=(rows, 6))
        minutes = np.arange(rows) * 10
        scored = card.Series(minutes, minutes, realised, realised * 0.5 + rng.normal(size=(rows, 6)), realised[:, 0])
        sizes.append(len(card.render(evaluation, scored)))
    assert sizes[1] < 1.6 * sizes[0] < 400_000


@pytest.mark.parametrize("rows", [1, 2, 7, 30])
def test_charts_of_very_few_rows_are_still_charts(rows):
    values = np.linspace(-1, 1, rows)
    minutes = np.arange(rows) * 10
    drawn = join(
        series.predicted_against_realised(values, values, "a", "percent"),
        series.residuals_over_time(minutes, values, "a", "percent"),
        series.advantage_over_time(minutes, values, "the champion"),
    )
    assert "nan" not in drawn
    assert drawn.count("<svg") == 3


def test_a_constant_prediction_has_no_correlation_and_no_fault():
    drawn = series.predicted_against_realised(np.zeros(50), np.linspace(0, 1, 50), "a", "percent")
    assert "r = –" in drawn


def test_every_row_is_counted_in_the_density_even_outside_the_axis():
    values = np.r_[np.zeros(999), 1e6]
    x = plot.Axis(-1.0, 1.0)
    assert series._density(values, values, x, x).count("M") == 2


def test_markup_escapes_text_and_attributes_but_not_markup():
    assert tag("p", "a<b", Markup("<i/>"), title='"&', class_="x") == '<p title="&quot;&amp;" class="x">a&lt;b<i/></p>'
    assert tag("p", None, ["a", [None, "b"]], id=None) == "<p>ab</p>"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0.0, 0.25, 0.5, 0.75, 1.0]), (-7, 12, [-5, 0, 5, 10]), (0.001, 0.0013, [0.001, 0.0011, 0.0012, 0.0013])],
)
def test_ticks_are_round_values_within_the_axis(low, high, expected):
    assert plot.ticks(plot.Axis(low, high)) == pytest.approx(expected)


def test_values_beyond_an_axis_are_drawn_at_its_edge():
    axis = plot.Axis(0.0, 10.0)
    assert (axis.at(-5), axis.at(5), axis.at(50), axis.up(10)) == (0, 50, 100, 0)


@pytest.mark.parametrize(
    ("share", "text"), [(0.0834, "+8.3 %"), (-0.5, "−50.0 %"), (0.0042, "+0.42 %"), (None, "–"), (0.0, "+0.00 %")]
)
def test_shares_are_written_with_a_sign_and_a_true_minus(share, text):
    assert words.percent(share) == text


@pytest.mark.parametrize(("alpha", "text"), [(0.025, "95 %"), (0.05, "90 %"), (0.05 / 600, "99.98 %")])
def test_the_level_of_an_interval_is_never_rounded_to_a_hundred(alpha, text):
    assert words.level(alpha) == text
