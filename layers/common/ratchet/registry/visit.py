"""A visit to the page behind a signed link: a look shows the question, a POST decides. Pure but for its ports."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from ratchet.catalog import Pipeline, load
from ratchet.errors import BadInput, LinkRefused, NotRegistered, Unavailable, UnknownPipeline
from ratchet.instants import Clock
from ratchet.registry import page
from ratchet.registry.asking import Ports
from ratchet.registry.link import Signer
from ratchet.registry.package import APPROVED, PENDING, REJECTED, Registry, is_of, reason, registration
from ratchet.store import ObjectStore

DECISIONS = {"approve": APPROVED, "reject": REJECTED}
BY_LINK = "by the link in the message"


@dataclass(frozen=True)
class Visit:
    """One request: of which run, with which query, and for a POST with which form."""

    run_ts: str
    query: Mapping[str, str]
    form: str | None = None


def receive(
    store: ObjectStore, registry: Registry, signer: Signer, pipeline: Pipeline, clock: Clock, visit: Visit
) -> str:
    """The page to show. Raises LinkRefused, NotRegistered, BadInput for a form without a decision, Unavailable."""
    signer.check(pipeline.name, visit.run_ts, visit.query.get("until", ""), visit.query.get("signature", ""), clock)
    registered = registration(store, pipeline.keys, visit.run_ts)
    package = registry.find(registered.package_arn)
    name = f"{pipeline.name} {visit.run_ts}"
    if package is None or not is_of(package, registered):
        return page.message(name, "The package is gone from the registry; there is nothing to decide any more.")
    if package.status != PENDING:
        return page.message(name, f"This was decided already: {package.status}. {package.why}")
    if visit.form is None:
        return page.question(registered, package, f"{pipeline.title}: put the model of {visit.run_ts} into service?")
    told = {field: values[0] for field, values in parse_qs(visit.form).items()}
    status = DECISIONS.get(told.get("decision", ""))
    if status is None:
        raise BadInput("The form has no decision: approve or reject.")
    registry.decide(package.arn, status, reason(told.get("why", ""), BY_LINK))
    done = "It goes into service once it has been judged anew and its endpoint answers." if status == APPROVED else ""
    return page.message(name, f"{status}. {done}")


def respond(event: Mapping[str, Any], ports: Ports, clock: Clock) -> dict[str, Any]:
    """The answer to a request to the HTTP API, `GET` or `POST /approvals/{pipeline}/{run}` (payload format 2.0)."""
    try:
        pipeline = load(event["pathParameters"]["pipeline"])
        asked = (ports.store(), ports.registry(), ports.signer(), pipeline, clock)
        return _answer(200, receive(*asked, _visit(event)))
    except (LinkRefused, UnknownPipeline, NotRegistered) as error:
        return _answer(403, page.message("This link leads nowhere", str(error)))
    except BadInput as error:
        return _answer(400, page.message("Nothing was decided", str(error)))
    except Unavailable as error:
        return _answer(503, page.message("Nothing was decided", f"{error} Try again in a minute."))


def _visit(event: Mapping[str, Any]) -> Visit:
    body = event.get("body") or ""
    form = _decoded(body) if event.get("isBase64Encoded") else body
    posted = event["requestContext"]["http"]["method"] == "POST"
    return Visit(event["pathParameters"]["run"], event.get("queryStringParameters") or {}, form if posted else None)


def _decoded(body: str) -> str:
    try:
        return base64.b64decode(body).decode(errors="replace")
    except ValueError as error:
        raise BadInput("The form cannot be read: it is no base64.") from error


def _answer(status: int, body: str) -> dict[str, Any]:
    return {"statusCode": status, "headers": page.HEADERS, "body": body}
