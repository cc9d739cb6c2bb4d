"""The two inputs as they are."""

from typing import Any

import numpy as np

FIELDS = {"vector": 2}


def inputs(vector: Any, row: str = "the row") -> np.ndarray:
    """float32 [2]."""
    return np.asarray(vector, np.float32)


def arrays(vector: np.ndarray) -> np.ndarray:
    """float32 [N, 2]."""
    return vector
