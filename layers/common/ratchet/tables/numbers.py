"""Numbers between Arrow and numpy without a copy.

Arrow's own ways (`pa.array`, `to_numpy`) import pandas where it is installed: 0.3 s and 40 MiB for nothing.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

TIMESTAMP = pa.timestamp("us", "UTC")
_DTYPES: dict[pa.DataType, np.dtype[Any]] = {
    pa.float32(): np.dtype(np.float32),
    pa.float64(): np.dtype(np.float64),
    pa.int64(): np.dtype(np.int64),
}


def to_numpy(column: pa.Array) -> NDArray[Any]:
    """Floats or integers as a view [N]; where there are nulls a copy, NaN for each."""
    dtype = _DTYPES.get(column.type)
    if dtype is None or column.null_count or not len(column):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    return np.frombuffer(column.buffers()[1], dtype, len(column), column.offset * dtype.itemsize)


def to_arrow(values: NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Numbers [N] of the width of `kind`, or [N, width] for a fixed-size list; contiguous ones without a copy."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(values))]
    if pa.types.is_fixed_size_list(kind):
        flat = pa.Array.from_buffers(kind.value_type, values.size, buffers)
        return pa.FixedSizeListArray.from_arrays(flat, type=kind)
    return pa.Array.from_buffers(kind, len(values), buffers)


def texts(values: Sequence[str]) -> pa.Array:
    """Texts as a string array."""
    encoded = [value.encode() for value in values]
    offsets = np.cumsum([0, *map(len, encoded)]).astype(np.int32)
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded)))
