"""The compare-and-swap primitive against lost answers and rivals."""

from pathlib import Path

import pytest
from ratchet.errors import ForeignDocument, Unavailable
from ratchet.store import Stored, Versions, create, decode, encode, replace

from tests.fakes import MemoryStore


def test_create_wins_once() -> None:
    store = MemoryStore()
    assert create(store, "k", b"mine")
    assert create(store, "k", b"another's") is None
    assert store.objects["k"].body == b"mine"


@pytest.mark.parametrize("lost", ["lose_answers", "lose_requests"])
def test_create_finds_out_what_became_of_a_write_without_an_answer(lost: str) -> None:
    store = MemoryStore()
    setattr(store, lost, 1)
    etag = create(store, "k", b"mine")
    assert etag == store.objects["k"].etag


def test_create_after_a_lost_request_sees_a_rival() -> None:
    store = MemoryStore()
    store.lose_requests = 1
    store.objects["k"] = Stored(b"rival", '"r"')
    assert create(store, "k", b"mine") is None


@pytest.mark.parametrize("lost", ["lose_answers", "lose_requests"])
def test_replace_finds_out_what_became_of_a_write_without_an_answer(lost: str) -> None:
    store = MemoryStore()
    etag = store.put("k", b"old")
    setattr(store, lost, 1)
    assert replace(store, "k", b"new", etag) == store.objects["k"].etag
    assert store.objects["k"].body == b"new"


def test_replace_refuses_another_version() -> None:
    store = MemoryStore()
    store.put("k", b"newer")
    assert replace(store, "k", b"mine", '"older"') is None
    assert store.objects["k"].body == b"newer"


def test_replace_gives_up_on_a_store_that_never_answers() -> None:
    store = MemoryStore()
    etag = store.put("k", b"old")
    store.lose_requests = 99
    with pytest.raises(Unavailable, match="no answer 4 times"):
        replace(store, "k", b"new", etag)


@pytest.mark.parametrize("before", [None, b"old"], ids=["a new object", "one that stood there"])
def test_a_step_overwrites_what_it_found_when_it_began_and_its_own_writes(before: bytes | None, tmp_path: Path) -> None:
    store = MemoryStore()
    if before:
        store.put("k", before)
    versions = Versions(store, "k")
    (tmp_path / "file").write_bytes(b"from a file")
    versions.put("k", b"new", tags={"a": "b"})
    assert (store.objects["k"].body, store.tags["k"]) == (b"new", {"a": "b"})
    assert versions.upload(tmp_path / "file", "k") == versions.etags["k"] == store.objects["k"].etag
    assert store.objects["k"].body == b"from a file"


@pytest.mark.parametrize("before", [None, b"old"], ids=["a new object", "one that stood there"])
def test_a_step_that_was_overtaken_overwrites_nothing_and_begins_again(before: bytes | None, tmp_path: Path) -> None:
    store = MemoryStore()
    if before:
        store.put("k", before)
    versions = Versions(store, "k")
    store.put("k", b"another's")
    (tmp_path / "file").write_bytes(b"mine")
    for write in (lambda: versions.put("k", b"mine"), lambda: versions.upload(tmp_path / "file", "k")):
        with pytest.raises(Unavailable, match="k was written by another process"):
            write()
    assert store.objects["k"].body == b"another's"
    Versions(store, "k").put("k", b"mine")


@pytest.mark.parametrize("lost", ["lose_answers", "lose_requests"])
def test_a_file_whose_answer_was_lost_is_for_the_step_to_write_again(lost: str, tmp_path: Path) -> None:
    store = MemoryStore()
    (tmp_path / "file").write_bytes(b"mine")
    setattr(store, lost, 1)
    with pytest.raises(Unavailable):
        Versions(store, "k").upload(tmp_path / "file", "k")
    assert Versions(store, "k").upload(tmp_path / "file", "k")


@pytest.mark.parametrize("body", [b"{", b"[1]", b"\xff", b'{"a": "\\uD800"}', b'{"a": "\xed\xa0\x80"}'])
def test_decode_names_a_document_that_is_not_ours(body: bytes) -> None:
    with pytest.raises(ForeignDocument, match=r"model/latest\.json"):
        decode(Stored(body, "e"), "model/latest.json")


def test_encode_refuses_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode({"x": float("nan")})


def test_a_document_too_deep_to_be_one_of_ours_is_named() -> None:
    with pytest.raises(ForeignDocument, match="k is not JSON"):
        decode(Stored(b"[" * 100_000, "e"), "k")
