"""Whoever knocks at the page behind a signed link, and whatever is heard of packages: events with any of it changed."""

import json
from base64 import b64encode
from datetime import timedelta
from random import Random
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from ratchet.adapters.registry import ModelRegistry
from ratchet.errors import ContractError
from ratchet.registry.asking import hear, package_of
from ratchet.registry.package import APPROVED, LONGEST, REJECTED
from ratchet.registry.page import HEADERS
from ratchet.registry.visit import respond

from tests.faults.hostile import changes
from tests.faults.hostile.target import Target, name_of
from tests.signed import NOW, RUN, SECONDS, STACK, World

PATH = {"pipeline": "adclick", "run": RUN}
LINK = World().signer().link("https://api.test", "adclick", RUN, NOW + timedelta(seconds=SECONDS))
QUERY = {name: values[0] for name, values in parse_qs(urlsplit(LINK).query).items()}
FORMS = [urlencode({"decision": decision, "why": "it is <b>"}) for decision in ("approve", "reject", "", "neither")]
FORMS += ["", "decision=approve&decision=reject", "%", "decision=%ff", "&" * 9999, "why=" + "x" * 99_999, "\udcff"]
TEXTS = [*changes.TEXTS, "<script>alert(1)</script>", "returns", "%0a", "approve"]
METHODS = ["POST", "POST", "GET", "HEAD", "post", "PUT", ""]
STATUSES = {200, 400, 403, 503}


def visit(rng: Random) -> bytes:
    """An event of the HTTP API's: its shape is the API's own, what stands in it comes from whoever visits."""
    path = PATH if rng.random() < 0.7 else _with_other(rng, PATH)
    query = QUERY if rng.random() < 0.7 else _with_other(rng, QUERY) | rng.choice(({}, {"more": "x"}))
    event: dict[str, Any] = {"pathParameters": path, "queryStringParameters": query}
    if rng.random() < 0.1:
        del event["queryStringParameters"]
    if rng.random() < 0.9:
        event["body"] = rng.choice(FORMS) if rng.random() < 0.9 else rng.choice(TEXTS)
    if rng.random() < 0.3:
        encoded = b64encode(event.get("body", "").encode(errors="surrogatepass")).decode()
        sent = encoded if rng.random() < 0.8 else rng.choice(("é", "=" + encoded, encoded[1:], encoded[:-1]))
        event |= {"body": sent, "isBase64Encoded": True}
    return json.dumps({**event, "requestContext": {"http": {"method": rng.choice(METHODS)}}}).encode()


def _with_other(rng: Random, told: dict[str, str]) -> dict[str, str]:
    name = rng.choice(list(told))
    changed = rng.choice((rng.choice(TEXTS), told[name] + rng.choice(TEXTS), told[name][:-1], told[name].lower()))
    return {**told, name: changed}


def check_visit(data: bytes) -> str:
    """Answers it; nobody decides but by a POST to the whole link."""
    event, world = json.loads(data), World()
    arn = world.register().package_arn
    answer = respond(event, world, world.clock)
    assert answer["headers"] == HEADERS
    assert answer["statusCode"] in STATUSES
    page = answer["body"].encode()
    assert b"<script" not in page
    assert len(page) < 16_384
    if not world.packages.decided:
        return f"{answer['statusCode']}"
    ((which, status, why),) = world.packages.decided
    asked = event["queryStringParameters"]
    assert event["requestContext"]["http"]["method"] == "POST"
    assert (event["pathParameters"], {**asked, **QUERY}) == (PATH, asked)
    assert (which, status in {APPROVED, REJECTED}) == (arn, True)
    assert why.isprintable()
    assert len(why) <= LONGEST
    return status


class Told(World):
    """The world of a run that waits for its decision, in which SageMaker tells of one package."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__()
        arn = self.register().package_arn
        self.ask(arn)
        client = SimpleNamespace(describe_model_package=lambda ModelPackageName: told)
        self.answering = ModelRegistry("group", "image", client)

    def registry(self) -> Any:
        return getattr(self, "answering", self.packages)


def _package() -> tuple[str, dict[str, Any]]:
    """The ARN of a run's package, and what SageMaker tells of it once it is rejected."""
    world = World()
    arn = world.register().package_arn
    package = world.package(arn)
    containers = {"InferenceSpecification": {"Containers": [{"ModelDataUrl": package.model_uri}]}}
    decided = {"ModelApprovalStatus": REJECTED, "ApprovalDescription": "no"}
    return arn, {**decided, **containers, "CustomerMetadataProperties": dict(package.facts)}


ARN, PACKAGE = _package()
DETAIL = {"ModelPackageArn": ARN, "ModelApprovalStatus": REJECTED, "Tags": {}}
EVENT = {"source": "aws.sagemaker", "detail-type": "SageMaker Model Package State Change", "detail": DETAIL}


def decision(rng: Random) -> bytes:
    """What EventBridge tells of a package, and that package: anybody's, who may say of it what they like."""
    event = {**EVENT, "detail": DETAIL if rng.random() < 0.3 else changes.of_json(rng, DETAIL)}
    told = {**PACKAGE, "CustomerMetadataProperties": dict(PACKAGE["CustomerMetadataProperties"])}
    if rng.random() < 0.4:
        told["CustomerMetadataProperties"] = _with_other(rng, told["CustomerMetadataProperties"])
    if rng.random() < 0.1:
        del told["CustomerMetadataProperties"][rng.choice(list(told["CustomerMetadataProperties"]))]
    for name in ("ModelApprovalStatus", "ApprovalDescription"):
        if rng.random() < 0.2:
            told[name] = rng.choice(TEXTS)
    if rng.random() < 0.1:
        del told[rng.choice(list(told))]
    if rng.random() < 0.05:
        del event["detail"]
    return json.dumps([event, told]).encode()


def check_decision(data: bytes) -> str:
    """Hears it while somebody waits; no decision is passed on but that of the run's package, of this stack."""
    event, told = json.loads(data)
    world = Told(told)
    try:
        answer = hear(world, world.clock, package_of(event), stack=STACK)
    except ContractError as error:
        assert not world.waiting.heard
        return name_of(error)
    facts = told.get("CustomerMetadataProperties", {})
    assert bool(world.waiting.heard) == (answer in {"approved", "rejected"})
    assert not world.waiting.heard or (event["detail"]["ModelPackageArn"], facts["run_ts"]) == (ARN, RUN)
    assert answer == "foreign" or facts["stack"] == STACK
    return answer


PAGE, HEARD = Target(visit, check_visit), Target(decision, check_decision)
