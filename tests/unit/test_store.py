"""The compare-and-swap primitive against lost answers and rivals."""

import pytest
from ratchet.errors import ForeignDocument, Unavailable
from ratchet.store import Stored, create, decode, encode, replace

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


@pytest.mark.parametrize("body", [b"{", b"[1]", b"\xff"])
def test_decode_names_a_document_that_is_not_ours(body: bytes) -> None:
    with pytest.raises(ForeignDocument, match=r"model/latest\.json"):
        decode(Stored(body, "e"), "model/latest.json")


def test_encode_refuses_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode({"x": float("nan")})
