import re
from pathlib import Path

import numpy as np
import pytest
from ratchet.errors import BadBundle, BadInput
from ratchet.serving import session

from tests.bundles import TARGETS, graph, unpacked


def test_a_model_answers_every_row_of_a_batch_in_order_whatever_its_size(tmp_path: Path) -> None:
    model = session.load(unpacked(tmp_path))
    rows = np.random.default_rng(1).standard_normal((2 * session.CHUNK_ROWS + 3, 512)).astype(np.float32)
    for count in (0, 1, session.CHUNK_ROWS, session.CHUNK_ROWS + 1, len(rows)):
        assert np.array_equal(model.predict(rows[:count]), rows[:count, : len(TARGETS)])


def test_float64_and_strided_rows_are_taken_as_float32(tmp_path: Path) -> None:
    model = session.load(unpacked(tmp_path))
    rows = np.arange(4 * 1024, dtype=np.float64).reshape(4, 1024)[:, ::2]
    assert np.array_equal(model.predict(rows), rows[:, :6].astype(np.float32))


@pytest.mark.parametrize("shape", [(512,), (1, 511), (1, 512, 1)])
def test_rows_of_another_shape_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match="512"):
        session.load(unpacked(tmp_path)).predict(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (b"not a graph", "does not load"),
        (graph(width=511), "input 'features'"),
        (graph(targets=5), "output 'predictions'"),
        (graph(batch=7), "input 'features'"),
    ],
    ids=["no graph", "another width", "other targets", "a fixed batch"],
)
def test_a_graph_that_is_not_as_the_bundle_says_is_refused(tmp_path: Path, model: bytes, words: str) -> None:
    with pytest.raises(BadBundle, match=words) as caught:
        session.load(unpacked(tmp_path, model))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (graph(ending="Gather", operand=(6,) * 6, axis=1), "does not run"),
        (graph(ending="Tile", operand=(2, 1)), "answers 3 rows in the shape [6, 6]"),
    ],
    ids=["an index beyond the end", "two answers a row"],
)
def test_a_graph_whose_fault_shows_only_when_it_runs_is_named(tmp_path: Path, model: bytes, words: str) -> None:
    with pytest.raises(BadBundle, match=re.escape(words)) as caught:
        session.load(unpacked(tmp_path, model)).predict(np.ones((3, 512), np.float32))
    assert "\n" not in str(caught.value)


def test_a_session_keeps_to_one_thread(tmp_path: Path) -> None:
    options = session.load(unpacked(tmp_path)).session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
