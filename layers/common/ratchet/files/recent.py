"""What a process has read and may need again: the values used last, as many as a bound allows. Knows no store."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any


class Recent:
    """Values by key; those that were not asked for longest go once all together weigh more than `most`."""

    def __init__(self, most: int) -> None:
        """Holds nothing yet."""
        self._most = most
        self._held: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._weight = 0

    def get(self, key: Hashable) -> Any:
        """The value, None where there is none any more."""
        if key not in self._held:
            return None
        self._held.move_to_end(key)
        return self._held[key][0]

    def put(self, key: Hashable, value: Any, weight: int) -> None:
        """Holds a value from now on, unless it alone is too heavy."""
        self._weight += weight - (self._held.pop(key)[1] if key in self._held else 0)
        self._held[key] = (value, weight)
        while self._weight > self._most:
            self._weight -= self._held.popitem(last=False)[1][1]
