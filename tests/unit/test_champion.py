from pathlib import Path

import numpy as np
import pytest
from ratchet.errors import BadBundle, ForeignDocument, NoChampion, Unavailable
from ratchet.serving.champion import Champion, Follower
from ratchet.store import Stored

from tests.bundles import RUN, WIDTH, graph, promote, returns
from tests.fakes import MemoryStore

LATER = "2026-11-21T05-00-00Z"


class CountingStore(MemoryStore):
    """Counts downloads, and can be out of reach."""

    def __init__(self) -> None:
        super().__init__()
        self.downloads = 0
        self.down = False

    def get(self, key: str) -> Stored | None:
        if self.down:
            raise Unavailable("S3 is out of reach.")
        return super().get(key)

    def download(self, key: str, path: Path) -> str | None:
        self.downloads += 1
        return super().download(key, path)


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def follower() -> Follower:
    return Follower(returns())


def first_value(champion: Champion) -> float:
    return float(champion.model.predict(np.ones((1, WIDTH), np.float32))[0, 0])


def test_the_bundle_is_fetched_once_while_the_pointer_stands(
    store: CountingStore, follower: Follower, tmp_path: Path
) -> None:
    promote(store, tmp_path)
    assert follower.current(store) is follower.current(store)
    assert store.downloads == 1


def test_a_moved_pointer_switches_model_and_run_together(
    store: CountingStore, follower: Follower, tmp_path: Path
) -> None:
    promote(store, tmp_path)
    before = follower.current(store)
    promote(store, tmp_path, LATER, graph(scale=2.0))
    after = follower.current(store)
    assert (before.pointer.run_ts, first_value(before)) == (RUN, 1.0)
    assert (after.pointer.run_ts, after.model.run_ts, first_value(after), after.fault) == (LATER, LATER, 2.0, None)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ({"digest": "0" * 64}, "SHA-256"),
        ({"model": b"no graph"}, "does not load"),
        ({"model": graph(scale=float("nan"))}, "answers zeros with"),
        ({"targets": ("a", "b", "c", "d", "e", "f")}, "pipeline.yaml"),
    ],
    ids=["altered", "no graph", "not finite", "other targets"],
)
def test_a_broken_champion_is_an_error_alone_and_a_report_beside_one_that_works(
    store: CountingStore, follower: Follower, tmp_path: Path, harm: dict[str, object], words: str
) -> None:
    promote(store, tmp_path)
    follower.current(store)
    promote(store, tmp_path, LATER, **harm)  # type: ignore[arg-type]
    with pytest.raises(BadBundle, match=words):
        Follower(returns()).current(store)
    kept = follower.current(store)
    assert kept.pointer.run_ts == RUN
    assert kept.fault is not None
    assert words in kept.fault


def test_a_broken_version_is_fetched_once_and_its_repair_is_taken_up(
    store: CountingStore, follower: Follower, tmp_path: Path
) -> None:
    promote(store, tmp_path)
    follower.current(store)
    promote(store, tmp_path, LATER, b"no graph")
    assert follower.current(store).fault == follower.current(store).fault
    assert store.downloads == 2
    promote(store, tmp_path, "2026-11-21T06-00-00Z")
    assert follower.current(store).pointer.run_ts == "2026-11-21T06-00-00Z"
    assert follower.current(store).fault is None


def test_a_bundle_of_another_run_than_the_pointer_says_is_refused(
    store: CountingStore, follower: Follower, tmp_path: Path
) -> None:
    promote(store, tmp_path, LATER)
    body = store.objects[returns().keys.pointer()].body
    store.put(returns().keys.pointer(), body.replace(f'"run_ts": "{LATER}"'.encode(), f'"run_ts": "{RUN}"'.encode()))
    with pytest.raises(BadBundle, match="holds the model of run"):
        follower.current(store)


def test_a_bundle_that_is_gone_is_named(store: CountingStore, follower: Follower, tmp_path: Path) -> None:
    promote(store, tmp_path)
    store.delete(returns().keys.model(RUN))
    with pytest.raises(BadBundle, match="does not exist"):
        follower.current(store)


def test_before_the_first_promotion_there_is_no_champion(store: CountingStore, follower: Follower) -> None:
    with pytest.raises(NoChampion, match="run the pipeline first"):
        follower.current(store)


def test_a_champion_whose_pointer_was_removed_serves_no_longer(
    store: CountingStore, follower: Follower, tmp_path: Path
) -> None:
    promote(store, tmp_path)
    follower.current(store)
    store.delete(returns().keys.pointer())
    with pytest.raises(NoChampion):
        follower.current(store)


def test_a_pointer_that_is_not_ours_is_refused(store: CountingStore, follower: Follower) -> None:
    store.put(returns().keys.pointer(), b'{"model_uri": "s3://bucket/model.tar.gz"}')
    with pytest.raises(ForeignDocument):
        follower.current(store)


def test_while_the_store_is_out_of_reach_the_loaded_champion_serves_on(
    store: CountingStore, follower: Follower, tmp_path: Path
) -> None:
    promote(store, tmp_path)
    follower.current(store)
    store.down = True
    assert follower.current(store).fault == "Unavailable: S3 is out of reach."
    store.down = False
    assert follower.current(store).fault is None
