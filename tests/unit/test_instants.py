"""Instants are UTC and spelled one way."""

from datetime import UTC, datetime, timedelta

import pytest
from ratchet.errors import BadInput
from ratchet.instants import iso, parse_instant, run_name

FOUR = datetime(2026, 11, 21, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["2026-11-21T04:00:00Z", "2026-11-21T04-00-00Z", "2026-11-21 04:00:00+00:00", " 2026-11-21T13:00:00+09:00 "],
)
def test_every_spelling_is_the_same_instant(text: str) -> None:
    assert parse_instant(text) == FOUR


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-21", "2026-11-21T04:00:00", "2026-13-01T00:00:00Z"])
def test_what_is_no_instant_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(BadInput, match="write it as 2026"):
        parse_instant(text)


def test_a_runs_name_reads_back() -> None:
    assert run_name(FOUR) == "2026-11-21T04-00-00Z"
    assert parse_instant(run_name(FOUR)) == FOUR


def test_documents_say_z_and_keep_fractions() -> None:
    assert iso(FOUR) == "2026-11-21T04:00:00Z"
    assert iso(FOUR + timedelta(milliseconds=5)) == "2026-11-21T04:00:00.005000Z"
