"""Numbers between Arrow and numpy."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from ratchet.tables.numbers import texts, to_arrow, to_numpy

WITHOUT_PANDAS = """
import sys, numpy as np, pyarrow as pa
from ratchet.tables.numbers import TIMESTAMP, texts, to_arrow, to_numpy
to_numpy(to_arrow(np.arange(3.0), pa.float64()))
to_arrow(np.arange(3), TIMESTAMP)
texts(["a"])
print("pandas" in sys.modules)
"""


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64(), pa.int64()])
def test_numbers_survive_both_ways_from_the_middle_of_an_array(kind):
    values = np.arange(9).astype(kind.to_pandas_dtype())
    array = to_arrow(values, kind)
    assert array.equals(pa.array(values, kind))
    np.testing.assert_array_equal(to_numpy(array.slice(2, 5)), values[2:7])
    assert len(to_numpy(array.slice(9))) == 0


def test_nulls_become_nan():
    np.testing.assert_array_equal(to_numpy(pa.array([1.0, None, 3.0])), [1.0, np.nan, 3.0])


def test_vectors_that_lie_apart_in_memory_become_a_fixed_size_list():
    wide = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert to_arrow(wide[:, 1:3], pa.list_(pa.float32(), 2)).to_pylist() == wide[:, 1:3].tolist()


def test_texts_of_any_alphabet_survive():
    assert texts(["", "train", "naïve", "유효"]).to_pylist() == ["", "train", "naïve", "유효"]
    assert texts([]).to_pylist() == []


def test_pandas_is_not_imported_for_it():
    answer = subprocess.run([sys.executable, "-c", WITHOUT_PANDAS], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
