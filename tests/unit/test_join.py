from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from ratchet.errors import ForeignDocument
from ratchet.tables import join
from ratchet.tables.join import Side, common_instants, matches

SECOND = 1_000_000
UTC = pa.timestamp("us", "UTC")


def side(folder: Path, name: str, files: list[list[int]], shift: int = 0) -> Side:
    """A side whose rows carry their own key and position, one file per list of keys (seconds)."""
    paths, position = [], 0
    for index, keys in enumerate(files):
        values = np.arange(position, position + len(keys), dtype=np.float64)
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.repeat(values, 2).astype(np.float32)), 2)
        columns = {
            "key": pa.array(np.array(keys, np.int64) * SECOND).cast(UTC),
            "value": pa.array(values),
            "v": vectors,
        }
        paths.append(folder / f"{name}{index}.parquet")
        pq.write_table(pa.table(columns), paths[-1])
        position += len(keys)
    return Side(paths, "key", ["key", "value", "v"], shift * SECOND)


def joined(left: Side, right: Side) -> list[tuple[int, float, float]]:
    found = []
    for match in matches(left, right):
        assert len(match.instants) == match.left.num_rows == match.right.num_rows
        a, b = match.left.column(1).to_pylist(), match.right.column(1).to_pylist()
        assert match.left.column(2).to_pylist() == [[value, value] for value in a]
        assert match.right.column(2).to_pylist() == [[value, value] for value in b]
        found += list(zip((match.instants // SECOND).tolist(), a, b, strict=True))
    return found


def expected(left: list[list[int]], right: list[list[int]], shift: int) -> list[tuple[int, float, float]]:
    a, b = list(chain(*left)), list(chain(*right))
    return [(x, float(i), float(j)) for i, x in enumerate(a) for j, y in enumerate(b) if x == y + shift]


def cut(keys: list[int], places: list[int]) -> list[list[int]]:
    edges = [0, *sorted(min(place, len(keys)) for place in places), len(keys)]
    return [keys[a:b] for a, b in pairwise(edges)]


def sorted_keys() -> SearchStrategy[list[list[int]]]:
    keys = st.lists(st.integers(0, 25), max_size=40).map(sorted)
    return st.tuples(keys, st.lists(st.integers(0, 40), max_size=4)).map(lambda pair: cut(*pair))


@settings(deadline=None)
@given(sorted_keys(), sorted_keys(), st.integers(-3, 3), st.sampled_from([1, 3, 1000]))
def test_the_join_equals_the_definition_for_any_files_batches_and_repeated_keys(
    tmp_path_factory: pytest.TempPathFactory, left: list[list[int]], right: list[list[int]], shift: int, batch: int
) -> None:
    folder = tmp_path_factory.mktemp("join")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(join, "BATCH_ROWS", batch)
        a, b = side(folder, "a", left), side(folder, "b", right, shift)
        wanted = expected(left, right, shift)
        assert joined(a, b) == wanted
        assert (common_instants(a, b) // SECOND).tolist() == sorted({instant for instant, _, _ in wanted})


def test_a_table_without_files_joins_to_nothing(tmp_path: Path) -> None:
    assert joined(side(tmp_path, "a", []), side(tmp_path, "b", [[1, 2]])) == []
    assert len(common_instants(side(tmp_path, "a", []), side(tmp_path, "b", [[1, 2]]))) == 0


def test_rows_out_of_order_are_refused_rather_than_lost(tmp_path: Path) -> None:
    with pytest.raises(ForeignDocument, match="not sorted by 'key'"):
        joined(side(tmp_path, "a", [[1, 3], [2]]), side(tmp_path, "b", [[1, 2, 3]]))


def test_a_null_vector_does_not_shift_the_rows_after_it(tmp_path: Path) -> None:
    vectors = pa.array([[1.0, 1.0], None, [3.0, 3.0]], pa.list_(pa.float32(), 2))
    rows = {"key": pa.array([0, SECOND, 2 * SECOND]).cast(UTC), "value": [0.0, 1.0, 2.0], "v": vectors}
    pq.write_table(pa.table(rows), tmp_path / "a.parquet")
    left = Side([tmp_path / "a.parquet"], "key", ["key", "value", "v"])
    found = [
        row for match in matches(left, side(tmp_path, "b", [[0, 1, 2]])) for row in match.left.column(2).to_pylist()
    ]
    assert found == [[1.0, 1.0], None, [3.0, 3.0]]


@pytest.mark.parametrize("nullable", [[True, False, True], [False, True, False]])
def test_days_that_declare_their_vectors_nullable_join_with_days_that_do_not(tmp_path, nullable):
    days = [[1, 2], [3], [4, 5]]
    left = side(tmp_path, "a", days)
    for path, may_be_null in zip(left.paths, nullable, strict=True):
        table = pq.read_table(path)
        kind = pa.list_(pa.field("element", pa.float32(), nullable=may_be_null), 2)
        fields = [table.schema.field("key"), table.schema.field("value"), pa.field("v", kind)]
        pq.write_table(table.cast(pa.schema(fields)), path)
    assert joined(left, side(tmp_path, "b", days)) == expected(days, days, 0)


@pytest.mark.parametrize("body", [b"", b"not Parquet", b"PAR1" + bytes(40) + b"PAR1"], ids=["empty", "text", "hollow"])
def test_a_file_that_is_no_parquet_is_named(tmp_path: Path, body: bytes) -> None:
    one, other = side(tmp_path, "a", [[1, 2]]), side(tmp_path, "b", [[1, 2]])
    other.paths[0].write_bytes(body)
    with pytest.raises(ForeignDocument, match=r"b0\.parquet is no landing file"):
        list(matches(one, other))
