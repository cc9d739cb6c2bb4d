"""A file's sound rows as records: each with a key of its own, once, and with one label.

The key is that of what is known before the outcome is: the same record has the same key in every file.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ratchet.errors import SourceMismatch
from ratchet.files.rows import MOST_BYTES
from ratchet.tabular.layout import AT, GROUP, RECORD, Layout

DIGITS = 32
"""Of a key: so many of SHA-256, in hexadecimal."""
BETWEEN = "\x1f"
"""What no category holds, nor a number: only the group might, which comes first."""


@dataclass(frozen=True)
class Records:
    """`rows` have the layout's schema, in the order of the file; `duplicates` were there before, as they are.

    `disputed` is how many rows are left out because the same record has another label elsewhere in the file.
    """

    rows: pa.Table
    duplicates: int
    disputed: int


def of_rows(blocks: Iterable[pa.Table], layout: Layout) -> Records:
    """The records of a file. Raises SourceMismatch where they are more than a part holds."""
    found, size = [layout.schema.empty_table()], 0
    for block in blocks:
        keyed = block.add_column(0, RECORD, keys(block, layout)).cast(layout.schema)
        found.append(keyed)
        size += keyed.nbytes
        if size > MOST_BYTES:
            raise SourceMismatch(f"The file makes more than {MOST_BYTES:,} bytes of rows: make several files of it.")
    rows = pa.concat_tables(found)
    which = codes(rows[RECORD])
    first = np.zeros(len(which), np.bool_)
    first[np.unique(which, return_index=True)[1]] = True
    labels = np.bincount(which, rows[layout.label].to_numpy())[which]
    disputed = (labels > 0) & (labels < np.bincount(which)[which])
    kept = rows.filter(pa.array(first & ~disputed))
    return Records(kept, int((~first & ~disputed).sum()), int(disputed.sum()))


def keys(block: pa.Table, layout: Layout) -> pa.Array:
    """The keys of rows: of their group, of their instant where it is their own, and of all attributes by name."""
    texts = [block[GROUP].to_pylist()]
    if layout.event_time:
        texts.append(list(map(str, block[AT].cast(pa.int64()).to_pylist())))
    # A number by its value, however it was written: adding nothing makes 0 of -0.
    numbers = (block[name].to_pylist() for name in sorted(layout.numbers))
    texts += [["" if each is None else repr(each + 0.0) for each in column] for column in numbers]
    texts += [block[name].fill_null("").to_pylist() for name in sorted(layout.categories)]
    told = map(BETWEEN.join, zip(*texts, strict=True))
    return pa.array([hashlib.sha256(each.encode()).hexdigest()[:DIGITS] for each in told], pa.string())


def codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """A number for each row [N], the same for the same text."""
    encoded = column.combine_chunks().dictionary_encode()
    arrays = encoded.chunks if isinstance(encoded, pa.ChunkedArray) else [encoded]
    found: NDArray[np.int64] = np.concatenate([each.indices.to_numpy() for each in arrays] or [[]]).astype(np.int64)
    return found
