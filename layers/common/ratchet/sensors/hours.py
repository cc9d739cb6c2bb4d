"""What the samples of an hour come to, per machine and sensor, summed up file by file in whatever order they come.

Means and variances are merged by the pairwise formula of Chan, Golub and LeVeque (1983), so that an hour whose samples
lie in several files is that of all of them, and no file is in memory longer than it takes to read.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ratchet.sensors.layout import Layout
from ratchet.sensors.samples import HOUR, Machine, Samples

MEASURES = ("mean", "std", "low", "high", "count", "outside")
"""Columns of each sensor: in the sensor's own unit, then the number of samples and the share of them out of range."""
PENDING_ROWS = 200_000
"""Sums that are kept apart before they are merged."""


@dataclass(frozen=True)
class Sums:
    """What the samples of cells (a machine, an hour, a sensor) come to; `spread` are sums of squares about the mean."""

    machine: NDArray[np.int64]
    hour: NDArray[np.int64]
    sensor: NDArray[np.int64]
    count: NDArray[np.int64]
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    outside: NDArray[np.int64]


@dataclass
class Hours:
    """Sums of all files so far; `ignored` and `rejected` count records by the reason."""

    layout: Layout
    ignored: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    samples: int = 0
    _machines: dict[Machine, int] = field(default_factory=dict)
    _sums: list[Sums] = field(default_factory=list)

    def add(self, found: Samples) -> None:
        """Takes the samples of a file in."""
        self.ignored += found.ignored
        self.rejected += found.rejected
        self.samples += len(found.at)
        if not len(found.at):
            return
        numbers = [self._machines.setdefault(machine, len(self._machines)) for machine in found.machines]
        ranges = [(sensor.low, sensor.high) for sensor in self.layout.sensors.values()]
        low, high = np.array(ranges).T[:, found.sensor]
        one = np.ones(len(found.at), np.int64)
        single = Sums(
            machine=np.array(numbers)[found.machine],
            hour=found.at // HOUR,
            sensor=found.sensor,
            count=one,
            mean=found.value,
            spread=np.zeros(len(one)),
            low=found.value,
            high=found.value,
            outside=((found.value < low) | (found.value > high)).astype(np.int64),
        )
        self._sums.append(merged([single]))
        done, *pending = (len(sums.count) for sums in self._sums)
        if sum(pending) > max(PENDING_ROWS, done):
            self._sums = [merged(self._sums)]

    def take(self, table: pa.Table) -> None:
        """Takes in what `table` gave before, of other files."""
        keys = zip(*(table[name].to_pylist() for name in ("zone_id", "equip_id")), strict=True)
        machine = np.array([self._machines.setdefault(key, len(self._machines)) for key in keys], np.int64)
        hour = table["hour"].cast(pa.int64()).to_numpy() // HOUR
        for number, sensor in enumerate(self.layout.sensors):
            told = {name: table[f"{sensor}_{name}"].to_numpy() for name in MEASURES}
            there = np.isfinite(told["mean"])
            found = {name: values[there] for name, values in told.items()}
            count = found["count"].astype(np.int64)
            self._sums.append(
                Sums(
                    machine=machine[there],
                    hour=hour[there],
                    sensor=np.full(len(count), number),
                    count=count,
                    mean=found["mean"],
                    spread=np.square(found["std"]) * count,
                    low=found["low"],
                    high=found["high"],
                    outside=np.rint(found["outside"] * count).astype(np.int64),
                )
            )

    def sums(self) -> tuple[list[Machine], Sums | None]:
        """The machines by their numbers, and all sums in the order of machine, hour and sensor."""
        return list(self._machines), merged(self._sums) if any(len(part.count) for part in self._sums) else None

    def table(self) -> pa.Table:
        """A row per machine and hour with samples, ordered by them; the measures of a silent sensor are null."""
        sums = merged(self._sums) if self._sums else None
        names = [f"{sensor}_{measure}" for sensor in self.layout.sensors for measure in MEASURES]
        kinds = {"count": pa.int64()}
        declared = [pa.field(name, kinds.get(name.rpartition("_")[2], pa.float64())) for name in names]
        keys = [pa.field("zone_id", pa.string()), pa.field("equip_id", pa.string())]
        schema = pa.schema([*keys, pa.field("hour", pa.timestamp("us", "UTC")), *declared])
        if sums is None:
            return schema.empty_table()
        return self._wide(sums, schema)

    def _wide(self, sums: Sums, schema: pa.Schema) -> pa.Table:
        order = sorted(self._machines)
        place = np.empty(len(order), np.int64)
        place[[self._machines[machine] for machine in order]] = np.arange(len(order))
        rows, row = np.unique(np.stack([place[sums.machine], sums.hour]), axis=1, return_inverse=True)
        values = {
            "mean": sums.mean,
            "std": np.sqrt(sums.spread / sums.count),
            "low": sums.low,
            "high": sums.high,
            "count": sums.count,
            "outside": sums.outside / sums.count,
        }
        columns = [pa.array([order[each][part] for each in rows[0].tolist()], pa.string()) for part in (0, 1)]
        columns.append(pa.array(rows[1] * HOUR, pa.timestamp("us", "UTC")))
        for number in range(len(self.layout.sensors)):
            ours = sums.sensor == number
            silent = np.ones(rows.shape[1], np.bool_)
            silent[row[ours]] = False
            for measure in MEASURES:
                wide = np.zeros(rows.shape[1], values[measure].dtype)
                wide[row[ours]] = values[measure][ours]
                columns.append(pa.array(wide, schema.field(len(columns)).type, mask=silent))
        return pa.Table.from_arrays(columns, schema=schema)


def merged(parts: list[Sums]) -> Sums:
    """One sum per cell, in the order of machine, hour and sensor."""
    names = Sums.__dataclass_fields__
    every = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    order = np.lexsort((every["sensor"], every["hour"], every["machine"]))
    keys = np.stack([every[name][order] for name in ("machine", "hour", "sensor")])
    first = np.concatenate([[True], (keys[:, 1:] != keys[:, :-1]).any(axis=0)])
    starts = np.flatnonzero(first)
    cell = np.cumsum(first) - 1
    sorted_ = {name: every[name][order] for name in names}
    count = np.add.reduceat(sorted_["count"], starts)
    mean = np.add.reduceat(sorted_["count"] * sorted_["mean"], starts) / count
    away = sorted_["count"] * np.square(sorted_["mean"] - mean[cell])
    machine, hour, sensor = keys[:, starts]
    return Sums(
        machine=machine,
        hour=hour,
        sensor=sensor,
        count=count,
        mean=mean,
        spread=np.add.reduceat(sorted_["spread"] + away, starts),
        low=np.minimum.reduceat(sorted_["low"], starts),
        high=np.maximum.reduceat(sorted_["high"], starts),
        outside=np.add.reduceat(sorted_["outside"], starts),
    )
