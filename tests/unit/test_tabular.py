"""Files of records: whatever is in them lands as a record, is left out as a duplicate, or is set aside."""

import csv
import hashlib
import io
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ratchet.catalog import load
from ratchet.errors import BadConfiguration, SourceMismatch, Unavailable
from ratchet.files import land
from ratchet.files.kind import Content
from ratchet.sources import TabularFiles
from ratchet.store import Listed
from ratchet.tabular import reader, records
from ratchet.tabular.kind import Source

from tests.emulated import CHECKOUT
from tests.fakes import NOW, MemoryStore
from tests.filed import COLUMNS, clicks, impressions

REAL = CHECKOUT.parent / "shared/data/adclick/ad_click_dataset.csv"
KEY = "adclick/datasets/a.csv"
PLAIN = "7,Ann,31,Female,Mobile,Top,News,Night,1"
BARE = "8,Bob,,,,,,,0"


def content(body: bytes, folder: Path, **changed: object) -> Content:
    path = folder / "file.csv"
    path.write_bytes(body)
    return Source(clicks(**changed)).content(path, KEY, NOW)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many blocks as a large file has."""
    monkeypatch.setattr(reader, "BLOCK_BYTES", 200)


def test_a_row_is_a_record_of_its_instant_without_what_is_personal(tmp_path: Path) -> None:
    found = content(impressions(PLAIN, BARE), tmp_path)
    first, second = found.rows.to_pylist()
    key = first.pop("record_id")
    assert len(key) == 32
    assert first == {
        "event_time": NOW, "group": "7", "age": 31.0, "gender": "Female", "device_type": "Mobile",
        "ad_position": "Top", "browsing_history": "News", "time_of_day": "Night", "click": 1,
    }  # fmt: skip
    assert second["record_id"] != key
    assert (second["age"], second["gender"], second["click"]) == (None, None, 0)
    assert (found.records, found.ignored, found.rejected) == (2, {}, {})


def test_the_key_of_a_record_is_for_ever(tmp_path: Path) -> None:
    """Another one would count every record twice, in files that are there and in a feature group."""
    (row,) = content(impressions(PLAIN), tmp_path).rows.to_pylist()
    told = "7\x1f31.0\x1fTop\x1fNews\x1fMobile\x1fFemale\x1fNight"
    assert row["record_id"] == hashlib.sha256(told.encode()).hexdigest()[:32] == "79787ee727b250f5beb147054a49f9f1"


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("7,Someone,31.0,Female,Mobile,Top,News,Night,1", True),
        ("7,Ann, 3.1e1 ,Female , Mobile,Top,News,Night,0", True),
        ("70,Ann,31,Female,Mobile,Top,News,Night,1", False),
        ("7,Ann,,Female,Mobile,Top,News,Night,1", False),
        ("7,Ann,31,,Mobile,Top,News,Night,1", False),
    ],
)
def test_a_record_is_the_same_by_what_is_known_before_its_outcome(other: str, same: bool, tmp_path: Path) -> None:
    first, second = (content(impressions(line), tmp_path).rows["record_id"].to_pylist() for line in (PLAIN, other))
    assert (first == second) is same


def test_columns_may_stand_in_any_order_and_others_beside_them(tmp_path: Path) -> None:
    rows = list(csv.reader(io.StringIO(impressions(PLAIN, BARE).decode())))
    turned = "".join(",".join([*row[::-1], "x"]) + "\n" for row in rows).encode()
    assert content(turned, tmp_path).rows.equals(content(impressions(PLAIN, BARE), tmp_path).rows)


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + impressions(PLAIN, BARE),
        impressions(PLAIN, BARE).replace(b"\n", b"\r\n"),
        impressions(PLAIN, BARE)[:-1],
        impressions(PLAIN, "", BARE, ""),
        impressions(PLAIN.replace("Ann", '"Ann, called ""A"""'), BARE),
    ],
    ids=["marked as UTF-8", "lines of Windows", "no end of the last line", "empty lines", "quoted"],
)
def test_the_same_records_may_be_written_otherwise(body: bytes, tmp_path: Path) -> None:
    assert content(body, tmp_path).rows.equals(content(impressions(PLAIN, BARE), tmp_path).rows)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("9,Cy,old,,,,,,1", "age is no number"),
        ("9,Cy,nan,,,,,,1", "age is no number"),
        ("9,Cy,1e999,,,,,,1", "age is not within 0 to 120"),
        ("9,Cy,-1,,,,,,1", "age is not within 0 to 120"),
        ("9,Cy,121,,,,,,1", "age is not within 0 to 120"),
        ("9,Cy,,female,,,,,1", "gender is none of its categories"),
        ("9,Cy,,,Watch,,,,1", "device_type is none of its categories"),
        ("9,Cy,,,,,,,2", "click is neither 0 nor 1"),
        ("9,Cy,,,,,,,", "click is neither 0 nor 1"),
        (",Cy,,,,,,,1", "id is missing"),
        (f"{'9' * 65},Cy,,,,,,,1", "id is longer than 64 characters"),
        ("9,Cy,,,,,,1", "another number of columns"),
        ("9,Cy,,,,,,,1,", "another number of columns"),
        ("9,Cy,old,female,,,,,2", "age is no number"),
    ],
)
def test_a_row_that_breaks_the_contract_is_set_aside_by_its_number(line: str, reason: str, tmp_path: Path) -> None:
    found = content(impressions(PLAIN, line, BARE), tmp_path)
    assert (found.records, found.rejected) == (2, {reason: 1})
    assert [asdict(each) for each in found.aside] == [{"key": "", "reason": reason, "row": "row 3 of the file"}]


@pytest.mark.usefixtures("small_blocks")
def test_rows_are_numbered_as_they_stand_over_blocks_and_torn_rows(tmp_path: Path) -> None:
    bad = {5: "x,y", 9: "9,Cy,old,,,,,,1", 10: "x", 11: "9,Cy,,,,,,,7", 40: "9,Cy,old,,,,,,1", 41: "1,2,3"}
    lines = [bad.get(number, f"{number},Ann,31,Female,Mobile,Top,News,Night,1") for number in range(2, 60)]
    found = content(impressions(*lines), tmp_path)
    assert sorted(int(each.row.split()[1]) for each in found.aside) == list(bad)
    assert found.records == 58 - len(bad)


@pytest.mark.usefixtures("small_blocks")
def test_exact_duplicates_are_left_out_and_records_with_two_labels_set_aside(tmp_path: Path) -> None:
    disputed = [f"5,Di,20,,,,,,{label}" for label in (0, 1, 1)]
    found = content(impressions(PLAIN, *disputed, *([BARE] * 30), PLAIN, BARE, "8,Else,,,,,,,0"), tmp_path)
    assert (found.records, found.ignored, found.rejected) == (2, {"duplicate": 32}, {"two labels": 3})
    assert found.rows["group"].to_pylist() == ["7", "8"]


def test_a_part_tells_of_its_groups_as_many_as_suffice_a_run(tmp_path: Path) -> None:
    about = content(impressions(PLAIN, BARE, "9,Cy,,,,,,,1", "7,Ann,,,,,,,1"), tmp_path).about
    assert (about["file"], about["groups"], about["positives"], len(about["marks"])) == (KEY, 3, 3, 2)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (impressions(), "no records"),
        (impressions().rstrip(b"\n"), "no records"),
        (impressions(PLAIN, header=COLUMNS.replace("age", "Age")), "the column age .it has 9 columns.*read: 2, 3"),
        (impressions(PLAIN, header=COLUMNS.replace("gender,", "").replace("click", "c")), "the columns gender, click"),
        (impressions(PLAIN, header=COLUMNS.replace("full_name", "age")), "the column age more than once"),
        (PLAIN.encode(), "does not name the columns id, age"),
        (impressions(PLAIN).decode().encode("utf-16"), "UTF-8"),
        (impressions(PLAIN).decode().encode("utf-16-le"), "does not name"),
        (impressions(PLAIN.replace("Ann", "Zoë")).decode().encode("latin-1"), "no text of UTF-8"),
        (impressions(PLAIN, PLAIN.replace("Ann", '"Ann'), BARE, BARE), "never closed"),
        (impressions(PLAIN, PLAIN.replace("Ann", '"Ann\nLee"'), BARE), "one line"),
        (b"PK\x03\x04\x14\x00\x06\x00", "does not name"),
    ],
)
def test_a_file_that_is_not_what_is_declared_is_refused_whole(body: bytes, told: str, tmp_path: Path) -> None:
    with pytest.raises(SourceMismatch, match=f"{KEY}: .*{told}"):
        content(body, tmp_path)


@pytest.mark.usefixtures("small_blocks")
def test_a_row_without_an_end_is_refused_and_not_kept_in_memory(tmp_path: Path) -> None:
    with pytest.raises(SourceMismatch, match="shorter than 200 bytes"):
        content(impressions(PLAIN, "7," + "x" * 1000 + ",31,,,,,,1"), tmp_path)


def test_another_encoding_at_the_end_of_a_large_file_is_found(tmp_path: Path) -> None:
    body = impressions(*(f"{number},Ann,,,,,,,1" for number in range(300_000))) + b"7,Zo\xeb,31,,,,,,1\n"
    assert len(body) > reader.BLOCK_BYTES
    with pytest.raises(SourceMismatch, match=f"bytes from {body.index(0xEB):,} on.*UTF-8"):
        content(body, tmp_path)


def test_a_file_that_makes_too_many_rows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MOST_BYTES", 100)
    with pytest.raises(SourceMismatch, match="make several files"):
        content(impressions(PLAIN, BARE), tmp_path)


PERSON = "Planted Person"


@pytest.mark.parametrize(
    "lines",
    [
        [PLAIN, f"9,{PERSON},old,,,,,,1", f"9,{PERSON},,,,,,1", f"9,{PERSON},,,,,,,5", f"9,{PERSON},,,,,,,1"],
        [PLAIN, f'9,"{PERSON}', BARE],
        [f"9,{PERSON},,,,,,,1" + "\udce9"],
    ],
    ids=["rows set aside", "a quote that is never closed", "another encoding"],
)
def test_what_is_personal_stays_in_the_landing_zone(lines: list[str], tmp_path: Path) -> None:
    """Whatever comes of the file: what is stored, and what is said of it."""
    store, told = MemoryStore(), ""
    store.put(KEY, "\n".join([COLUMNS, *lines, ""]).encode(errors="surrogateescape"))
    try:
        land.land(store, store, clicks(), KEY)
    except SourceMismatch as error:
        told = f"{error!r} {error.__cause__!r} {error.__cause__ and error.__cause__.__cause__!r}"
    assert told or len(store.objects) == 4
    stored = b"".join(each.body for key, each in store.objects.items() if key != KEY)
    assert b"Planted" not in stored
    assert "Planted" not in told


def test_a_header_that_is_somebody_is_not_quoted(tmp_path: Path) -> None:
    with pytest.raises(SourceMismatch) as caught:
        content(f"9,{PERSON},31,Female,Mobile,Top,News,Night,1\n".encode(), tmp_path)
    assert "Planted" not in str(caught.value)


def test_a_file_lands_once_as_of_when_it_was_put_there(tmp_path: Path) -> None:
    store = MemoryStore()
    store.now = NOW + timedelta(hours=1, microseconds=5)
    store.put(KEY, impressions(PLAIN, BARE))
    land.land(store, store, clicks(), KEY)
    writes, store.now = list(store.writes), NOW + timedelta(days=9)
    found = land.land(store, store, clicks(), KEY)
    assert (found.rows_read, store.writes) == (0, writes)
    assert found.tables["records"] == {"part": Source(clicks()).name_of(KEY), "rows": 2, "records": 2, "rejected": 0}


def test_a_declared_column_is_the_instant_of_a_record_and_part_of_its_key(tmp_path: Path) -> None:
    header, at = f"{COLUMNS},shown_at", "2026-11-01T12:00:00+02:00"
    lines = [f"{PLAIN},{at}", f"{PLAIN},2026-11-02T10:00:00Z", f"{BARE},", f"{BARE},noon", f"{BARE},2026-11-02T10:00"]
    found = content(impressions(*lines, header=header), tmp_path, event_time="shown_at")
    assert found.rows["event_time"].to_pylist() == [
        datetime(2026, 11, 1, 10, tzinfo=UTC),
        datetime(2026, 11, 2, 10, tzinfo=UTC),
    ]
    assert len(set(found.rows["record_id"].to_pylist())) == 2
    assert found.rejected == {"shown_at is no instant with an offset": 3}
    with pytest.raises(SourceMismatch, match="the column shown_at"):
        content(impressions(PLAIN), tmp_path, event_time="shown_at")


def test_a_file_that_is_too_large_is_not_even_fetched() -> None:
    source = Source(clicks(max_bytes=100))
    with pytest.raises(SourceMismatch, match=r"has 2,000,000,000 bytes; source\.max_bytes is 100"):
        source.read(MemoryStore(), [Listed(KEY, 2_000_000_000, '"e"', NOW)])


def test_a_file_that_is_replaced_while_it_is_read_is_read_again() -> None:
    store = MemoryStore()
    store.put(KEY, impressions(PLAIN))
    with pytest.raises(Unavailable, match="was replaced"):
        Source(clicks()).read(store, [Listed(KEY, 5, '"before"', NOW)])


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"personal": ["age"]}, "named 'age'"),
        ({"group": "click"}, "named 'click'"),
        ({"numbers": {"group": [0, 1]}}, "named 'group'"),
        ({"numbers": {"age": [1]}}, "source.numbers.age"),
        ({"numbers": {"age": [5, 5]}}, "source.numbers.age"),
        ({"categories": {"gender": []}}, "source.categories.gender"),
        ({"categories": {"gender": ["a", "a"]}}, "source.categories.gender"),
        ({"categories": {"gender": ["a", "missing"]}}, "source.categories.gender"),
        ({"label": "clicked"}, "data.targets names the label"),
    ],
)
def test_declarations_that_make_no_sense_are_named(changed: dict[str, object], told: str) -> None:
    with pytest.raises(BadConfiguration, match=told):
        Source(clicks(**changed))


def test_a_source_of_records_needs_a_salt() -> None:
    pipeline = clicks()
    with pytest.raises(BadConfiguration, match=r"data\.salt"):
        Source(replace(pipeline, data=replace(pipeline.data, salt=None)))


TEXT = st.text(st.characters(codec="utf-8", exclude_characters='",\r\n'), max_size=6)
FIELDS = st.lists(
    st.one_of(TEXT, st.sampled_from(["1", "0", "31", "Male", "Top", "News", ""])), min_size=1, max_size=11
)


@settings(deadline=None, max_examples=60)
@given(st.lists(FIELDS, min_size=1, max_size=30))
def test_every_row_ends_as_a_record_a_duplicate_or_aside(
    tmp_path_factory: pytest.TempPathFactory, lines: list[list[str]]
) -> None:
    rows = [",".join(line) for line in lines]
    found = content(impressions(PLAIN, *rows), tmp_path_factory.getbasetemp())
    given = 1 + sum(bool(row) for row in rows)
    assert found.records + sum(found.ignored.values()) + sum(found.rejected.values()) == given
    assert Source(clicks()).fault(found.rows) is None


@pytest.mark.skipif(not REAL.exists(), reason="the real file of clicks is not here")
def test_the_real_file_is_all_records_of_which_many_are_there_twice() -> None:
    found = Source(load("adclick")).content(REAL, KEY, NOW)
    assert (found.records, found.ignored, found.rejected) == (7147, {"duplicate": 2853}, {})
    assert (found.about["groups"], found.about["positives"], len(found.about["marks"])) == (4000, 3647, 500)
    assert found.rows.num_rows == 7147
    assert not {*load("adclick").source_as(TabularFiles).personal} & {*found.rows.column_names}
