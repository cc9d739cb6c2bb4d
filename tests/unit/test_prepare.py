import errno
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ratchet.catalog import Pipeline
from ratchet.errors import BadConfiguration, BadInput, ForeignDocument, LeaseLost, TooManyBadRows, Unavailable
from ratchet.extraction.source import Rejected
from ratchet.store import Document, encode
from ratchet.tables import landing_file
from ratchet.tables.material import Order
from ratchet.tables.prepare import prepare
from ratchet.tables.training_data import read

from tests.fakes import Clock, MemoryStore
from tests.landed import EXECUTION, STEP, Columns, hold_lease, land, returns, rows

RUN = "2026-02-01T00-00-00Z"
KEYS = returns().keys
NOW = datetime(2026, 2, 1, 0, 5, tzinfo=UTC)


def landed(count: int = 1000, synthetic: bool | None = True, **changes: Any) -> MemoryStore:
    """A store with that many slots landed; `changes` replaces columns of either table."""
    store = MemoryStore()
    for table, columns in zip(("ai_outputs", "simulations_10m"), rows(count), strict=True):
        own = {name: values for name, values in changes.items() if name in columns}
        land(store, table, {**columns, **own}, synthetic)
    hold_lease(store)
    return store


def run(
    store: MemoryStore, folder: Path, pipeline: Pipeline | None = None, run_ts: str = RUN, **order: Any
) -> dict[str, Any]:
    wanted = {"run_ts": run_ts, "execution": EXECUTION, "token": 3, **order}
    work = folder / f"work{len(list(folder.iterdir()))}"
    work.mkdir()
    return prepare(store, pipeline or returns(), Order(**wanted), Clock(NOW), work)


def manifest(store: MemoryStore, run_ts: str = RUN) -> Document:
    found: Document = json.loads(store.objects[KEYS.manifest(run_ts)].body)
    return found


def table(store: MemoryStore, key: str) -> pa.Table:
    return pq.read_table(pa.BufferReader(store.objects[key].body))


def features(found: pa.Table) -> np.ndarray:
    return np.asarray(found["features"].combine_chunks().flatten().to_numpy()).reshape(-1, 512)


def test_the_rows_are_a_then_b_joined_to_the_window_that_ends_ten_minutes_later(tmp_path: Path) -> None:
    store = landed()
    embeddings, targets = rows(1000)
    assert run(store, tmp_path)["status"] == "prepared"
    train = table(store, KEYS.train(RUN))
    count = train.num_rows - 100
    np.testing.assert_array_equal(
        features(train)[:count], np.hstack([embeddings["embedding_a"], embeddings["embedding_b"]])[:count]
    )
    assert (train["ts"].to_numpy() - train["base_ts"].to_numpy() == STEP).all()
    np.testing.assert_array_equal(train["scalper_return_pct"].to_numpy()[:count], targets["scalper_return_pct"][:count])


def test_a_run_sees_what_was_known_at_its_instant(tmp_path: Path) -> None:
    store, run_ts = landed(), "2026-01-05T00-00-00Z"
    run(store, tmp_path, run_ts=run_ts)
    seen = np.concatenate([table(store, key(run_ts))["ts"].to_numpy() for key in (KEYS.train, KEYS.holdout)])
    assert seen.max() == np.datetime64("2026-01-05T00:00:00")
    assert manifest(store, run_ts)["counts"]["joined"] == 4 * 144
    run(store, tmp_path)
    assert manifest(store)["counts"]["joined"] == 1000


def test_no_holdout_row_and_no_label_of_one_is_in_the_training_file(tmp_path: Path) -> None:
    store = landed()
    run(store, tmp_path)
    train, holdout = table(store, KEYS.train(RUN)), table(store, KEYS.holdout(RUN))
    assert train["ts"].to_numpy().max() < holdout["base_ts"].to_numpy().min()
    part = np.array(train["part"].to_pylist())
    times = train["base_ts"].to_numpy()
    assert times[part == "train"].max() + STEP < times[part == "validation"].min()
    assert not {row.tobytes() for row in features(train)} & {row.tobytes() for row in features(holdout)}


@pytest.mark.parametrize("cut", [350, 611, 999])
def test_what_came_after_an_instant_does_not_change_the_inputs_before_it(tmp_path: Path, cut: int) -> None:
    whole, part = landed(1000), MemoryStore()
    for name, columns in zip(("ai_outputs", "simulations_10m"), rows(1000), strict=True):
        land(part, name, {column: values[:cut] for column, values in columns.items()})
    hold_lease(part)
    found = []
    for store in (whole, part):
        run(store, tmp_path, returns(split={"train": 0.4, "validation": 0.3, "holdout": 0.3}))
        train, holdout = table(store, KEYS.train(RUN)), table(store, KEYS.holdout(RUN))
        times = np.concatenate([each["base_ts"].to_numpy() for each in (train, holdout)])
        inputs = np.concatenate([features(each) for each in (train, holdout)])
        found.append(dict(zip(times.tolist(), map(bytes, inputs), strict=True)))
    common = found[0].keys() & found[1].keys()
    assert len(common) > 0.95 * cut
    assert all(found[0][instant] == found[1][instant] for instant in common)


def test_the_manifest_says_what_was_done(tmp_path: Path) -> None:
    store = landed()
    answer = run(store, tmp_path)
    found = manifest(store)
    counts = found["counts"]
    assert counts["joined"] == 1000 == sum(counts[part] for part in ("train", "validation", "holdout", "embargoed"))
    assert (counts["embargoed"], counts["rejected"]) == (2, {})
    assert found["landing"] == {"ai_outputs": 1, "simulations_10m": 1}
    assert found["targets"]["trend_return_pct"]["why_not"] == "constant: always 0"
    assert found["targets"]["short_hold_return_pct"]["why_not"] == "redundant: -1 * long_hold_return_pct"
    assert found["intervals"]["train"]["end"] < found["intervals"]["validation"]["start"]
    assert found["intervals"]["holdout"]["end"] == "2026-01-07T22:40:00Z"
    assert (found["feature_dim"], found["source"], found["limit"]) == (512, "simulated", 0)
    assert answer["row_count"] == counts["train"] + counts["validation"]


def test_the_files_are_read_back_by_the_training_job_in_the_pipelines_order_of_targets(tmp_path: Path) -> None:
    store = landed()
    run(store, tmp_path)
    (tmp_path / "channel").mkdir()
    for key in (KEYS.train(RUN), KEYS.manifest(RUN)):
        store.download(key, tmp_path / "channel" / Path(key).name)
    data = read(tmp_path / "channel")
    assert data.targets == list(returns().data.targets)
    assert {part: len(x) for part, x in data.x.items()} == {
        part: manifest(store)["counts"][part] for part in ("train", "validation")
    }
    (tmp_path / "channel" / "train.parquet").write_bytes(b"other")
    with pytest.raises(BadInput, match="is not the file"):
        read(tmp_path / "channel")


def test_the_same_landed_rows_give_the_same_bytes_in_row_groups_of_a_thousand(tmp_path: Path) -> None:
    bodies = []
    for _ in range(2):
        store = landed(2500)
        run(store, tmp_path)
        bodies.append((store.objects[KEYS.train(RUN)].body, store.objects[KEYS.holdout(RUN)].body))
    assert bodies[0] == bodies[1]
    metadata = pq.ParquetFile(pa.BufferReader(bodies[0][0])).metadata
    sizes = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
    assert sizes[:-1] == [1000] * (len(sizes) - 1)
    column = metadata.row_group(0).column(metadata.num_columns - 1)
    assert (column.compression, column.has_dictionary_page) == ("ZSTD", False)
    assert "BYTE_STREAM_SPLIT" in column.encodings


def test_a_limit_takes_the_newest_joined_rows(tmp_path: Path) -> None:
    store = landed()
    run(store, tmp_path, limit=400)
    counts = manifest(store)["counts"]
    assert counts["joined"] == 400
    assert manifest(store)["intervals"]["holdout"]["end"] == "2026-01-07T22:40:00Z"


def damaged(count: int, faulty: int) -> Columns:
    vectors = rows(count)[0]["embedding_a"].copy()
    vectors[:faulty, 7] = np.nan
    return {"embedding_a": vectors}


def test_bad_rows_are_quarantined_with_their_reason_and_counted(tmp_path: Path) -> None:
    store = landed(1000, **damaged(1000, 20))
    assert run(store, tmp_path)["status"] == "prepared"
    rejected = table(store, KEYS.quarantine(RUN))
    assert rejected["reason"].to_pylist() == ["embedding_a_not_finite"] * 20
    assert manifest(store)["counts"]["rejected"] == {"embedding_a_not_finite": 20}
    assert manifest(store)["quarantine_uri"] == f"s3://bucket/quarantine/run_ts={RUN}/"
    assert KEYS.set_aside(RUN) not in store.objects
    assert table(store, KEYS.train(RUN))["base_ts"].to_numpy().min() == rows(1000)[0]["base_ts"][20]


def test_too_many_bad_rows_fail_the_step_after_they_can_be_looked_at(tmp_path: Path) -> None:
    store = landed(1000, **damaged(1000, 60))
    with pytest.raises(TooManyBadRows, match=r"6\.0% .* embedding_a_not_finite 60\. Look at s3://bucket/quarantine"):
        run(store, tmp_path)
    assert table(store, KEYS.quarantine(RUN)).num_rows == 60
    assert KEYS.manifest(RUN) not in store.objects
    assert KEYS.train_latest() not in store.objects


def test_rows_that_extraction_set_aside_count_as_bad(tmp_path: Path) -> None:
    store = landed()
    aside = [Rejected(f"2026-01-02T00:{minute:02d}:00Z", "embedding_a has 255 values", "{}") for minute in range(40)]
    store.put(KEYS.rejected("ai_outputs", date(2026, 1, 2)), landing_file.write_rejected(aside))
    mark = json.loads(store.objects[KEYS.watermark("ai_outputs")].body)
    mark["days"]["2026-01-02"]["rejected"] = len(aside)
    store.put(KEYS.watermark("ai_outputs"), encode(mark))
    run(store, tmp_path)
    assert manifest(store)["counts"]["rejected"] == {"ai_outputs: embedding_a has 255 values": 40}
    assert manifest(store)["quarantine_uri"] == f"s3://bucket/quarantine/run_ts={RUN}/"
    copied = table(store, KEYS.set_aside(RUN)).to_pylist()
    assert copied == [{"table": "ai_outputs", **vars(row)} for row in aside]
    assert KEYS.quarantine(RUN) not in store.objects
    store.put(KEYS.rejected("simulations_10m", None), landing_file.write_rejected(aside))
    with pytest.raises(TooManyBadRows, match="Look at s3://bucket/quarantine/run_ts=2026-02-01T01-00-00Z/"):
        run(store, tmp_path, run_ts="2026-02-01T01-00-00Z")
    assert table(store, KEYS.set_aside("2026-02-01T01-00-00Z")).num_rows == 80


def test_data_that_another_call_of_the_step_replaced_half_is_prepared_anew(tmp_path: Path) -> None:
    store = landed()
    run(store, tmp_path)
    first = manifest(store)
    store.put(KEYS.holdout(RUN), b"of a call that saw other rows")
    run(store, tmp_path)
    assert manifest(store) == first
    assert store.objects[KEYS.holdout(RUN)].etag == first["etags"]["holdout"]


@pytest.mark.parametrize("late", [KEYS.manifest(RUN), KEYS.holdout(RUN), KEYS.train(RUN)])
def test_a_call_that_was_overtaken_writes_nothing_over_the_data_of_the_other(late: str, tmp_path: Path) -> None:
    store = landed()

    class Overtaken(MemoryStore):
        """Another call of the same step comes before the write of `late`."""

        def put(self, key: str, body: bytes, **options: Any) -> str:
            if key == late and not (tmp_path / "other").exists():
                (tmp_path / "other").mkdir()
                run(store, tmp_path / "other", limit=900)
            return super().put(key, body, **options)

    overtaken = Overtaken()
    overtaken.objects, overtaken.tags = store.objects, store.tags
    with pytest.raises(Unavailable, match="written by another process"):
        run(overtaken, tmp_path)
    assert manifest(store)["limit"] == 900
    assert run(store, tmp_path)["status"] == "prepared"
    assert manifest(store)["limit"] == 900


def test_a_landed_day_that_is_gone_is_named_and_not_left_out(tmp_path: Path) -> None:
    store = landed()
    store.delete(KEYS.landing("ai_outputs", date(2026, 1, 2)))
    with pytest.raises(ForeignDocument, match=r"landing/ai_outputs/dt=2026-01-02\.parquet is gone"):
        run(store, tmp_path)


def test_a_run_without_bad_rows_has_no_quarantine(tmp_path: Path) -> None:
    store = landed()
    run(store, tmp_path)
    assert manifest(store)["quarantine_uri"] is None
    assert not list(store.list("quarantine/"))


def test_rows_set_aside_after_the_run_are_not_in_its_quarantine(tmp_path: Path) -> None:
    store = landed()
    aside = [Rejected("2026-02-02T00:00:00Z", "embedding_a has 255 values", "{}")]
    store.put(KEYS.rejected("ai_outputs", datetime(2026, 2, 2, tzinfo=UTC).date()), landing_file.write_rejected(aside))
    run(store, tmp_path)
    assert manifest(store)["counts"]["rejected"] == {}


@pytest.mark.parametrize("count", [0, 1, 299])
def test_too_few_rows_are_a_result_and_not_an_error(tmp_path: Path, count: int) -> None:
    store = landed(count) if count else MemoryStore()
    writes = list(store.writes)
    answer = run(store, tmp_path)
    assert answer["status"] == "not_enough_data"
    assert "300 are needed" in answer["reason"]
    assert answer["train_uri"] is None
    assert store.writes == writes


def test_tables_that_share_no_instant_are_not_enough_data(tmp_path: Path) -> None:
    store = landed(1000, ts=rows(1000)[1]["ts"] + np.timedelta64(1, "m"))
    assert run(store, tmp_path)["status"] == "not_enough_data"


@pytest.mark.parametrize(
    ("marks", "said"),
    [((True, True), True), ((True, None), True), ((False, True), True), ((False, None), None), ((False, False), False)],
)
def test_one_synthetic_table_makes_the_data_synthetic_and_an_unknown_one_leaves_it_unknown(
    tmp_path: Path, marks: tuple[bool | None, bool | None], said: bool | None
) -> None:
    store = MemoryStore()
    for table, columns, mark in zip(("ai_outputs", "simulations_10m"), rows(400), marks, strict=True):
        land(store, table, columns, mark)
    hold_lease(store)
    assert run(store, tmp_path)["synthetic"] is said
    assert manifest(store)["synthetic"] is said


def test_a_second_call_adopts_what_the_first_one_finished(tmp_path: Path) -> None:
    store = landed()
    first = run(store, tmp_path)
    land(store, "ai_outputs", {name: values[:10] for name, values in rows(10)[0].items()}, changes=2)
    writes = list(store.writes)
    assert run(store, tmp_path) == first
    assert store.writes == writes


def test_a_call_that_was_cut_short_before_the_last_write_makes_up_for_it(tmp_path: Path) -> None:
    store = landed()
    run(store, tmp_path)
    latest = store.objects.pop(KEYS.train_latest())
    run(store, tmp_path)
    assert store.objects[KEYS.train_latest()].body == latest.body


def test_the_latest_data_moves_last_and_never_back(tmp_path: Path) -> None:
    store = landed()
    run(store, tmp_path)
    assert store.writes[-1] == KEYS.train_latest()
    run(store, tmp_path, run_ts="2026-01-31T23-00-00Z")
    latest = json.loads(store.objects[KEYS.train_latest()].body)
    assert latest["run_ts"] == RUN
    assert latest["feature_dim"] == 512
    run(store, tmp_path, run_ts="2026-02-01T01-00-00Z")
    assert json.loads(store.objects[KEYS.train_latest()].body)["run_ts"] == "2026-02-01T01-00-00Z"


def test_a_run_that_lost_its_lease_does_not_move_the_latest_data(tmp_path: Path) -> None:
    store = landed()
    with pytest.raises(LeaseLost):
        run(store, tmp_path, token=2)
    assert KEYS.train_latest() not in store.objects


def test_data_can_be_reused_without_preparing_again(tmp_path: Path) -> None:
    store = landed()
    prepared = run(store, tmp_path)
    reused = run(store, tmp_path, run_ts="2026-02-01T05-00-00Z", skip_data_prep=True)
    assert {**reused, "reason": ""} == {**prepared, "reason": ""}
    assert reused["data_run_ts"] == RUN
    store.delete(KEYS.holdout(RUN))
    with pytest.raises(BadInput, match="is gone"):
        run(store, tmp_path, skip_data_prep=True)


def test_reusing_what_is_not_there_or_not_ours_says_what_to_do(tmp_path: Path) -> None:
    store = MemoryStore()
    with pytest.raises(BadInput, match="run once without skipDataPrep"):
        run(store, tmp_path, skip_data_prep=True)
    store.put(KEYS.train_latest(), encode({"run_ts": RUN, "train_uri": "s3://bucket/old"}))
    with pytest.raises(ForeignDocument, match="was not written by Ratchet"):
        run(store, tmp_path, skip_data_prep=True)


def test_a_foreign_document_in_the_place_of_the_latest_data_is_not_overwritten(tmp_path: Path) -> None:
    store = landed()
    store.put(KEYS.train_latest(), b'["not ours"]')
    with pytest.raises(ForeignDocument):
        run(store, tmp_path)
    assert store.objects[KEYS.train_latest()].body == b'["not ours"]'


def test_an_embargo_shorter_than_the_label_stops_the_step(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="embargo_minutes"):
        run(landed(), tmp_path, returns(embargo_minutes=0))


def test_a_runs_objects_expire_until_a_promotion_keeps_them(tmp_path: Path) -> None:
    store = landed(1000, **damaged(1000, 5))
    aside = [Rejected("?", "base_ts is no timestamp", "{}")]
    store.put(KEYS.rejected("ai_outputs", None), landing_file.write_rejected(aside))
    run(store, tmp_path)
    for key in (KEYS.train(RUN), KEYS.holdout(RUN), KEYS.manifest(RUN), KEYS.quarantine(RUN), KEYS.set_aside(RUN)):
        assert store.tags[key] == {"ratchet:retention": "run"}


class FullDisk(MemoryStore):
    def download(self, key: str, path: Path) -> str | None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_named_with_its_remedy_and_nothing_is_published(tmp_path: Path) -> None:
    store = FullDisk()
    store.objects = landed().objects
    before = set(store.objects)
    with pytest.raises(BadConfiguration, match="EphemeralStorage of PrepareFunction"):
        run(store, tmp_path)
    assert set(store.objects) == before
