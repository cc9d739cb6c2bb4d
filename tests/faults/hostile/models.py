"""Graphs that a training job may hand over: bytes of ONNX, some of them changed."""

from pathlib import Path
from random import Random

import numpy as np
from ratchet.errors import BadBundle
from ratchet.serving import session
from ratchet.serving.bundle import Bundle

from tests.bundles import document, graph
from tests.faults.hostile import changes
from tests.faults.hostile.target import Target, name_of

SOUND = graph(width=4)
DECLARED = document(width=4)


def model(rng: Random) -> bytes:
    """One of them."""
    body = SOUND
    for _ in range(rng.choice((1, 1, 2, 3))):
        body = changes.of_bytes(rng, body)
    return body


def check(data: bytes) -> str:
    """Loads it and has it predict, as evaluation does."""
    path = Path("model.onnx")
    path.write_bytes(data)
    try:
        loaded = session.load(Bundle(Path(), DECLARED, path, Path("reference.npz")))
        answer = loaded.predict(np.ones((2, 4), np.float32))
    except BadBundle as error:
        return name_of(error)
    assert answer.shape == (2, len(DECLARED["targets"]))
    return "answers"


GRAPH = Target(model, check)
