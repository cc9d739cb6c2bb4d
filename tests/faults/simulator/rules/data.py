"""Rules of data: what lands, the watermark, and what is prepared of it."""

from datetime import datetime
from typing import Any

from ratchet.extraction.watermark import Watermark
from ratchet.store import Stored

from tests.faults.simulator import stand_ins
from tests.faults.simulator.bucket import Change
from tests.faults.simulator.rules.seen import KEYS, Seen, instant_at, marked, parsed, require, rows_of, sha256


class Data(Seen):
    """Looks at rows on their way from the source to training."""

    def _landing(self, change: Change, before: Stored | None) -> None:
        name, self.data_moved = change.key.split("/")[1], True
        if change.key == KEYS.watermark(name):
            self._watermark(name, change, before)
        elif "/rejected/" in change.key:
            rows = stand_ins.read_rejected(self.store.get(change.key).body, "")  # type: ignore[union-attr]
            self.rejected[name] |= {instant_at(row.key) for row in rows}
        else:
            self._rows(name, change, before)

    def _rows(self, name: str, change: Change, before: Stored | None) -> None:
        new, old = rows_of(name, change.body), rows_of(name, before.body if before else None)
        source = self.world.tables[name].rows
        for instant, version in old.items():
            gone = instant not in new and source.get(instant, 0.0) is not None
            require(not gone, "no landed row is lost", f"{name} {instant} by {change.by}")
            newer = new.get(instant, version) >= version
            require(newer, "no landed row goes back to an older version", f"{name} {instant} by {change.by}")
        self.landed[name].update(new)

    def _watermark(self, name: str, change: Change, before: Stored | None) -> None:
        new, old = self.store.mark(name), marked(before.body) if before else Watermark(name)
        require(new.token >= old.token, "the watermark's token never goes back", change.by)
        reached, left = new.instant, old.instant
        require(not left or (reached or left) >= left, "the watermark never goes back", change.by)
        rows, start = self.first_seen.get((new.reading.run_ts if new.reading else "", name), ({}, None))
        behind = {at for at in rows if reached and at <= reached and (start is None or at >= start)}
        missing = behind - self.landed[name].keys() - self.rejected[name]
        require(not missing, "the watermark comes after the data", f"{name} {sorted(missing)} by {change.by}")

    def _train_latest(self, change: Change, before: Stored | None) -> None:
        new = self.store.json(change.key)
        require(
            self.store.get(self.store.key_of(new["manifest_uri"])) is not None, "data comes before its name", change.key
        )
        last = parsed(before.body)["run_ts"] if before else ""
        require(new["run_ts"] >= last, "the newest data stays the newest", f"{last} became {new['run_ts']}")

    def _prepared(self, change: Change) -> None:
        run = change.key.split("run_ts=")[1].split("/")[0]
        manifest = self.store.json(KEYS.manifest(run))
        if manifest and "digests" in manifest:
            self._data(KEYS.manifest(run), f"{change.by} wrote {change.key}")

    def _data(self, manifest_key: str, when: str) -> dict[str, str]:
        manifest = self.store.json(manifest_key)
        run = manifest["run_ts"]
        for part, key in (("train", KEYS.train(run)), ("holdout", KEYS.holdout(run))):
            found = self.store.get(key)
            there = found and f"sha256:{sha256(found.body)}"
            require(there == manifest["digests"][part], "data is what its manifest says", f"{key} after {when}")
        digests: dict[str, str] = manifest["digests"]
        return digests

    def step_begins(self, step: str, event: dict[str, Any], process: str) -> None:
        """Notes what the source holds when a run first reads it."""
        if step != "extract":
            return
        for name, table in self.world.tables.items():
            reached = self.store.mark(name).instant
            start = reached - stand_ins.OVERLAP if reached else None
            seen = {at: version for at, version in table.rows.items() if at not in table.late}
            self.first_seen.setdefault((event["run_ts"], name), (seen, start))

    def training_reads(self, train_uri: str, job: str) -> str:
        """The digest of the data that a job reads."""
        key = self.store.key_of(train_uri).rpartition("/")[0] + "/manifest.json"
        return self._data(key, f"{job} read them")["train"]

    def all_rows_landed(self) -> None:
        """Compares the landing area with the source after an extraction without faults."""
        for name, table in self.world.tables.items():
            sound = {instant for instant, version in table.rows.items() if version is not None}
            landed = self._all_landed(name).keys()
            require(sound <= landed, "no row of the source is lost", f"{name} {sorted(sound - landed)}")
            require(landed <= sound, "no row is invented", f"{name} {sorted(landed - sound)}")

    def _all_landed(self, name: str) -> dict[datetime, float]:
        rows: dict[datetime, float] = {}
        for key, stored in self.world.bucket.objects.items():
            if key.startswith(f"{KEYS.landing_root(name)}dt="):
                rows.update(rows_of(name, stored.body))
        return rows
