"""The fast way through a page of JSON rows: whole columns at once, as long as every value is what was declared.

It never judges: at the first oddity it gives the page up, and `rows.py` goes through it row by row.
"""

import re
from typing import Any

import numpy as np
import simdjson

from ratchet.extraction.columns import Column, Columns, width
from ratchet.extraction.source import Page
from ratchet.sources import Table

LIMIT = float(np.finfo(np.float32).max)
INSTANT = re.compile(r"((?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?)\+00:00")
"""What numpy is given to read: it takes much else for an instant, `now` and nothing at all included."""


def sound_page(document: Any, table: Table) -> Page | None:
    """The page of a parsed array of rows, or None where any value needs a closer look."""
    if not isinstance(document, simdjson.Array) or not len(document):
        return None
    rows: list[Any] = list(document)
    if not all(type(row) is simdjson.Object for row in rows):
        return None
    columns: Columns = {}
    for name, kind in table.columns.items():
        column = _column([row.get(name) for row in rows], kind)
        if column is None:
            return None
        columns[name] = column
    keys = columns[table.key]
    if not (keys[1:] > keys[:-1]).all():
        return None
    return Page(columns, [], str(rows[-1][table.key]), len(rows))


def _column(cells: list[Any], kind: str) -> Column | None:
    size = width(kind)
    if size is not None:
        return _vectors(cells, size)
    if kind == "timestamp":
        return _instants(cells)
    if kind == "float64" and all(type(cell) in {float, int} for cell in cells):
        numbers = np.array(cells, np.float64)
        return numbers if np.isfinite(numbers).all() else None
    if kind == "text" and all(type(cell) is str for cell in cells):
        return np.array(cells, object)
    return None


def _vectors(cells: list[Any], size: int) -> Column | None:
    if not all(type(cell) is simdjson.Array and len(cell) == size for cell in cells):
        return None
    try:
        flat = np.frombuffer(b"".join([cell.as_buffer(of_type="d") for cell in cells]))
    except (TypeError, ValueError):
        return None
    # Not finite fails both comparisons.
    if flat.size != size * len(cells) or not (flat.max() <= LIMIT and flat.min() >= -LIMIT):
        return None
    return flat.astype(np.float32).reshape(-1, size)


def _instants(cells: list[Any]) -> Column | None:
    found = [INSTANT.fullmatch(cell) if type(cell) is str else None for cell in cells]
    if not all(found):
        return None
    try:
        return np.array([match[1] for match in found if match], "datetime64[us]")
    except ValueError:
        return None
