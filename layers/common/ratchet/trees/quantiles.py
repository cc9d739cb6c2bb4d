"""Quantiles of one outcome: a bag of models for each share, of which the answers of a row never cross."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import BadConfiguration
from ratchet.trees import bag
from ratchet.trees.bag import Bag, Floats

if TYPE_CHECKING:
    import onnx

MEDIAN = 0.5


@dataclass(frozen=True)
class Quantiles:
    """A bag for each share of outcomes below its answers, in growing order; `median` is the place of the middle one.

    `shifts` are added to the answers of each before they are kept from crossing.
    """

    bags: tuple[Bag, ...]
    median: int
    shifts: tuple[float, ...]

    def predict(self, x: Floats) -> NDArray[np.float64]:
        """float64 [N, quantiles] for [N, inputs], by LightGBM itself."""
        return uncrossed(self._alone(x) + self.shifts, self.median)

    def calibrated(self, x: Floats, y: NDArray[np.floating], shares: Sequence[float]) -> "Quantiles":
        """Shifted so that of outcomes [N], which training has not seen, the shares lie below; the median stays.

        Trees that have learned rows by heart draw the quantiles too near to each other (conformalized quantile
        regression: Romano, Patterson, Candès, NeurIPS 2019; here each side by itself).
        """
        away = y[:, None] - self._alone(x)
        shifts = [float(np.quantile(column, share)) for column, share in zip(away.T, shares, strict=True)]
        shifts[self.median] = 0.0
        return replace(self, shifts=tuple(shifts))

    def graph(self) -> "onnx.ModelProto":
        """float32 `features` [N, inputs] to float32 `predictions` [N, quantiles]. Raises UnsupportedTrees."""
        from ratchet.trees.graph import side_by_side

        dumps = (each.dumps() for each in self.bags)
        return side_by_side(*dumps, floats=True, shifts=self.shifts, median=self.median)

    def importance(self, x: Floats) -> NDArray[np.float64]:
        """float64 [inputs]: what moves the median, as `Bag.importance` has it."""
        return self.bags[self.median].importance(x)

    def _alone(self, x: Floats) -> NDArray[np.float64]:
        return np.column_stack([each.predict(x) for each in self.bags])


def fit(
    x: Floats, y: NDArray[np.floating], *, shares: Sequence[float], parameters: Mapping[str, Any], **fitting: Any
) -> Quantiles:
    """Trains a bag for each share on [N, inputs], otherwise as `bag.fit`.

    Raises BadConfiguration unless the shares grow and one of them is the median's.
    """
    if list(shares) != sorted(set(shares)) or MEDIAN not in shares:
        told = ", ".join(map(str, shares))
        raise BadConfiguration(
            f"gate.quantiles must grow from target to target, with {MEDIAN} among them, not be {told}."
        )
    given = [{**parameters, "objective": "quantile", "alpha": share} for share in shares]
    bags = tuple(bag.fit(x, y, parameters=each, **fitting) for each in given)
    return Quantiles(bags, shares.index(MEDIAN), (0.0,) * len(bags))


def uncrossed(told: NDArray[np.float64], median: int) -> NDArray[np.float64]:
    """[N, quantiles] that grow: from the median on outwards, one that crosses the one before it is that one."""
    below = np.minimum.accumulate(told[:, median::-1], axis=1)[:, ::-1]
    above = np.maximum.accumulate(told[:, median:], axis=1)
    return np.concatenate([below, above[:, 1:]], axis=1)
