"""Asking people for a decision, hearing it, and giving up: what the functions around an approval do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ratchet.catalog import Pipeline, load
from ratchet.errors import BadInput, NotRegistered
from ratchet.instants import Clock, parse_instant
from ratchet.registry import approval
from ratchet.registry.approval import EXPIRED_WHY, Tasks
from ratchet.registry.link import Signer
from ratchet.registry.package import FACTS, PENDING, REJECTED, Package, Registration, Registry, is_of, registration
from ratchet.store import ObjectStore

LATE = {
    "late": "it had been decided before, or its time was over: what was decided first stands. What is not approved "
    "when its deployment begins is not deployed, and the pipeline's next run asks anew.",
    "unheard": "whoever had asked did not wait any more. Unless the time was over only just now, nothing comes of it; "
    "what is approved is taken up again by: ratchet approve {run}",
}
"""Decisions that nobody waits for any more, of which people must know: what to say of them."""


class Topic(Protocol):
    """Where people listen. Raises Unavailable."""

    def tell(self, subject: str, message: str) -> None:
        """Sends a message to them."""


class Ports(Protocol):
    """What an approval needs, built when asked."""

    def store(self) -> ObjectStore:
        """The landing bucket."""

    def registry(self) -> Registry:
        """The model registry."""

    def tasks(self) -> Tasks:
        """Whoever waits."""

    def topic(self) -> Topic:
        """Whoever listens."""

    def signer(self) -> Signer:
        """Who signs links."""

    def api_url(self) -> str:
        """Where links lead."""


@dataclass(frozen=True)
class Question:
    """A task that waits by `token` for a decision about a run's package, for so many `seconds`."""

    run_ts: str
    package_arn: str
    token: str
    seconds: int


def ask_people(ports: Ports, pipeline: Pipeline, clock: Clock, question: Question) -> str:
    """`asked`, or what was decided already: a decision may have come before anybody waited for it.

    Raises NotRegistered where the package is gone, ForeignDocument, Unavailable.
    """
    store, keys = ports.store(), pipeline.keys
    waiting = approval.ask(store, keys, clock, **vars(question))
    if waiting.state == "expired":
        ports.tasks().succeed(question.token, {"decision": "expired", "why": waiting.why or EXPIRED_WHY})
        return "expired"
    registered, package = registration(store, keys, question.run_ts), ports.registry().find(question.package_arn)
    if package is None or not is_of(package, registered):
        raise NotRegistered(f"{question.package_arn} is gone from the registry; run the pipeline again.")
    decided = approval.settle(store, keys, ports.tasks(), clock, package)
    if decided != "undecided":
        return decided
    ports.topic().tell(
        f"{pipeline.name} {question.run_ts}: approve?", _message(ports, pipeline, registered, waiting.expires_at)
    )
    return "asked"


def package_of(event: Mapping[str, Any]) -> str:
    """The ARN of the package that an event of EventBridge's is about. Raises BadInput for one about none."""
    detail = event.get("detail")
    arn = detail.get("ModelPackageArn") if isinstance(detail, Mapping) else None
    if not isinstance(arn, str):
        raise BadInput("The event is about no model package; nothing else is to be sent here.")
    return arn


def hear(ports: Ports, clock: Clock, package_arn: str, *, stack: str) -> str:
    """What came of a decision (`approval.settle`), or `foreign` for a package that is not this stack's.

    Raises UnknownPipeline, ForeignDocument, Unavailable.
    """
    package = ports.registry().find(package_arn)
    if package is None or not set(FACTS) <= package.facts.keys() or package.facts["stack"] != stack:
        return "foreign"
    pipeline = load(package.facts["pipeline"])
    answer = approval.settle(ports.store(), pipeline.keys, ports.tasks(), clock, package)
    if answer in LATE and not _ours(package):
        name = f"{pipeline.name} {package.facts['run_ts']}"
        said = LATE[answer].format(run=name)
        ports.topic().tell(f"{name}: too late", f"{package.arn} was {package.status.lower()} when {said}")
    return answer


def close_question(ports: Ports, pipeline: Pipeline, clock: Clock, package_arn: str) -> tuple[str, str]:
    """`expired` unless a decision came just before, and why; what nobody decided is rejected. Raises Unavailable."""
    registry = ports.registry()
    package = registry.find(package_arn)
    closed = approval.close(ports.store(), pipeline.keys, clock, package_arn, package)
    if closed is not None and closed.state != "expired":
        return closed.state, closed.why or ""
    if package is not None and package.status == PENDING:
        registry.decide(package_arn, REJECTED, EXPIRED_WHY)
    return "expired", EXPIRED_WHY


def _message(ports: Ports, pipeline: Pipeline, registered: Registration, until: str) -> str:
    run = f"{pipeline.name} {registered.run_ts}"
    link = ports.signer().link(ports.api_url(), pipeline.name, registered.run_ts, parse_instant(until))
    return (
        f"{registered.reason}\n\nA person decides, until {until}:\n{link}\n\n"
        f"or: ratchet approve {run}\nor: ratchet reject {run} --why TEXT\n"
        f"or in the SageMaker console: {registered.package_arn}\n\n"
        f"Card: {registered.card_uri}\nEvidence: {registered.evaluation_uri}"
    )


def _ours(package: Package) -> bool:
    """Whether it was this product that rejected it, since nobody had decided."""
    return package.status == REJECTED and package.why == EXPIRED_WHY
