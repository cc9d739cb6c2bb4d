"""A signed link: only who holds it whole and in time may look, only a POST decides, and only once."""

import base64
import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ratchet.errors import LinkRefused
from ratchet.registry.link import Signer
from ratchet.registry.package import APPROVED, LONGEST, PENDING, REJECTED, reason
from ratchet.registry.page import HEADERS
from ratchet.registry.visit import BY_LINK, respond
from ratchet.store import decode, encode

from tests.fakes import Clock
from tests.signed import KEYS, NOW, RUN, SECONDS, World

UNTIL = NOW + timedelta(seconds=SECONDS)
HOSTILE = "<script>alert('x')</script><img src=x onerror=\"y\">&amp;"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def arn(world: World) -> str:
    return world.register().package_arn


def query(world: World) -> dict[str, str]:
    """That of the link in the message."""
    link = urlsplit(world.signer().link(world.api_url(), "adclick", RUN, UNTIL))
    assert (link.netloc, link.path) == ("api.test", f"/approvals/adclick/{RUN}")
    return {name: values[0] for name, values in parse_qs(link.query, strict_parsing=True).items()}


def visit(
    world: World,
    method: str = "GET",
    body: str | None = None,
    pipeline: str = "adclick",
    run: str = RUN,
    told: dict[str, str] | None = None,
    **event: Any,
) -> tuple[int, str]:
    """The answer's status and page."""
    path = {"pathParameters": {"pipeline": pipeline, "run": run}}
    http = {"requestContext": {"http": {"method": method, "path": f"/approvals/{pipeline}/{run}"}}}
    asked = {"queryStringParameters": query(world) if told is None else told}
    given = {**path, **http, **asked, **({} if body is None else {"body": body}), **event}
    answer = respond(json.loads(json.dumps(given)), world, world.clock)
    assert answer["headers"] == HEADERS
    return answer["statusCode"], answer["body"]


def form(decision: str, why: str = "") -> str:
    return urlencode({"decision": decision, "why": why})


def test_looking_shows_what_there_is_to_decide_and_decides_nothing(world: World, arn: str) -> None:
    status, page = visit(world)
    assert status == 200
    for said in (arn, RUN, "Better.", PENDING, world.sha256, '<form method="post">'):
        assert said in page
    assert "<script" not in page
    assert world.packages.decided == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "get", "post"])
@pytest.mark.parametrize("body", [None, form("approve"), form("reject")])
def test_nothing_but_a_post_decides(world: World, arn: str, method: str, body: str | None) -> None:
    assert visit(world, method, body)[0] == 200
    assert world.package(arn).status == PENDING


@pytest.mark.parametrize(("said", "status"), [("approve", APPROVED), ("reject", REJECTED)])
@pytest.mark.parametrize("encoded", [False, True])
def test_a_post_decides(world: World, arn: str, said: str, status: str, encoded: bool) -> None:
    body = form(said, "Looks right: +3 & 5 % ü")
    sent = base64.b64encode(body.encode()).decode() if encoded else body
    code, page = visit(world, "POST", sent, isBase64Encoded=encoded)
    assert (code, status in page) == (200, True)
    assert world.packages.decided == [(arn, status, f"Looks right: +3 & 5 % ü ({BY_LINK})")]


@pytest.mark.parametrize(
    "body",
    [
        *(None, "", "decision=", "decision=maybe", "decision=Approved", "why=approve", "approve", "DECISION=approve"),
        *("decision=%61pprove%00", "decision", "&&&", "\x00", "{}", '{"decision": "approve"}', "decision=+approve"),
    ],
)
def test_a_post_without_a_decision_decides_nothing(world: World, arn: str, body: str | None) -> None:
    code, page = visit(world, "POST", body)
    assert (code, "no decision" in page) == (400, True)
    assert world.package(arn).status == PENDING


def test_of_two_decisions_in_one_form_the_first_counts(world: World, arn: str) -> None:
    assert visit(world, "POST", "decision=reject&decision=approve")[0] == 200
    assert world.package(arn).status == REJECTED


def test_bytes_that_are_no_text_decide_nothing(world: World, arn: str) -> None:
    sent = base64.b64encode(b"\xff\xfe\x00decision=approve").decode()
    assert visit(world, "POST", sent, isBase64Encoded=True)[0] == 400
    assert world.package(arn).status == PENDING


@pytest.mark.parametrize("decided", [APPROVED, REJECTED])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_was_decided_is_told_and_stays(world: World, arn: str, decided: str, method: str) -> None:
    world.packages.change(arn, status=decided, why=HOSTILE)
    code, page = visit(world, method, form("approve"))
    assert (code, f"decided already: {decided}" in page) == (200, True)
    assert "<form" not in page
    assert "<script" not in page
    assert (world.package(arn).status, world.packages.decided) == (decided, [])


def test_a_link_decides_once(world: World, arn: str) -> None:
    visit(world, "POST", form("reject"))
    visit(world, "POST", form("approve"))
    assert [status for _, status, _ in world.packages.decided] == [REJECTED]


CHANGES: dict[str, dict[str, Any]] = {
    "another run": {"run": "2026-11-20T04-00-00Z"},
    "another pipeline": {"pipeline": "returns"},
    "no such pipeline": {"pipeline": HOSTILE},
    "a path": {"pipeline": "../adclick"},
    "a later end": {"told": {"until": "2027-11-21T05:30:00Z"}},
    "the same end, otherwise written": {"told": {"until": "2026-11-21T05:30:00+00:00"}},
    "no end": {"told": {"until": ""}},
    "hostile end": {"told": {"until": HOSTILE}},
    "no signature": {"told": {"signature": ""}},
    "another signature": {"told": {"signature": "0" * 64}},
    "a shorter signature": {"told": {"signature": "cut"}},
    "no ASCII": {"told": {"signature": "ü" * 32}},
    "half a character": {"told": {"signature": "\ud800", "until": "\udfff"}},
    "breaks": {"told": {"until": f"{RUN}\n2026-11-21T05:30:00Z"}},
    "capitals": {"told": {"signature": "CAPITALS"}},
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_link_that_was_changed_leads_nowhere(world: World, arn: str, change: str, method: str) -> None:
    changed, sound = dict(CHANGES[change]), query(world)
    told = {**sound, **changed.pop("told", {})}
    told["signature"] = {"cut": sound["signature"][:-1], "CAPITALS": sound["signature"].upper()}.get(
        told["signature"], told["signature"]
    )
    code, page = visit(world, method, form("approve"), told=told, **changed)
    assert (code, "<form" in page, "<script" in page, arn in page) == (403, False, False, False)
    assert world.package(arn).status == PENDING


@pytest.mark.parametrize("told", [{}, None])
def test_an_address_without_a_signature_leads_nowhere(world: World, arn: str, told: dict[str, str] | None) -> None:
    assert visit(world, "POST", form("approve"), queryStringParameters=told)[0] == 403
    assert world.package(arn).status == PENDING


@pytest.mark.parametrize(("seconds", "code"), [(-1, 200), (0, 403), (1, 403)])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_link_is_good_until_its_time_is_over(world: World, arn: str, seconds: int, code: int, method: str) -> None:
    told = query(world)
    world.clock.now = UNTIL + timedelta(seconds=seconds)
    assert visit(world, method, form("approve"), told=told)[0] == code
    assert world.package(arn).status == (APPROVED if (method, code) == ("POST", 200) else PENDING)


def test_a_link_of_a_secret_that_was_renewed_leads_nowhere(world: World, arn: str) -> None:
    link = urlsplit(Signer("an older secret").link("", "adclick", RUN, UNTIL))
    told = {name: values[0] for name, values in parse_qs(link.query).items()}
    assert visit(world, "POST", form("approve"), told=told)[0] == 403


def test_a_run_that_was_never_registered_leads_nowhere(world: World) -> None:
    assert visit(world)[0] == 403


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_package_that_is_gone_or_of_another_bundle_is_not_decided(world: World, arn: str, method: str) -> None:
    """Its version may be another run's, where the group was made anew."""
    world.exchanged(arn, {"run_ts": "2026-11-20T04-00-00Z", "sha256": "0" * 64})
    assert "gone from the registry" in visit(world, method, form("approve"))[1]
    assert world.package(arn).status == PENDING
    del world.packages.packages[arn]
    assert "gone from the registry" in visit(world, method, form("approve"))[1]


def test_a_registry_that_does_not_answer_asks_for_patience(world: World, arn: str) -> None:
    world.packages.down = True
    code, page = visit(world, "POST", form("approve"))
    assert (code, "Try again in a minute" in page) == (503, True)
    world.packages.down = False
    assert world.package(arn).status == PENDING


def test_whatever_is_told_of_a_model_is_shown_as_text(world: World, arn: str) -> None:
    key = KEYS.package(RUN)
    document = decode(world.bucket.objects[key], key)
    world.bucket.put(key, encode({**document, "reason": HOSTILE, "card_uri": HOSTILE}))
    page = visit(world)[1]
    assert "<script" not in page
    assert "<img" not in page
    assert page.count("&lt;script&gt;alert(&#x27;x&#x27;)") == 2


def test_the_page_allows_no_script_and_tells_no_other_site_its_address() -> None:
    assert "default-src 'none'" in HEADERS["Content-Security-Policy"]
    assert "script-src" not in HEADERS["Content-Security-Policy"]
    assert (HEADERS["Referrer-Policy"], HEADERS["Cache-Control"]) == ("same-origin", "no-store")


@pytest.mark.parametrize(
    "why", ["x" * 10_000, "ü" * 10_000, "one\r\ntwo\r\n" * 900, HOSTILE * 200, "\x00\x07\u200b\u2028" * 2_500]
)
def test_a_long_reason_is_cut_and_who_it_was_stays(world: World, arn: str, why: str) -> None:
    assert visit(world, "POST", form("reject", why))[0] == 200
    ((_, _, told),) = world.packages.decided
    assert len(told) <= 1024
    assert told.endswith(f"({BY_LINK})")


@given(why=st.text(max_size=2000), by=st.sampled_from(["by me", BY_LINK]))
def test_a_reason_is_what_the_registry_takes(why: str, by: str) -> None:
    """One line of at most 1,024 characters."""
    told = reason(why, by)
    assert len(told) <= LONGEST
    assert told.isprintable()
    assert re.fullmatch(".*", told)
    assert told.endswith(f"({by})")


@given(
    run=st.text(max_size=30),
    until=st.text(max_size=30),
    signature=st.one_of(st.text(max_size=70), st.text("0123456789abcdef", min_size=64, max_size=64)),
)
def test_whatever_is_made_up_is_refused(run: str, until: str, signature: str) -> None:
    with pytest.raises(LinkRefused):
        Signer("a secret").check("adclick", run, until, signature, Clock(NOW))


@pytest.mark.parametrize("cut", range(1, len(RUN)))
def test_what_is_signed_cannot_be_cut_elsewhere(world: World, cut: int) -> None:
    told = query(world)
    with pytest.raises(LinkRefused, match="not whole"):
        world.signer().check("adclick", RUN[:-cut], RUN[-cut:] + told["until"], told["signature"], world.clock)


@given(secret=st.text(min_size=1, max_size=40), later=st.integers(1, 10**6))
def test_a_link_as_it_was_made_is_taken(secret: str, later: int) -> None:
    signer, until = Signer(secret), NOW + timedelta(seconds=later)
    told = parse_qs(urlsplit(signer.link("https://api.test", "adclick", RUN, until)).query)
    signer.check("adclick", RUN, told["until"][0], told["signature"][0], Clock(NOW))
    with pytest.raises(LinkRefused):
        replace(signer, secret=f"{secret}.").check("adclick", RUN, told["until"][0], told["signature"][0], Clock(NOW))
