"""Meter files as bytes, read as the product reads them from the disk."""

from pathlib import Path
from tempfile import TemporaryDirectory

from ratchet.meters.layout import Layout
from ratchet.meters.readings import Aside, Readings, read


def readings_in(body: bytes, layout: Layout, aside: Aside) -> list[Readings]:
    """The blocks of a file of these bytes."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "meter.csv")
        path.write_bytes(body)
        return list(read(path, layout, aside))
