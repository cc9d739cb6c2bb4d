"""Rules of what a person signs: packages, approvals, endpoints, and who waits for whom."""

from typing import Any

from ratchet import lease, pointer
from ratchet.endpoint.hosting import config_name
from ratchet.pointer import Pointer
from ratchet.registry.package import APPROVED, name_of
from ratchet.store import Stored

from tests.faults.simulator.bucket import Change
from tests.faults.simulator.hosting import ENDPOINT
from tests.faults.simulator.rules.seen import KEYS, Seen, parsed, require, sha256

APPROVALS = "approvals/"
SERVERLESS = "serverless"


class Signed(Seen):
    """Looks at the way of a model through a person's hands to an endpoint."""

    def model_created(self, name: str, uri: str, by: str) -> None:
        """A model that could be served is made."""
        self.world.happened["changes"] += 1
        package = self.world.packages.of_model(uri)
        # While the step lasts: nothing binds the registry to what is asked of hosting a moment later.
        since = self.world.began.get(by, 0)
        approved = package is not None and self.world.packages.was_approved(package.arn, since)
        require(approved, "no model is made of a package that is not approved at that moment", f"{uri} by {by}")
        document = self.store.json(KEYS.approval(name_of(package.arn)))
        stands = document is not None and document["state"] == "approved"
        require(stands, "what was rejected or expired never comes into service", f"{document} by {by}")
        body = self.store.get(self.store.key_of(uri)).body
        require(sha256(body) == package.facts["sha256"], "what is served is what was approved, to the byte", uri)

    def package_signed(self, arn: str, status: str, by: str) -> None:
        """A decision stands in the registry."""
        self.world.happened["changes"] += 1
        person = by.startswith("person ")
        closes = " close_approval " in by and status != APPROVED
        require(person or closes, "nothing approves itself", f"{arn} was {status} by {by}")

    def _approval(self, change: Change, before: Stored | None) -> None:
        new, old = self.store.json(change.key), parsed(before.body) if before else {"state": "waiting"}
        state, stood = new["state"], old["state"]
        if stood != "waiting":
            require(state == stood, "the first decision stands", f"{stood} became {state} by {change.by}")
        elif state == "approved":
            ever = self.world.packages.was_approved(new["package_arn"], 0)
            require(ever, "nothing approves itself", f"{new} by {change.by}")

    def heard(self, execution: Any, output: dict[str, str]) -> None:
        """An execution hears a decision."""
        self._agrees(execution, output["decision"])
        execution.heard += 1
        require(execution.heard == 1, "who waits hears one decision", execution.name)

    def closed(self, execution: Any, decision: str) -> None:
        """An execution that waited in vain is told how the question ended."""
        self._agrees(execution, decision)
        require(execution.heard == 0, "who waits hears one decision", execution.name)

    def _agrees(self, execution: Any, decision: str) -> None:
        document = self.store.json(KEYS.approval(name_of(execution.given["package_arn"])))
        state = document["state"] if document else "expired"
        require(decision == state, "who waits hears the decision that stands", f"{execution.name}: {decision}, {state}")

    def nobody_waits_in_vain(self) -> None:
        """Looks at a world in which nothing moves any more but for people."""
        found = lease.read(self.store, KEYS)  # type: ignore[arg-type]
        holder = self.world.executions[found[0].execution] if found and found[0].state == "held" else None
        free = holder is None or holder.status != "RUNNING"
        require(free, "nobody holds the lease while a person decides", holder)
        for execution in self.world.executions.values():
            if execution.token:
                status = self.world.packages.packages[execution.given["package_arn"]].status
                waits = status == "PendingManualApproval"
                require(waits, "who waits hears of a decision", f"{execution.name} waits, it was {status}")

    def endpoint_changes(self, name: str, hosted: Any) -> None:
        """A change of an endpoint begins."""
        self.world.happened["changes"] += 1
        if name.endswith("-candidate"):
            return
        self.movers["endpoint"] = self.world.root_of(hosted.by)
        tried = hosted.target in self.verified | self.served_before or not self.world.hosts.kind.startswith(SERVERLESS)
        require(
            hosted.target is None or tried,
            "a model answers rightly before any request reaches it",
            f"{hosted.target} by {hosted.by}",
        )

    def endpoint_settled(self, name: str) -> None:
        """A change of an endpoint has ended."""
        self.world.happened["changes"] += 1
        config = self.world.hosts.served(name)
        if config and not name.endswith("-candidate"):
            self.served_before.add(config)
        self._whole()

    def discarded(self, name: str) -> None:
        """A configuration and its model are gone."""
        self.world.happened["changes"] += 1
        self._whole()

    def _whole(self) -> None:
        hosts = self.world.hosts
        for name, hosted in hosts.endpoints.items():
            config = hosted.config
            there = config in hosts.configs and config in hosts.models
            alone = name.endswith("-candidate") or hosted.status != "InService"
            require(alone or there, "what an endpoint serves keeps its model", config)

    def endpoint_answered(self, config: str, *, right: bool) -> None:
        """An endpoint answered reference rows."""
        if right:
            self.verified.add(config)

    def promoted_and_served(self, named: Pointer, who: str) -> None:
        """The pointer moves on behalf of a deployment.

        One that has ended, or lost its lease, may have a request on its way still: others mend what comes of it.
        """
        package = self.world.packages.of_model(named.model_uri)
        approved = package is not None and self.world.packages.was_approved(package.arn, 0)
        require(approved, "what needs an approval is promoted only after it", who)
        found = lease.read(self.store, KEYS)  # type: ignore[arg-type]
        ours = found is not None and (found[0].state, found[0].execution) == ("held", who)
        if ours and self.world.executions[who].status == "RUNNING":
            require(self._serves(named), "the pointer moves to what the endpoint serves", self._served())

    def endpoint_stands(self) -> None:
        """Looks at the endpoint once all executions have ended."""
        found = pointer.read(self.store, KEYS)  # type: ignore[arg-type]
        if not self.world.signed or found is None or self._serves(found[0]):
            return
        blamed = {what: root for what, root in self.movers.items() if not self._is_red(root)}
        told = f"the pointer names {found[0].run_ts}, {self._served()}, and all is well with {blamed}"
        require(
            len(blamed) < len(self.movers), "the endpoint serves the champion, or whoever left it so has failed", told
        )

    def _is_red(self, root: str) -> bool:
        execution = self.world.executions.get(f"arn:{root}")
        return execution is None or execution.status != "SUCCEEDED"

    def _serves(self, named: Pointer) -> bool:
        config = self.world.hosts.served(ENDPOINT) or ""
        start = config_name(ENDPOINT, named.run_ts, named.sha256, "").rpartition("-")[0]
        return config.startswith(start) and self.world.hosts.is_settled(ENDPOINT)

    def _served(self) -> str:
        return f"the endpoint is {self.world.hosts.endpoints.get(ENDPOINT)}"
