"""Parquet files for the offline store, written by the training Python: the emulator's own has no Arrow."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_SECONDS = 120.0
# Run by a Python that has none of our modules: hence text.
_WRITE = """
import json, sys
import pyarrow as pa, pyarrow.parquet as pq
told = json.load(open(sys.argv[1] + "/rows.json"))
time = pa.timestamp("ms", tz="UTC")
kinds = {"Integral": pa.int64(), "Fractional": pa.float64(), "String": pa.string(), "Time": time, "Boolean": pa.bool_()}
schema = pa.schema([(name, kinds[kind]) for name, kind in told["types"]])
def column(values, kind):
    return [round(1000 * value) for value in values] if kind == "Time" else values
for number, rows in enumerate(told["files"]):
    columns = zip(zip(*rows), schema, told["types"])
    arrays = [pa.array(column(values, kind), field.type) for values, field, (_, kind) in columns]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), f"{sys.argv[1]}/{number}.parquet")
"""


class Writer:
    """Writes files in a process of its own, all of a batch in one."""

    def __init__(self, python: Path) -> None:
        """`python` has pyarrow."""
        self._python = python

    def __call__(self, types: Sequence[tuple[str, str]], files: Sequence[list[list[Any]]]) -> list[bytes]:
        """One file for each list of rows; `types` are the columns' names and types (Integral, Time, Boolean and so on).

        Times are seconds since 1970. Raises OSError where the process fails.
        """
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "rows.json").write_text(json.dumps({"types": types, "files": files}))
            command = [str(self._python), "-I", "-c", _WRITE, folder]
            try:
                ran = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
            except subprocess.TimeoutExpired as error:
                raise OSError(f"Parquet was not written within {_SECONDS:g} seconds.") from error
            if ran.returncode != 0:
                raise OSError(f"Parquet cannot be written: {(ran.stderr.strip().splitlines() or ['?'])[-1]}")
            return [(Path(folder) / f"{number}.parquet").read_bytes() for number in range(len(files))]
