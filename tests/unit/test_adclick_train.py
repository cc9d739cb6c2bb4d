"""The training of `adclick`: probabilities that the graph repeats, and how many people are known by heart."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from pipelines.adclick import train
from ratchet.catalog import load
from ratchet.files.salted import parts_of
from ratchet.files.span import Span
from ratchet.gate import checks
from ratchet.tables.training_data import TrainingData
from ratchet.tabular.kind import Source

from local.seeding.clicks import seed_clicks
from tests.emulated import CHECKOUT
from tests.fakes import NOW, MemoryStore

REAL = CHECKOUT.parent / "shared/data/adclick/ad_click_dataset.csv"
PIPELINE = load("adclick")
KNOBS = Namespace(**train.KNOBS)
Split = Callable[[Path], TrainingData]


def data_of(path: Path) -> TrainingData:
    """The training rows of a file, and as `validation` those that the pipeline holds out."""
    source = Source(PIPELINE)
    content = source.content(path, "a.csv", NOW)
    made = source.examples(iter([content.rows]), Span(), NOW)
    codes = parts_of(made.groups, PIPELINE.data)
    masks = {"train": codes == 0, "validation": codes == 2}

    def parted(rows: np.ndarray) -> dict[str, np.ndarray]:
        return {name: rows[mask] for name, mask in masks.items()}

    x, y = parted(made.features), parted(made.targets.astype(np.float32))
    at = parted(made.base_ts)
    return TrainingData(x, y, ["click"], {}, made.about["inputs"], at, at, parted(made.groups))


def seeded(folder: Path, signal: float) -> TrainingData:
    store = MemoryStore()
    seed_clicks(store, PIPELINE, lambda: None, signal=signal)
    (body,) = (stored.body for key, stored in store.objects.items() if key.endswith(".csv"))
    (folder / "seeded.csv").write_bytes(body)
    return data_of(folder / "seeded.csv")


def held_out(data: TrainingData) -> float:
    model = train.Clicks().train(data.x["train"], data.y["train"], data.inputs, KNOBS)
    found = train.auc(data.y["validation"][:, 0], model.predict(data.x["validation"]))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def strong(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return seeded(tmp_path_factory.mktemp("seeded"), 2.0)


def test_a_seed_with_signal_is_learned_and_nothing_is_known_by_heart(strong: TrainingData) -> None:
    assert 0.75 < held_out(strong) < 0.85
    found = train.memorised(strong, KNOBS)
    assert found["split_by_row_auc"] == pytest.approx(found["split_by_group_auc"], abs=0.02)


def test_a_seed_without_signal_teaches_nothing(tmp_path: Path) -> None:
    data = seeded(tmp_path, 0.0)
    assert 0.45 < held_out(data) < 0.55
    assert 0.45 < train.memorised(data, KNOBS)["split_by_row_auc"] < 0.55


@pytest.mark.skipif(not REAL.exists(), reason="the real file of clicks is not here")
def test_the_real_file_is_people_known_by_heart() -> None:
    data = data_of(REAL)
    found = train.memorised(data, KNOBS)
    assert held_out(data) < 0.6
    assert found["split_by_group_auc"] < 0.6
    assert 0.64 < found["split_by_row_auc"] < 0.76


def test_the_graph_answers_with_the_probability(strong: TrainingData) -> None:
    model = train.Clicks().train(strong.x["train"], strong.y["train"], strong.inputs, KNOBS)
    session = onnxruntime.InferenceSession(model.graph().SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"features": strong.x["validation"]})
    assert (found.dtype, found.shape) == (np.float32, (len(strong.x["validation"]), 1))
    assert ((found > 0) & (found < 1)).all()
    assert checks.parity(checks.parity_of(found, model.predict(strong.x["validation"]).reshape(-1, 1))).passed


def test_losses_and_areas_are_told_and_what_cannot_be_is_null() -> None:
    recipe, y = train.Clicks(), np.array([[1], [0], [1], [0]], np.float32)
    answers = np.array([[0.9], [0.2], [0.6], [0.7]])
    told = recipe.measure(answers, y)
    assert told["validation_auc"] == 0.75
    assert told["validation_log_loss"] == pytest.approx(-np.log([0.9, 0.8, 0.6, 0.3]).mean(), abs=1e-4)
    assert recipe.measure(answers, np.ones_like(y))["validation_auc"] is None
    assert recipe.loss(np.zeros((4, 1)), y) == np.inf


def test_one_person_alone_tells_nothing_of_others(strong: TrainingData) -> None:
    rows = slice(0, 50)
    alone = TrainingData(
        {"train": strong.x["train"][rows]}, {"train": strong.y["train"][rows]}, ["click"], {}, strong.inputs,
        {}, {}, {"train": np.full(50, "1")},
    )  # fmt: skip
    assert train.memorised(alone, KNOBS)["split_by_group_auc"] is None
