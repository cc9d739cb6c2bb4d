"""Figures that tests of faults measure: collected while they run, printed as tables when pytest ends."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A title, the names of the columns, and rows of as many cells."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]

    def lines(self) -> list[str]:
        """The table as text: columns as wide as their widest cell, numbers to the right."""
        cells = [[str(cell) for cell in row] for row in [self.columns, *self.rows]]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        numeric = [all(isinstance(cell, int | float) for cell in column) for column in zip(*self.rows, strict=True)]
        return [
            "  ".join(
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(row, widths, numeric or [False] * len(row), strict=True)
            ).rstrip()
            for row in cells
        ]


tables: list[Table] = []
"""What has been added so far, in order."""


def add(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Has a table printed at the end of the run."""
    tables.append(Table(title, columns, [tuple(row) for row in rows]))
