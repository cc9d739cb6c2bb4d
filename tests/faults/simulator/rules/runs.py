"""Rules of runs: lease, claim, and how steps and executions end."""

from typing import Any

from ratchet import claim, lease
from ratchet.errors import BadBundle, BadConfiguration, EndpointFailed, LeaseLost, TrainingFailed
from ratchet.store import Stored

from tests.faults.simulator.bucket import Change
from tests.faults.simulator.rules.seen import KEYS, instant_at, parsed, require
from tests.faults.simulator.rules.signed import Signed

GOOD = {"promoted", "pending_approval", "kept_champion", "no_new_rows", "already_running", "not_enough_data"}
RUNS = "runs/"


class Runs(Signed):
    """Looks at who works on what, and at the ends."""

    def _lease(self, change: Change, before: Stored | None) -> None:
        new = lease.Lease(**self.store.json(change.key))
        if before is None:
            return
        old = lease.Lease(**parsed(before.body))
        require(new.token >= old.token, "the lease's token never goes back", new)
        holder = self.world.executions.get(old.execution)
        lives = holder is not None and holder.status == "RUNNING"
        if new.execution != old.execution:
            expired = self.world.now + self.world.skew >= instant_at(old.expires_at)
            require(old.state == "free" or not lives or expired, "nobody takes a lease that is held", change.by)
            require(new.token > old.token, "each holder has a token of its own", new)
        elif new.state == "free" and lives:
            require(change.by.startswith(f"{holder.name} "), "nobody frees another's lease", change.by)

    def _claim(self, change: Change, before: Stored | None) -> None:
        new = claim.Claim(**self.store.json(change.key))
        self.failed_runs.pop(new.run_ts, None)
        if new.state == "ended" and new.outcome in claim.RESUMABLE:
            self.failed_runs[new.run_ts] = None
        if before is None:
            return
        old = claim.Claim(**parsed(before.body))
        if new.attempt == old.attempt:
            right = (old.state, new.state, new.execution) == ("running", "ended", old.execution)
            require(right, "a run reaches exactly one end", f"{old} became {new}")
        else:
            holder = self.world.executions[old.execution]
            dead = old.outcome in claim.RESUMABLE or (old.state == "running" and holder.status != "RUNNING")
            require(
                new.attempt == old.attempt + 1 and dead, "only a failed run is taken up again", f"{old} became {new}"
            )

    def step_ended(self, execution: Any, task: Any, result: Any) -> None:
        """Looks at what a step says that it did."""
        if task.step == "promote" and result["status"] == "promoted":
            moved = any(self.store.json(KEYS.history(seq))["run_ts"] == task.event["run_ts"] for seq in self.chain)
            require(moved, "who says promoted has moved the pointer", execution.name)
        if task.step == "close_approval":
            self.closed(execution, result["decision"])
        if task.step == "extract" and result["done"]:
            for name, seen in self.landed.items():
                rows, start = self.first_seen[task.event["run_ts"], name]
                there = seen.keys() | self.rejected[name]
                missing = [at for at in rows if (start is None or at >= start) and at not in there]
                require(not missing, "what a source holds when it is read has landed in the end", f"{name} {missing}")

    def step_failed(self, execution: Any, task: Any, error: BaseException) -> None:
        """Looks at a failure that no retry mends: only for a reason from outside."""
        if isinstance(error, LeaseLost):
            held = lease.read(self.store, KEYS)  # type: ignore[arg-type]
            ours = held and (held[0].state, held[0].execution, held[0].token)
            require(
                ours != ("held", task.event["execution"], task.event.get("token")),
                "no holder is told that it lost its lease",
                f"{execution.name} {task.step}: {error}",
            )
            return
        run = task.event.get("run_ts")
        outside = (
            isinstance(error, TrainingFailed)
            or (isinstance(error, BadBundle) and run in self.bad_bundles | self.world.spoilt)
            or (execution.kind == "endpoint" and isinstance(error, EndpointFailed | BadConfiguration))
            or execution.status != "RUNNING"
        )
        require(outside, "a step fails only for a reason from outside", f"{execution.name} {task.step}: {error!r}")

    def execution_ended(self, execution: Any, failure: Any) -> None:
        """Looks at the claim when an execution ends by itself."""
        if execution.outcome:
            self.world.happened[f"ended {execution.outcome}"] += 1
        if failure is not None or execution.kind != "pipeline" or execution.outcome in {None, "same_run"}:
            return
        claims = [self.store.json(key) for key in self.world.bucket.objects if key.startswith(RUNS)]
        ours = [each for each in claims if each["execution"] == execution.arn]
        ends = [(each["state"], each["outcome"]) for each in ours]
        require(ends == [("ended", execution.outcome)], "a run ends as its execution does", f"{execution.name}: {ends}")

    def lease_is_free(self) -> bool:
        """Whether nobody holds the lease."""
        found = lease.read(self.store, KEYS)  # type: ignore[arg-type]
        return found is None or found[0].state == "free"

    def all_runs_ended(self) -> None:
        """Looks at the claims of a world in which nothing moves any more."""
        for key in self.world.bucket.objects:
            if key.startswith(RUNS):
                require(self.store.json(key)["state"] == "ended", "a run reaches exactly one end", key)

    def ended_well(self, run_ts: str) -> None:
        """Looks at the claim of a failed run that was taken up again without faults."""
        claimed = self.store.json(KEYS.claim(run_ts))
        require(claimed["outcome"] in GOOD, "a failed run can be taken up again", claimed)
