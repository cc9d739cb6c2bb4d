"""`returns` on real one-minute bars: green, with an honest verdict, whatever it is."""

from pathlib import Path
from typing import Any

import pytest

from tests.laptop_target import KEYS, LaptopTarget

BARS = Path(__file__).parents[2].parent / "shared/data/ticks/btc-perp-20211231-20220201_1m.csv"

pytestmark = pytest.mark.skipif(not BARS.is_file(), reason=f"real bars are not part of the repository: no {BARS}")


@pytest.fixture(scope="module")
def judged(laptop: LaptopTarget) -> Any:
    seeded = laptop.ratchet("seed", "returns", "--from-bars", str(BARS), "--yes")
    assert seeded["synthetic"] is False
    return {"seeded": seeded, **laptop.run()}


def test_real_bars_end_green_with_a_verdict(laptop: LaptopTarget, judged: Any) -> None:
    assert judged["outcome"] in {"promoted", "kept_champion"}
    assert judged["reason"]
    promoted = judged["outcome"] == "promoted"
    assert (judged["verdict"] == "promote") is promoted
    assert (laptop.etag(KEYS.pointer()) is not None) is promoted


def test_the_data_is_marked_as_real(laptop: LaptopTarget, judged: Any) -> None:
    manifest = laptop.document(KEYS.manifest(judged["run_ts"]))
    assert (manifest["synthetic"], manifest["source"]) == (False, judged["seeded"]["source"])
    assert manifest["counts"]["joined"] == judged["seeded"]["rows"]
    assert manifest["counts"]["rejected"] == {}
