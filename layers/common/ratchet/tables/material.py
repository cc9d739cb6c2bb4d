"""What a run asks for and what its source comes to: between the step Prepare and the kinds of source."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ratchet.tables.dataset import Dataset


@dataclass(frozen=True)
class Order:
    """What a run asks for. `limit` above 0 takes the newest rows alone, `skip_data_prep` reuses the newest data.

    `month` (2025-06) takes the rows of that month, `sample` above 0 so many rows at random, the same for the same run.
    """

    run_ts: str
    execution: str
    token: int
    limit: int = 0
    skip_data_prep: bool = False
    month: str | None = None
    sample: int = 0


@dataclass(frozen=True)
class Material:
    """A run's data as local files, and what its manifest says of where they come from.

    `aside` holds the rows that extraction set aside, `kept_aside` says how many; of all rows seen `sound` keep the
    contract; `landing` is the same for the same landed data, table by table; `about` is what a model must know to
    serve.
    """

    dataset: Dataset
    aside: Path
    kept_aside: int
    sound: int
    landing: dict[str, Any]
    synthetic: bool | None
    source: str | None
    about: dict[str, Any] = field(default_factory=dict)
