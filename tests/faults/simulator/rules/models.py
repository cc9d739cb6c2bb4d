"""Rules of models: the pointer, its history, the evidence, the tests that were spent, bundles."""

from typing import Any

from ratchet import pointer, retention
from ratchet.errors import BadInput, ChampionMoved, Unavailable, UnknownRun
from ratchet.store import Stored

from tests.faults.simulator import stand_ins
from tests.faults.simulator.bucket import Change
from tests.faults.simulator.rules.seen import KEYS, parsed, require, sha256
from tests.faults.simulator.rules.signed import Signed


class Models(Signed):
    """Looks at what a model's way into service leaves in the bucket."""

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
        require(sha256(bundle.body) == named.sha256, "the pointer's bundle hashes right", named.run_ts)
        self._chain(named)
        self.movers["pointer"] = self.world.root_of(change.by)
        if named.move == "promote":
            self._promotion(named, entry.who, before)
        last = parsed(before.body) if before else {"token": 0}
        require(named.token >= last["token"], "the pointer's token never goes back", named.token)
        for key in self._needed(named):
            if self.store.get(key):
                require(key in self.kept, "what a champion needs does not expire when it comes into service", key)
        self.service.append(named.run_ts)

    def keeping(self, change: Change, before: Stored | None) -> None:
        """Notes what was kept.

        A step that was overtaken may write the same once more, as what expires: the next evaluation keeps it. The same
        is, beside the same bytes, the card of the same judgement, which tells the time of its drawing.
        """
        if change.body is None and change.tags == retention.KEEPS:
            self.kept.add(change.key)
        elif change.body is None or before is None or not _same(change, before):
            self.kept.discard(change.key)

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
        if self.world.signed:
            self.promoted_and_served(named, who)

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

    @staticmethod
    def _needed(named: pointer.Pointer) -> set[str]:
        return {*retention.needed(KEYS, named.run_ts, named.train_uri), KEYS.package(named.run_ts)}

    def rolled_back(self, process: Any) -> None:
        """Looks at how a rollback ended."""
        fair = process.error is None or isinstance(process.error, BadInput | ChampionMoved | UnknownRun | Unavailable)
        require(
            fair or not isinstance(process.error, Exception), "a rollback is refused only for a reason", process.error
        )

    def expiring(self) -> list[str]:
        """What the champion needs and would lose in time; the next evaluation of any run mends that."""
        found = pointer.read(self.store, KEYS)  # type: ignore[arg-type]
        needed = self._needed(found[0]) if found else set()
        tags = self.world.bucket.tags
        return sorted(key for key in needed if self.store.get(key) and tags[key] != retention.KEEPS)


def _same(change: Change, before: Stored) -> bool:
    return before.body == change.body or change.key.endswith("/card.html")
