"""What must hold after every change of the bucket and at the end: each rule has a sentence, which a violation names.

The rules read the bucket itself, never what the code under test says that it did.
"""

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from ratchet import claim, lease, pointer, retention
from ratchet.errors import (
    BadBundle,
    BadInput,
    ChampionMoved,
    LeaseLost,
    NoChampion,
    RatchetError,
    StaleInput,
    TrainingFailed,
    Unavailable,
    UnknownRun,
)
from ratchet.extraction.source import instant_of
from ratchet.extraction.watermark import Watermark
from ratchet.extraction.watermark import read as read_watermark
from ratchet.instants import parse_instant
from ratchet.store import Stored

from tests.faults.simulator import stand_ins
from tests.faults.simulator.bucket import Change
from tests.faults.simulator.functions import PIPELINE

KEYS = PIPELINE.keys
GOOD = {"promoted", "kept_champion", "no_new_rows", "already_running", "not_enough_data"}
HISTORY, RUNS, SLOTS, LANDING = "model/history/", "runs/", "predictions/dt=", "landing/"


class Violation(AssertionError):
    """A rule was broken."""

    def __init__(self, rule: str, detail: str = "") -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule, self.detail = rule, detail


@lru_cache(4096)
def parsed(body: bytes) -> Any:
    """A document, to be read only: it is shared."""
    return json.loads(body)



def require(held: bool, rule: str, detail: object = "") -> None:
    """Raises Violation."""
    if not held:
        raise Violation(rule, str(detail))


class Look:
    """The bucket for whoever only looks: no turns, no faults."""

    def __init__(self, world: Any) -> None:
        self._world = world

    def get(self, key: str) -> Stored | None:
        found: Stored | None = self._world.bucket.objects.get(key)
        return found

    def uri(self, key: str) -> str:
        return f"s3://{self._world.bucket.name}/{key}"

    def key_of(self, uri: str) -> str:
        return uri.removeprefix(f"s3://{self._world.bucket.name}/")

    def json(self, key: str) -> Any:
        found = self.get(key)
        return parsed(found.body) if found else None


class Watch:
    """Remembers what has been seen of a world, and looks at every change of it."""

    def __init__(self, world: Any) -> None:
        self.world, self.store = world, Look(world)
        self.chain: list[int] = []
        self.service: list[str] = []
        self.scales: dict[str, float] = {}
        self.landed: dict[str, dict[datetime, float]] = {name: {} for name in PIPELINE.source.tables}
        self.rejected: dict[str, set[datetime]] = {name: set() for name in PIPELINE.source.tables}
        self.first_seen: dict[tuple[str, str], tuple[dict[datetime, float | None], datetime | None]] = {}
        self.bad_bundles: set[str] = set()
        self.failed_runs: dict[str, None] = {}

    def copy_to(self, other: "Watch") -> None:
        """Hands over what has been seen so far."""
        other.chain, other.service, other.scales = list(self.chain), list(self.service), dict(self.scales)
        other.landed = {name: dict(rows) for name, rows in self.landed.items()}
        other.rejected = {name: set(rows) for name, rows in self.rejected.items()}

    # -------------------------------------------------------------------------------------------------------- changes

    def changed(self, change: Change, before: Stored | None) -> None:
        """Looks at a change that just took effect."""
        self.world.happened["changes"] += 1
        if change.body is None:
            return
        for start, look in _BY_KEY:
            if change.key.startswith(start):
                look(self, change, before)
                return
        if change.key.endswith("/evaluation.json"):
            self._evaluation(change.key)
        elif change.key.endswith("/model.tar.gz") and change.key.startswith("model/"):
            self._bundle(change, before)
        elif change.key.endswith("/manifest.json"):
            self._data(change.key, "written")

    def _pointer(self, change: Change, before: Stored | None) -> None:
        found = pointer.read(self.store, KEYS)  # type: ignore[arg-type]
        assert found
        named = found[0]
        entry = pointer.read_entry(self.store, KEYS, named.seq)  # type: ignore[arg-type]
        require(entry is not None and entry.pointer == named, "history comes before the pointer", named.seq)
        assert entry
        bundle = self.store.get(self.store.key_of(named.model_uri))
        require(bundle is not None, "the pointer names a bundle that exists", named.model_uri)
        assert bundle
        require(_sha256(bundle.body) == named.sha256, "the pointer's bundle hashes right", named.run_ts)
        self._chain(named)
        if named.move == "promote":
            self._promotion(named, entry.who, before)
        last = parsed(before.body) if before else {"token": 0}
        require(named.token >= last["token"], "the pointer's token never goes back", named.token)
        for key in retention.needed(KEYS, named.run_ts, named.train_uri):
            if self.store.get(key):
                kept = self.world.bucket.tags[key] == retention.KEEPS
                require(kept, "what a champion needs does not expire when it comes into service", key)
        self.service.append(named.run_ts)

    def _chain(self, named: pointer.Pointer) -> None:
        seqs, seq = [], named.previous_seq
        while seq is not None:
            entry = pointer.read_entry(self.store, KEYS, seq)  # type: ignore[arg-type]
            require(entry is not None, "moves form one chain", f"{seq} is missing")
            assert entry
            seqs.append(seq)
            seq = entry.pointer.previous_seq
        require(seqs == self.chain, "moves form one chain", f"{named.seq} follows {seqs}, there were {self.chain}")
        self.chain = [named.seq, *seqs]

    def _promotion(self, named: pointer.Pointer, who: str, before: Stored | None) -> None:
        evidence = self.store.json(self.store.key_of(named.evaluation_uri))
        against = evidence and (evidence["champion"] or {}).get("etag")
        spoken = evidence and (evidence["verdict"], evidence["challenger"]["sha256"]) == ("promote", named.sha256)
        require(bool(spoken), "a promoted model passed its gate", named.run_ts)
        require(against == (before.etag if before else None), "nothing is promoted against another champion", against)
        rival = self.scales[parsed(before.body)["run_ts"]] if before else None
        really = (self.scales[named.run_ts], rival) in stand_ins.COMPARED
        require(really, "nothing is promoted without having been compared", named.run_ts)
        execution = self.world.executions.get(who)
        if execution and execution.needs_approval:
            require(execution.approved is True, "what needs an approval is promoted only after it", who)

    def _history(self, change: Change, before: Stored | None) -> None:
        require(before is None, "the history is only added to", change.key)

    def _bundle(self, change: Change, before: Stored | None) -> None:
        require(before is None or before.body == change.body, "a bundle never changes", change.key)
        run = change.key.split("run_ts=")[1].split("/")[0]
        try:
            assert change.body
            self.scales[run] = parsed(change.body)["scale"]
        except ValueError:
            self.bad_bundles.add(run)

    def _evaluation(self, key: str) -> None:
        found = pointer.read(self.store, KEYS)  # type: ignore[arg-type]
        if found and self.store.key_of(found[0].evaluation_uri) == key:
            evidence = self.store.json(key)
            stands = (evidence["verdict"], evidence["challenger"]["sha256"]) == ("promote", found[0].sha256)
            require(stands, "the evidence of the champion stands", f"{key} says {evidence['verdict']}")

    def _tests(self, change: Change, before: Stored | None) -> None:
        entries = self.store.json(change.key)["tests"]
        tests = {(entry["run_ts"], entry["champion_seq"]): entry["number"] for entry in entries}
        require(len(tests) == len(entries), "a test spends alpha once", entries)
        for champion in {seq for _, seq in tests}:
            numbers = [number for (_, seq), number in tests.items() if seq == champion]
            require(len(set(numbers)) == len(numbers), "a test spends alpha once", entries)
        old = parsed(before.body)["tests"] if before else []
        lost = [each for each in old if tests.get((each["run_ts"], each["champion_seq"])) != each["number"]]
        require(not lost, "no test is forgotten", lost)

    def _lease(self, change: Change, before: Stored | None) -> None:
        new = lease.Lease(**self.store.json(change.key))
        if before is None:
            return
        old = lease.Lease(**parsed(before.body))
        require(new.token >= old.token, "the lease's token never goes back", new)
        holder = self.world.executions.get(old.execution)
        lives = holder is not None and holder.status == "RUNNING"
        if new.execution != old.execution:
            expired = self.world.now + self.world.skew >= parse_instant(old.expires_at)
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

    # ---------------------------------------------------------------------------------------------------------- data

    def _landing(self, change: Change, before: Stored | None) -> None:
        name = change.key.split("/")[1]
        if change.key == KEYS.watermark(name):
            self._watermark(name, change, before)
        elif "/rejected/" in change.key:
            rows = stand_ins.read_rejected(self.store.get(change.key).body, "")  # type: ignore[union-attr]
            self.rejected[name] |= {parse_instant(row.key) for row in rows}
        else:
            self._rows(name, change, before)

    def _rows(self, name: str, change: Change, before: Stored | None) -> None:
        new, old = _rows_of(name, change.body), _rows_of(name, before.body if before else None)
        source = self.world.tables[name].rows
        for instant, version in old.items():
            gone = instant not in new and source.get(instant, 0.0) is not None
            require(not gone, "no landed row is lost", f"{name} {instant} by {change.by}")
            newer = new.get(instant, version) >= version
            require(newer, "no landed row goes back to an older version", f"{name} {instant} by {change.by}")
        self.landed[name].update(new)

    def _watermark(self, name: str, change: Change, before: Stored | None) -> None:
        new = read_watermark(self.store, KEYS, name)[0]  # type: ignore[arg-type]
        old = Watermark(**{**parsed(before.body), "days": {}, "reading": None}) if before else Watermark(name)
        require(new.token >= old.token, "the watermark's token never goes back", change.by)
        require(
            not old.instant or (new.instant or old.instant) >= old.instant, "the watermark never goes back", change.by
        )
        run = new.reading.run_ts if new.reading else None
        rows, start = self.first_seen.get((str(run), name), ({}, None))
        there = self.landed[name].keys() | self.rejected[name]
        for instant in rows:
            if new.instant and instant <= new.instant and (start is None or instant >= start):
                require(instant in there, "the watermark comes after the data", f"{name} {instant} by {change.by}")

    def _train_latest(self, change: Change, before: Stored | None) -> None:
        new = self.store.json(change.key)
        require(
            self.store.get(self.store.key_of(new["manifest_uri"])) is not None, "data comes before its name", change.key
        )
        last = parsed(before.body)["run_ts"] if before else ""
        require(new["run_ts"] >= last, "the newest data stays the newest", f"{last} became {new['run_ts']}")

    def _data(self, manifest_key: str, when: str) -> dict[str, str]:
        manifest = self.store.json(manifest_key)
        run = manifest["run_ts"]
        for part, key in (("train", KEYS.train(run)), ("holdout", KEYS.holdout(run))):
            found = self.store.get(key)
            there = found and f"sha256:{_sha256(found.body)}"
            require(there == manifest["digests"][part], "data is what its manifest says", f"{key} when {when}")
        digests: dict[str, str] = manifest["digests"]
        return digests

    # ------------------------------------------------------------------------------------------------------- scoring

    def _slot(self, change: Change, before: Stored | None) -> None:
        require(before is None, "a slot is written once", change.key)
        answer = self.store.json(change.key)
        scale = self.scales.get(answer["model_run_ts"])
        require(answer["model_run_ts"] in self.service, "only a champion scores", answer)
        version = answer["pred"]["value"] / scale if scale else 0
        require(abs(version - round(version)) < 1e-3, "a prediction is of the model it names", answer)

    def _scoring_state(self, change: Change, before: Stored | None) -> None:
        new = parse_instant(self.store.json(change.key)["base_ts"])
        if before is None:
            return
        old = parse_instant(parsed(before.body)["base_ts"])
        require(new >= old, "scoring never goes back", f"{old} became {new}")
        table = self.world.tables["left"]
        caught_up = self.world.now - timedelta(minutes=10) * PIPELINE.serving.catch_up_slots + 2 * self.world.skew
        for instant, version in table.rows.items():
            wanted = version is not None and instant not in table.late | table.unscored
            if wanted and max(old, caught_up) < instant <= new:
                key = KEYS.predictions(instant.date(), instant.strftime("%Y-%m-%dT%H-%M-%SZ"))
                require(self.store.get(key) is not None, "no slot is left out", f"{instant} by {change.by}")

    def scoring_begins(self) -> int:
        """Where in the order of champions an invocation begins."""
        return max(0, len(self.service) - 1)

    def scored(self, name: str, champion: Any, answers: Any, inputs: Any, begun: int) -> None:
        """Looks at an answer to rows."""
        runs = {answer["model_run_ts"] for answer in answers}
        require(len(runs) == 1, "an answer is of one model", answers)
        (run,) = runs
        known = self.service if champion.fault else self.service[begun:]
        require(run in known, "the model that answers is in service", f"{name} answers by {run}, there were {known}")
        for answer, row in zip(answers, inputs, strict=True):
            expected = self.scales[run] * row["vector"][0]
            right = abs(answer["pred"]["value"] - expected) < 1e-5
            require(right, "a prediction is of the model it names", f"{answer} is not {expected}")

    def scoring_failed(self, name: str, error: RatchetError) -> None:
        """Looks at a refusal to score."""
        fair = (
            isinstance(error, Unavailable)
            or (isinstance(error, NoChampion) and not self.service)
            or (isinstance(error, StaleInput) and self.world.happened["empty page"] > 0)
        )
        require(fair, "a scorer that may serve serves", f"{name}: {error!r}")

    # ------------------------------------------------------------------------------------------------ steps and ends

    def step_begins(self, step: str, event: dict[str, Any], process: str) -> None:
        """Notes what the source holds when a run first reads it."""
        if step != "extract":
            return
        for name, table in self.world.tables.items():
            mark = read_watermark(self.store, KEYS, name)[0]  # type: ignore[arg-type]
            start = mark.instant - stand_ins.OVERLAP if mark.instant else None
            seen = {at: version for at, version in table.rows.items() if at not in table.late}
            self.first_seen.setdefault((event["run_ts"], name), (seen, start))

    def step_ended(self, execution: Any, task: Any, result: Any) -> None:
        """Looks at what a step says that it did."""
        if task.step == "promote" and result["status"] == "promoted":
            moved = any(self.store.json(KEYS.history(seq))["run_ts"] == task.event["run_ts"] for seq in self.chain)
            require(moved, "who says promoted has moved the pointer", execution.name)
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
                ours != ("held", execution.arn, task.event.get("token")),
                "no holder is told that it lost its lease",
                f"{execution.name} {task.step}: {error}",
            )
            return
        run = task.event.get("run_ts")
        outside = (
            isinstance(error, TrainingFailed)
            or (isinstance(error, BadBundle) and run in self.bad_bundles | self.world.spoilt)
            or execution.status != "RUNNING"
        )
        require(outside, "a step fails only for a reason from outside", f"{execution.name} {task.step}: {error!r}")

    def training_reads(self, train_uri: str, job: str) -> str:
        """The digest of the data that a job reads."""
        key = self.store.key_of(train_uri).rpartition("/")[0] + "/manifest.json"
        return self._data(key, f"{job} read it")["train"]

    def rolled_back(self, process: Any) -> None:
        """Looks at how a rollback ended."""
        fair = process.error is None or isinstance(process.error, BadInput | ChampionMoved | UnknownRun | Unavailable)
        require(
            fair or not isinstance(process.error, Exception), "a rollback is refused only for a reason", process.error
        )

    def execution_ended(self, execution: Any, failure: Any) -> None:
        """Looks at the claim when an execution ends by itself."""
        if execution.outcome:
            self.world.happened[f"ended {execution.outcome}"] += 1
        if failure is not None or execution.outcome in {None, "same_run"}:
            return
        claims = [self.store.json(key) for key in self.world.bucket.objects if key.startswith(RUNS)]
        ours = [each for each in claims if each["execution"] == execution.arn]
        ends = [(each["state"], each["outcome"]) for each in ours]
        require(ends == [("ended", execution.outcome)], "a run ends as its execution does", f"{execution.name}: {ends}")

    def final(self) -> None:
        """Looks at a world in which nothing moves any more and everything failed was taken up again."""
        held = lease.read(self.store, KEYS)  # type: ignore[arg-type]
        require(held is None or held[0].state == "free", "the lease comes back", held)
        for key in sorted(self.world.bucket.objects):
            if key.startswith(RUNS):
                ended = self.store.json(key)
                require(ended["state"] == "ended", "a run reaches exactly one end", ended)
                require(ended["outcome"] in GOOD, "a failed run can be taken up again", ended)
        for name, table in self.world.tables.items():
            sound = {instant: version for instant, version in table.rows.items() if version is not None}
            landed = self._all_landed(name)
            missing = sorted(sound.keys() - landed.keys())
            require(not missing, "no row of the source is lost", f"{name} {missing}")
            require(not landed.keys() - sound.keys(), "no row is invented", f"{name} {landed.keys() - sound.keys()}")

    def expiring(self) -> list[str]:
        """What the champion needs and would lose in time; the next evaluation of any run mends that."""
        found = pointer.read(self.store, KEYS)  # type: ignore[arg-type]
        needed = retention.needed(KEYS, found[0].run_ts, found[0].train_uri) if found else set()
        tags = self.world.bucket.tags
        return sorted(key for key in needed if self.store.get(key) and tags[key] != retention.KEEPS)

    def _all_landed(self, name: str) -> dict[datetime, float]:
        rows: dict[datetime, float] = {}
        for key, stored in self.world.bucket.objects.items():
            if key.startswith(f"{KEYS.landing_root(name)}dt="):
                rows.update(_rows_of(name, stored.body))
        return rows


_BY_KEY: list[tuple[str, Callable[[Watch, Change, Stored | None], None]]] = [
    (KEYS.pointer(), Watch._pointer),
    (HISTORY, Watch._history),
    (KEYS.tests(), Watch._tests),
    (KEYS.lease(), Watch._lease),
    (RUNS, Watch._claim),
    (LANDING, Watch._landing),
    (KEYS.train_latest(), Watch._train_latest),
    (SLOTS, Watch._slot),
    (KEYS.scoring_state(), Watch._scoring_state),
]


def _rows_of(name: str, body: bytes | None) -> dict[datetime, float]:
    """A landing file as instants and versions."""
    if body is None:
        return {}
    table = PIPELINE.source.tables[name]
    columns = stand_ins.read_rows(table, body, "")
    instants = [instant_of(value) for value in columns[table.key]]
    require(instants == sorted(set(instants)), "landed rows are in order and unique", name)
    (values,) = (column for key, column in columns.items() if key != table.key)
    return dict(zip(instants, values.reshape(len(instants), -1)[:, 0].tolist(), strict=True)) if instants else {}


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
