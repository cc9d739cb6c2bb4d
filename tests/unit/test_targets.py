import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from ratchet.targets import describe

GENERATOR = np.random.default_rng(3)
LONG = np.round(GENERATOR.normal(size=500), 2)


def described(**columns: NDArray[np.float64]) -> dict[str, str | None]:
    found = describe(dict.fromkeys(columns, "percent"), np.column_stack(list(columns.values())))
    assert all(facts["counted"] is (facts["why_not"] is None) for facts in found.values())
    return {name: facts["why_not"] for name, facts in found.items()}


def test_a_target_that_never_changes_is_not_counted() -> None:
    assert described(trend=np.zeros(500), long=LONG) == {"trend": "constant: always 0", "long": None}
    assert described(other=np.full(500, 0.3))["other"] == "constant: always 0.3"


def test_the_negative_of_an_earlier_target_is_not_counted() -> None:
    assert described(long=LONG, short=-LONG) == {"long": None, "short": "redundant: -1 * long"}


@settings(deadline=None)
@given(st.floats(0.01, 100), st.floats(-10, 10), st.booleans())
def test_every_affine_function_of_an_earlier_target_is_found(slope: float, offset: float, negative: bool) -> None:
    reason = described(long=LONG, other=(-slope if negative else slope) * LONG + offset)["other"]
    assert reason is not None
    assert reason.startswith("redundant: ")
    assert "* long" in reason


def test_an_offset_is_told() -> None:
    assert described(long=LONG, other=2 * LONG + 0.5)["other"] == "redundant: 2 * long +0.5"


@pytest.mark.parametrize("noise", [0.01, 1e-4])
def test_a_target_that_only_correlates_is_counted(noise: float) -> None:
    assert described(long=LONG, other=-LONG + GENERATOR.normal(size=500) * noise)["other"] is None


def test_mean_variance_and_unit_are_those_of_the_rows() -> None:
    facts = describe({"long": "percent"}, LONG[:, None])["long"]
    assert facts["unit"] == "percent"
    assert facts["mean"] == pytest.approx(LONG.mean())
    assert facts["variance"] == pytest.approx(LONG.var())


def test_quantiles_of_one_outcome_all_count() -> None:
    units = dict.fromkeys(("low", "median", "high"), "kW")
    found = describe(units, np.repeat(LONG[:, None], 3, axis=1), quantiles=True)
    assert [facts["counted"] for facts in found.values()] == [True, True, True]
    assert not describe({"low": "kW"}, np.zeros((9, 1)), quantiles=True)["low"]["counted"]
