"""The 512 inputs of `returns`, assembled the same way for training and for serving. numpy only, no input or output."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ratchet.errors import BadInput

FIELDS = {"embedding_a": 256, "embedding_b": 256}
"""What a row must bring, in the order of the inputs, with its length."""
WIDTH = sum(FIELDS.values())

Vector = NDArray[np.float32]


def inputs(embedding_a: Any, embedding_b: Any, row: str = "the row") -> Vector:
    """Embedding A then B, float32 [512], without unit. Raises BadInput naming the row and the field at fault."""
    vectors = {"embedding_a": embedding_a, "embedding_b": embedding_b}
    return np.concatenate([_vector(vectors[field], field, length, row) for field, length in FIELDS.items()])


def batch(rows: Sequence[Mapping[str, Any]]) -> Vector:
    """`inputs` for each row, float32 [N, 512]. Raises BadInput naming the first row and field at fault."""
    assembled = np.empty((len(rows), WIDTH), np.float32)
    for index, row in enumerate(rows):
        name = f"row {index}" + (f" ({row['base_ts']})" if row.get("base_ts") else "")
        missing = [field for field in FIELDS if row.get(field) is None]
        if missing:
            raise BadInput(f"{name}: '{missing[0]}' is missing; send {FIELDS[missing[0]]} numbers.")
        assembled[index] = inputs(row["embedding_a"], row["embedding_b"], name)
    return assembled


def arrays(embedding_a: Vector, embedding_b: Vector) -> Vector:
    """`inputs` for embeddings that the row contract has passed: two float32 [N, 256] give float32 [N, 512]."""
    return np.concatenate([embedding_a, embedding_b], axis=1)


def _vector(value: Any, field: str, length: int, row: str) -> Vector:
    """One embedding, float32 [length]: numbers alone, since numpy would turn the text \"NaN\" and true into numbers."""
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray):
        raise BadInput(f"{row}: '{field}' is no list of numbers; send {length} numbers.")
    if len(value) != length:
        raise BadInput(f"{row}: '{field}' has {len(value)} values; send {length}.")
    if not isinstance(value, np.ndarray) and not set(map(type, value)) <= {float, int}:
        strange = next(entry for entry in value if type(entry) not in (float, int))
        raise BadInput(f"{row}: '{field}' contains {strange!r}, which is no number.")
    try:
        with np.errstate(over="ignore"):
            vector = np.asarray(value, np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadInput(f"{row}: '{field}' is no flat list of numbers.") from error
    if vector.shape != (length,):
        raise BadInput(f"{row}: '{field}' has the shape {vector.shape}; send {length} numbers.")
    if not np.isfinite(vector).all():
        raise BadInput(f"{row}: '{field}' contains a value that is not finite or too large for float32.")
    return vector
