"""The step "evaluate" over an in-memory store with tiny ONNX models: verdicts, evidence, adoption, the ledger."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from ratchet import retention
from ratchet.errors import BadBundle, BadInput, ContractError, ForeignDocument, GraphDiffers, LeaseLost, Unavailable
from ratchet.evaluate import Request, evaluate
from ratchet.evaluation import ledger as tests
from ratchet.evaluation import measure
from ratchet.instants import iso
from ratchet.serving.bundle import read_bundle
from ratchet.settings import settings

from functions.evaluate import app
from tests.fakes import Clock, MemoryStore
from tests.judged import STEP, WIDTH, World, cheap, fragile_model, later, linear_model, world

NOW = datetime(2026, 11, 21, 4, 12, tzinfo=UTC)


def judge(made: World, run_ts: str | None = None, *, allow_synthetic: bool = False, measure=cheap):
    request = made.request(run_ts)
    return evaluate(made.store, Clock(NOW), made.pipeline, request, allow_synthetic=allow_synthetic, measure=measure)


def challenged(good: float, bad: float, **options) -> World:
    """A champion that knows `bad` of the signal and, in the present run, a challenger that knows `good` of it."""
    made = world(**options)
    champion = later(made.run_ts, -1)
    made.promote(champion, made.bundle(made.signal * bad, champion), seq=4)
    made.bundle(made.signal * good)
    return made


def failed(evaluation):
    return [row["check"] for row in evaluation["reasons"] if not row["passed"]]


def test_a_first_model_that_beats_the_naive_baselines_is_promoted():
    made = world()
    sha256 = made.bundle(made.signal)
    result = judge(made)
    assert result["verdict"] == "promote"
    assert (result["champion_etag"], result["champion_run_ts"]) == (None, None)
    assert result["sha256"] == sha256
    assert made.evaluation()["skill"]["zero"]["low"] > 0


def test_a_first_model_that_predicts_noise_is_not_promoted():
    made = world()
    made.bundle(np.random.default_rng(9).normal(size=(WIDTH, 6)))
    assert judge(made)["verdict"] == "keep"
    assert failed(made.evaluation()) == ["skill"]


def test_a_first_model_that_knows_nothing_leaves_it_open():
    made = world()
    made.bundle(made.signal * 0.001)
    assert judge(made)["verdict"] == "insufficient"


def test_a_better_challenger_is_promoted_and_the_evidence_agrees_with_the_losses():
    made = challenged(1.0, 0.3)
    result = judge(made)
    comparison = made.evaluation()["comparison"]
    assert result["verdict"] == "promote"
    assert result["champion_run_ts"] == later(made.run_ts, -1)
    assert result["champion_etag"] == made.store.objects["model/latest.json"].etag
    assert comparison["difference"] == pytest.approx(comparison["champion"] - comparison["challenger"])
    assert comparison["relative"] == pytest.approx(comparison["difference"] / comparison["champion"])
    assert comparison["low"] < comparison["relative"] < comparison["high"]


def test_a_worse_challenger_leaves_the_champion():
    made = challenged(0.3, 1.0)
    assert judge(made)["verdict"] == "keep"
    assert failed(made.evaluation()) == ["champion"]


def test_a_difference_too_small_to_tell_is_insufficient_and_says_what_would_show():
    made = challenged(0.9, 0.88, rows=300, noise=0.5)
    result = judge(made)
    assert result["verdict"] == "insufficient"
    detectable = made.evaluation()["comparison"]["minimum_detectable"]
    assert f"{detectable * 100:.1f} %" in result["reason"]


def test_targets_that_do_not_count_change_nothing():
    made = challenged(1.0, 0.3)
    judge(made)
    plain = made.evaluation()["comparison"]
    absurd = made.signal.copy()
    absurd[:, 0], absurd[:, 5] = 50.0, 50.0
    made.bundle(absurd, later(made.run_ts, 1))
    judge(made, later(made.run_ts, 1))
    again = made.evaluation(later(made.run_ts, 1))
    assert again["comparison"]["challenger"] == pytest.approx(plain["challenger"])
    assert again["targets"]["trend_return_pct"]["mse"] > 1
    assert again["targets"]["trend_return_pct"]["why_not"]


def test_metrics_stand_per_target_for_both_models():
    made = challenged(1.0, 0.3)
    judge(made)
    target = made.evaluation()["targets"]["scalper_return_pct"]
    assert target["mse"] < target["champion"]["mse"]
    assert 0 < target["r2"] < 1
    assert target["sign_accuracy"] == target["champion"]["sign_accuracy"] > 0.5


def test_only_rows_later_than_both_trainings_and_the_embargo_are_judged():
    made = world()
    champion = later(made.run_ts, -1)
    seen = made.split + 50 * STEP
    interval = {"start": iso(made.split), "end": iso(seen)}
    made.promote(champion, made.bundle(made.signal * 0.3, champion, training=interval))
    made.bundle(made.signal)
    judge(made)
    holdout = made.evaluation()["holdout"]
    assert holdout["start"] == iso(seen + timedelta(minutes=made.pipeline.data.embargo_minutes))
    assert (holdout["rows"], holdout["used"]) == (300, 249)


def test_a_holdout_that_training_has_seen_is_insufficient():
    made = world()
    end = iso(made.split + 280 * STEP)
    made.bundle(made.signal, validation={"start": iso(made.split), "end": end})
    assert judge(made)["verdict"] == "insufficient"
    assert failed(made.evaluation()) == ["rows"]
    assert made.evaluation()["comparison"] is None


def test_a_holdout_wholly_seen_still_ends_with_evidence_and_a_card():
    made = world()
    made.bundle(made.signal, validation={"start": iso(made.split), "end": iso(made.split + 900 * STEP)})
    assert judge(made)["verdict"] == "insufficient"
    assert made.evaluation()["holdout"]["used"] == 0
    assert made.pipeline.keys.card(made.run_ts) in made.store.objects


@pytest.mark.parametrize("where", ["manifest", "bundle"])
def test_a_model_of_synthetic_data_is_kept_unless_the_stack_allows_it(where):
    for allowed, verdict in ((False, "keep"), (True, "promote")):
        made = world(manifest={"synthetic": where == "manifest"})
        made.bundle(made.signal, synthetic=where == "bundle")
        assert judge(made, allow_synthetic=allowed)["verdict"] == verdict


def test_the_champions_own_bytes_under_another_run_are_kept_with_that_reason():
    made = world()
    champion = later(made.run_ts, -1)
    sha256 = made.bundle(made.signal, champion)
    made.promote(champion, sha256)
    made.store.put(made.pipeline.keys.model(made.run_ts), made.store.objects[made.pipeline.keys.model(champion)].body)
    result = judge(made)
    assert (result["verdict"], failed(made.evaluation())[0]) == ("keep", "identity")


def test_another_bundle_that_predicts_the_same_is_kept():
    made = challenged(1.0, 1.0)
    result = judge(made)
    assert result["verdict"] == "keep"
    assert "predicts what the champion predicts" in result["reason"]


def test_a_graph_that_differs_from_its_framework_is_a_named_error_and_nothing_is_judged():
    made = world()
    made.bundle(made.signal, model=linear_model(made.signal * 1.01))
    with pytest.raises(GraphDiffers, match="differs from the training framework on 16 reference rows"):
        judge(made)
    assert not made.store.head(made.pipeline.keys.evaluation(made.run_ts))
    assert not made.store.head(made.pipeline.keys.tests())


def test_a_model_that_answers_nan_is_kept_out_with_evidence_that_is_valid_json():
    made = world()
    made.bundle(made.signal, model=fragile_model(made.signal))
    assert judge(made)["verdict"] == "keep"
    assert failed(made.evaluation()) == ["finite"]


def test_a_model_of_other_targets_is_kept_out():
    made = world()
    made.bundle(
        made.signal[:, :2],
        targets=[{"name": "a", "unit": "percent"}, {"name": "b", "unit": "percent"}],
        train_mean={"a": 0.0, "b": 0.0},
    )
    assert judge(made)["verdict"] == "keep"
    assert failed(made.evaluation())[0] == "schema"


def test_a_bundle_over_its_budget_is_kept_out():
    made = world(budgets={"bundle_mib": 0.00001, "p95_ms": 1e9, "memory_mib": 1e9})
    made.bundle(made.signal)
    assert judge(made)["verdict"] == "keep"
    assert failed(made.evaluation()) == ["budget_size"]
    assert made.evaluation()["budgets"]["p95_ms"]["measured"] > 0


def test_what_serving_costs_is_measured_in_a_process_of_its_own():
    made = world()
    made.bundle(made.signal)
    judge(made, measure=measure.cost)
    budgets = made.evaluation()["budgets"]
    # A Python with numpy and onnxruntime is far above 30 MiB; this test's own process far above 400 with pyarrow.
    assert 30 < budgets["memory_mib"]["measured"] < 200
    assert 0 < budgets["p95_ms"]["measured"] < 50


def test_a_model_that_only_fails_when_it_runs_is_a_named_error(tmp_path):
    made = world()
    made.bundle(made.signal)
    (tmp_path / "a").write_bytes(made.store.objects[made.pipeline.keys.model(made.run_ts)].body)
    bundle = read_bundle(tmp_path / "a", tmp_path / "bundle", "returns")
    bundle.model_path.write_bytes(b"gone bad")
    with pytest.raises(BadBundle, match=r"process of its own: .*BadBundle"):
        measure.cost(bundle)


def test_a_champion_of_another_schema_is_not_compared_and_the_baselines_decide():
    made = world()
    champion = later(made.run_ts, -1)
    names = [{"name": "a", "unit": "percent"}]
    made.promote(champion, made.bundle(made.signal[:, :1], champion, targets=names, train_mean={"a": 0.0}))
    made.bundle(made.signal)
    result = judge(made)
    assert result["verdict"] == "promote"
    assert result["champion_run_ts"] == champion
    assert made.evaluation()["comparison"]["champion"] is None
    assert any("other inputs or targets" in row["text"] for row in made.evaluation()["reasons"])


def test_a_champion_that_answers_nan_is_not_compared_and_the_baselines_decide():
    made = challenged(1.0, float("nan"))
    assert judge(made)["verdict"] == "promote"
    assert made.evaluation()["comparison"]["champion"] is None


def test_when_no_target_varies_there_is_nothing_to_judge_by():
    made = world()
    manifest = json.loads(made.store.objects[made.pipeline.keys.manifest(made.run_ts)].body)
    for target in manifest["targets"].values():
        target["counted"] = False
    made.store.put(made.pipeline.keys.manifest(made.run_ts), json.dumps(manifest).encode())
    made.bundle(made.signal)
    assert judge(made)["verdict"] == "insufficient"
    assert failed(made.evaluation()) == ["targets"]


def test_a_finished_evaluation_against_the_present_champion_is_adopted():
    made = challenged(1.0, 0.3)
    first = judge(made)
    writes = len(made.store.writes)
    assert judge(made) == first
    assert len(made.store.writes) == writes


def test_after_the_champion_moved_the_challenger_is_judged_again():
    made = challenged(1.0, 0.3)
    assert judge(made)["verdict"] == "promote"
    other = later(made.run_ts, -2)
    made.promote(other, made.bundle(made.signal * 1.001, other), seq=5)
    result = judge(made)
    assert result["verdict"] != "promote"
    assert result["champion_run_ts"] == other
    assert made.evaluation()["champion"]["seq"] == 5


def test_after_its_own_promotion_the_evidence_is_adopted_not_overwritten():
    made = challenged(1.0, 0.3)
    first = judge(made)
    made.promote(made.run_ts, first["sha256"], seq=5)
    assert judge(made) == first


def test_a_call_that_was_overtaken_leaves_the_evidence_of_the_other():
    made = challenged(1.0, 0.3)
    keys = made.pipeline.keys

    def other_call(bundle):
        """Judges the same challenger, against a champion that came into service meanwhile, and is done first."""
        made.promote(later(made.run_ts, -2), made.bundle(made.signal * 0.1, later(made.run_ts, -2)), seq=5)
        judge(made)
        return cheap(bundle)

    with pytest.raises(Unavailable, match="written by another process"):
        judge(made, measure=other_call)
    assert made.evaluation()["champion"]["seq"] == 5
    page = made.store.objects[keys.card(made.run_ts)].body
    assert later(made.run_ts, -2).encode() in page


def test_what_the_champion_needs_lives_on_whatever_tagged_it_otherwise():
    made = challenged(1.0, 0.3)
    champion = made.pipeline.keys.model(later(made.run_ts, -1))
    made.store.tag(champion, retention.EXPIRES)
    judge(made)
    assert made.store.tags[champion] == retention.KEEPS


def test_a_retrained_bundle_of_the_same_run_is_judged_again():
    made = challenged(1.0, 0.3)
    judge(made)
    made.bundle(made.signal * 0.1)
    assert judge(made)["verdict"] == "keep"


def test_a_second_test_on_the_same_rows_is_insufficient_and_spends_nothing():
    made = challenged(0.3, 1.0)
    judge(made)
    following = later(made.run_ts, 1)
    made.bundle(made.signal * 2, following)
    assert judge(made, following)["verdict"] == "insufficient"
    assert failed(made.evaluation(following))[0] == "new_rows"
    assert [entry["run_ts"] for entry in ledger(made)] == [made.run_ts]


def test_each_test_since_the_promotion_spends_less_alpha():
    made = challenged(0.3, 1.0, min_new_holdout_rows=0)
    judge(made)
    following = later(made.run_ts, 1)
    made.bundle(made.signal * 0.2, following)
    judge(made, following)
    alphas = [made.evaluation(run)["comparison"]["alpha"] for run in (made.run_ts, following)]
    assert alphas == pytest.approx([0.05 / 2, 0.05 / 6])
    assert made.evaluation(following)["comparison"]["tests_since_promotion"] == 2


def test_judging_a_run_again_counts_once():
    made = challenged(0.3, 1.0, min_new_holdout_rows=0)
    judge(made)
    made.store.delete(made.pipeline.keys.evaluation(made.run_ts))
    judge(made)
    assert made.evaluation()["comparison"]["tests_since_promotion"] == 1
    assert made.evaluation()["holdout"]["new_rows"] == 300
    assert len(ledger(made)) == 1


def test_a_test_that_came_into_the_ledger_meanwhile_has_this_run_judged_again():
    made = world()
    store, keys, asked = made.store, made.pipeline.keys, made.request()
    holds = {"execution": asked.execution, "token": asked.token}
    mine, other = (tests.plan(store, keys, run, 4, until) for run, until in ((made.run_ts, 200), ("late", 100)))
    tests.record(store, keys, other, **holds)
    with pytest.raises(Unavailable, match="judged again"):
        tests.record(store, keys, mine, **holds)
    again = tests.plan(store, keys, made.run_ts, 4, 200)
    assert (mine.number, again.number, again.since) == (1, 2, 100)
    tests.record(store, keys, again, **holds)
    assert [entry["run_ts"] for entry in ledger(made)] == ["late", made.run_ts]


def test_a_promotion_starts_the_count_anew():
    made = challenged(0.3, 1.0, min_new_holdout_rows=0)
    judge(made)
    newer = later(made.run_ts, 1)
    made.promote(newer, made.bundle(made.signal * 1.001, newer), seq=5)
    following = later(made.run_ts, 2)
    made.bundle(made.signal * 0.2, following)
    judge(made, following)
    assert made.evaluation(following)["comparison"]["tests_since_promotion"] == 1


def ledger(made: World):
    return json.loads(made.store.objects[made.pipeline.keys.tests()].body)["tests"]


def remove(key):
    return lambda made: made.store.delete(getattr(made.pipeline.keys, key)(made.run_ts))


def overwrite(key, body):
    return lambda made: made.store.put(getattr(made.pipeline.keys, key)(made.run_ts), body)


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        pytest.param(remove("model"), BadBundle, "is missing", id="no bundle"),
        pytest.param(overwrite("model", b"\x1f\x8b broken"), BadBundle, "cannot be read", id="a truncated bundle"),
        pytest.param(remove("holdout"), ContractError, "is missing", id="no holdout"),
        pytest.param(overwrite("holdout", b"PAR1"), ContractError, "digest differs", id="another holdout"),
        pytest.param(remove("manifest"), ContractError, "is missing", id="no manifest"),
        pytest.param(overwrite("manifest", b"[]"), ForeignDocument, "no JSON object", id="a foreign manifest"),
    ],
)
def test_what_cannot_be_judged_is_a_named_error_and_nothing_is_written(spoil, error, words):
    made = challenged(1.0, 0.3)
    spoil(made)
    with pytest.raises(error, match=words):
        judge(made)
    assert made.pipeline.keys.evaluation(made.run_ts) not in made.store.objects
    assert made.pipeline.keys.tests() not in made.store.objects


def test_a_champion_whose_bytes_are_not_those_promoted_is_a_named_error():
    made = challenged(1.0, 0.3)
    champion = later(made.run_ts, -1)
    made.bundle(made.signal * 0.2, champion)
    with pytest.raises(BadBundle, match="not the bundle that was promoted"):
        judge(made)


def test_a_ledger_that_is_not_ours_is_a_named_error():
    made = challenged(1.0, 0.3)
    made.store.put(made.pipeline.keys.tests(), b'{"tests": [{"who": "me"}]}')
    with pytest.raises(ForeignDocument, match=r"tests\.json"):
        judge(made)


def test_a_run_that_lost_the_lease_spends_no_alpha():
    made = challenged(0.3, 1.0)
    key = made.pipeline.keys.lease()
    made.store.put(key, made.store.objects[key].body.replace(b'"token": 7', b'"token": 8'))
    with pytest.raises(LeaseLost):
        judge(made)
    assert made.pipeline.keys.tests() not in made.store.objects


def test_a_bundle_whose_job_is_forgotten_is_judged_all_the_same():
    made = world()
    made.bundle(made.signal)
    request = Request.of({**vars(made.request()), "job_name": None})
    result = evaluate(made.store, Clock(NOW), made.pipeline, request, allow_synthetic=False, measure=cheap)
    assert result["verdict"] == "promote"
    assert made.evaluation()["challenger"]["job_name"] is None
    assert b"not known any more" in made.store.objects[made.pipeline.keys.card(made.run_ts)].body


def test_a_lost_answer_while_writing_the_ledger_counts_once():
    made = challenged(0.3, 1.0)
    made.store.lose_answers = 1
    judge(made)
    assert len(ledger(made)) == 1


def test_a_request_names_every_field_that_is_missing():
    with pytest.raises(BadInput, match="run_ts, holdout_uri, token"):
        Request.of({**vars(world(20).request()), "run_ts": None, "holdout_uri": "", "token": "7"})


@pytest.fixture
def environment(monkeypatch):
    for name, value in {"RATCHET_BUCKET": "bucket", "RATCHET_STACK": "test"}.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.usefixtures("environment")
def test_the_handler_parses_judges_and_answers_flat_json():
    made = world()
    made.bundle(made.signal)
    result = app.handler(vars(made.request()), Context(), Ports(made.store), Clock(NOW))
    assert json.loads(json.dumps(result)) == result
    assert set(result) == {
        *("verdict", "reason", "reasons", "champion_etag", "champion_run_ts"),
        *("evaluation_uri", "card_uri", "sha256", "train_uri"),
    }


@dataclass
class Ports:
    made: MemoryStore

    def store(self):
        return self.made


class Context:
    function_name = "evaluate"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:eu-west-1:000000000000:function:evaluate"
    aws_request_id = "1"
