"""What there is to fuzz: inputs by number, and the check that hands one to a reader of the product."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from ratchet.errors import RatchetError

LONGEST_MESSAGE = 1000


@dataclass(frozen=True)
class Target:
    """The first inputs are the bombs, all others are made from the seed and their number alone.

    `check` names what came of an input, and raises whatever else than a result or a named error it meets.
    """

    make: Callable[[Random], bytes]
    check: Callable[[bytes], str]
    bombs: tuple[Callable[[], bytes], ...] = ()

    def input(self, seed: int, number: int) -> bytes:
        if number < len(self.bombs):
            return self.bombs[number]()
        return self.make(Random(seed << 32 | number))


def name_of(error: Exception) -> str:
    """A named error's class, once its text is what the house wants of it and it hides no lack of memory."""
    cause: BaseException | None = error
    while cause := cause.__cause__:
        assert not isinstance(cause, MemoryError)
    if isinstance(error, RatchetError):
        check_message(str(error))
    return type(error).__name__


def check_message(text: str) -> None:
    """It can be shown as it is, on one line, and read."""
    assert text.isprintable(), repr(text)
    assert 0 < len(text.encode()) < LONGEST_MESSAGE, text
