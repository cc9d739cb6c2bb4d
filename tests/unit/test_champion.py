import errno
import gc
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ratchet.errors import BadBundle, ForeignDocument, NoChampion, RatchetError, Unavailable
from ratchet.serving.champion import RETRY_SECONDS, Champion, Follower
from ratchet.serving.session import Model
from ratchet.store import Stored

from tests.bundles import RUN, WIDTH, graph, promote, returns
from tests.fakes import MemoryStore

LATER, LAST = "2026-11-21T05-00-00Z", "2026-11-21T06-00-00Z"


class CountingStore(MemoryStore):
    """Counts downloads, can be out of reach, and can fill the disk."""

    def __init__(self) -> None:
        super().__init__()
        self.downloads = 0
        self.down = self.full = False

    def get(self, key: str) -> Stored | None:
        if self.down:
            raise Unavailable("S3 is out of reach.")
        return super().get(key)

    def download(self, key: str, path: Path) -> str | None:
        self.downloads += 1
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().download(key, path)


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def follower() -> Follower:
    return Follower(returns())


@pytest.fixture
def held_models() -> Callable[[], list[str]]:
    """The runs of the models that the test made and something still holds."""

    def models() -> list[Model]:
        gc.collect()
        return [each for each in gc.get_objects() if type(each) is Model]

    before = models()
    return lambda: [model.run_ts for model in models() if not any(model is other for other in before)]


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
        ({"model": graph(ending="Gather", operand=(6,) * 6, axis=1)}, "does not run"),
        ({"model": graph(ending="Tile", operand=(2, 1))}, "in the shape"),
        ({"targets": ("a", "b", "c", "d", "e", "f")}, "into a, b, c, d, e, f, which is not what pipeline.yaml"),
        ({"model": graph(width=9), "width": 9}, "9 inputs"),
    ],
    ids=[
        "altered",
        "no graph",
        "not finite",
        "does not run",
        "more answers than rows",
        "other targets",
        "other inputs",
    ],
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


def test_a_broken_version_is_fetched_once_a_minute_and_the_next_one_is_taken_up(
    store: CountingStore, tmp_path: Path
) -> None:
    seconds = [0.0]
    follower = Follower(returns(), lambda: seconds[0])
    promote(store, tmp_path)
    follower.current(store)
    promote(store, tmp_path, LATER, b"no graph")
    assert follower.current(store).fault == follower.current(store).fault
    assert store.downloads == 2
    seconds[0] += RETRY_SECONDS
    assert follower.current(store).fault == follower.current(store).fault
    assert store.downloads == 3
    promote(store, tmp_path, LAST)
    assert follower.current(store).pointer.run_ts == LAST
    assert follower.current(store).fault is None


@pytest.mark.parametrize("held", [True, False], ids=["beside the one before", "alone"])
def test_a_bundle_that_is_put_back_serves_though_the_pointer_did_not_move(
    store: CountingStore, tmp_path: Path, held: bool
) -> None:
    seconds = [0.0]
    follower = Follower(returns(), lambda: seconds[0])
    promote(store, tmp_path)
    if held:
        follower.current(store)
    promote(store, tmp_path, LATER)
    bundle = store.objects.pop(returns().keys.model(LATER))
    assert refusal(follower, store).startswith("BadBundle")
    store.objects[returns().keys.model(LATER)] = bundle
    seconds[0] += RETRY_SECONDS
    assert (follower.current(store).pointer.run_ts, follower.current(store).fault) == (LATER, None)


def refusal(follower: Follower, store: CountingStore) -> str:
    """Why the pointer's champion does not serve, as a report or an error."""
    try:
        return follower.current(store).fault or ""
    except RatchetError as error:
        return f"{type(error).__name__}: {error}"


def test_a_process_that_slept_through_a_move_does_not_bring_back_what_it_holds(
    store: CountingStore, follower: Follower, tmp_path: Path
) -> None:
    """It may be the very model that was rolled back meanwhile."""
    promote(store, tmp_path)
    follower.current(store)
    promote(store, tmp_path, LATER)
    promote(store, tmp_path, LAST, b"no graph")
    with pytest.raises(BadBundle):
        follower.current(store)
    with pytest.raises(BadBundle):
        follower.current(store)


def test_a_process_that_saw_every_move_serves_on_through_two_broken_ones(
    store: CountingStore, follower: Follower, tmp_path: Path
) -> None:
    promote(store, tmp_path)
    for broken in (LATER, LAST):
        follower.current(store)
        promote(store, tmp_path, broken, b"no graph")
    assert follower.current(store).pointer.run_ts == RUN


@pytest.mark.parametrize("held", [True, False], ids=["beside the one before", "alone"])
def test_a_refused_model_is_let_go(
    store: CountingStore, follower: Follower, tmp_path: Path, held: bool, held_models: Callable[[], list[str]]
) -> None:
    promote(store, tmp_path)
    if held:
        follower.current(store)
    promote(store, tmp_path, LATER, graph(scale=float("nan")))
    refusal(follower, store)
    assert held_models() == [RUN] * held


def test_of_many_champions_the_last_alone_stays_in_memory(
    store: CountingStore, follower: Follower, tmp_path: Path, held_models: Callable[[], list[str]]
) -> None:
    for run in (RUN, LATER, LAST):
        promote(store, tmp_path, run)
        follower.current(store)
    assert held_models() == [LAST]


def test_calls_that_meet_a_refused_champion_again_and_again_gather_nothing(
    store: CountingStore, follower: Follower, tmp_path: Path
) -> None:
    promote(store, tmp_path, RUN, b"no graph")
    refusal(follower, store)

    def depth() -> int:
        with pytest.raises(BadBundle) as caught:
            follower.current(store)
        return len(caught.traceback)

    assert depth() == depth() == depth()


def test_a_full_disk_does_not_end_the_service_of_the_champion_before(
    store: CountingStore, follower: Follower, tmp_path: Path
) -> None:
    promote(store, tmp_path)
    follower.current(store)
    promote(store, tmp_path, LATER)
    store.full = True
    assert refusal(follower, store).startswith("BadConfiguration: The temporary storage is full")


def test_nothing_of_a_bundle_stays_on_the_disk(
    store: CountingStore, follower: Follower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    promote(store, tmp_path)
    follower.current(store)
    promote(store, tmp_path, LATER, b"no graph")
    follower.current(store)
    assert list((tmp_path / "scratch").iterdir()) == []


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
