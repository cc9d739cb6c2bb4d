"""A document is a record of Ratchet's only with every field, each of its type."""

from dataclasses import asdict
from typing import Any

import pytest
from ratchet.errors import ForeignDocument
from ratchet.lease import Lease
from ratchet.records import record

LEASE = asdict(Lease("held", "a", "r", 1, "2026-11-21T04:00:00Z", "2026-11-21T08:00:00Z"))
INSTANTS = ("taken_at", "expires_at")


def test_a_whole_document_is_a_record() -> None:
    assert record(Lease, LEASE, "lease.json", instants=INSTANTS) == Lease(**LEASE)


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ([], "it is no JSON object"),
        ({**LEASE, "owner": "me"}, "it has 'owner'"),
        ({name: value for name, value in LEASE.items() if name != "token"}, "it lacks token"),
        ({**LEASE, "token": "1"}, "its token is of another type"),
        ({**LEASE, "token": True}, "its token is of another type"),
        ({**LEASE, "execution": None}, "its execution is of another type"),
        ({**LEASE, "expires_at": "noon"}, "its expires_at is no instant"),
        ({**LEASE, "expires_at": "0001-01-01T00:00:00+23:59"}, "its expires_at is no instant"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_any_other_is_named_with_its_fault(document: Any, fault: str) -> None:
    with pytest.raises(ForeignDocument, match=rf"lease\.json is no lease of Ratchet's \({fault}\); move it away"):
        record(Lease, document, "lease.json", instants=INSTANTS)
