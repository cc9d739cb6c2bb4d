"""The split by a salted hash of groups: shares as declared, and nothing that depends on other groups."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ratchet.errors import BadConfiguration
from ratchet.files.salted import parts_of

from tests.filed import clicks

DATA = clicks().data


def test_parts_have_the_shares_that_are_declared() -> None:
    codes = parts_of(np.arange(50_000).astype(str), DATA)
    np.testing.assert_allclose(np.bincount(codes) / 50_000, [0.7, 0.1, 0.2], atol=0.005)


@settings(deadline=None)
@given(st.lists(st.text(min_size=1, max_size=5), min_size=1), st.randoms(use_true_random=False))
def test_a_groups_part_depends_on_nothing_but_its_name(names: list[str], chance: object) -> None:
    groups = np.array(names)
    codes = parts_of(groups, DATA)
    alone = [int(parts_of(groups[index : index + 1], DATA)[0]) for index in range(len(groups))]
    assert codes.tolist() == alone
    assert set(alone) <= {0, 1, 2}


def test_another_salt_is_another_split_and_other_shares_move_as_few_as_they_must() -> None:
    groups = np.arange(5000).astype(str)
    codes = parts_of(groups, DATA)
    assert 0.3 < (parts_of(groups, replace(DATA, salt="other")) != codes).mean() < 0.7
    wider = replace(DATA, split={"train": 0.6, "validation": 0.1, "holdout": 0.3})
    assert ((parts_of(groups, wider) == 2) >= (codes == 2)).all()


def test_shares_that_do_not_add_up_are_named() -> None:
    with pytest.raises(BadConfiguration, match=r"data\.split"):
        parts_of(np.array(["a"]), replace(DATA, split={"train": 0.6, "validation": 0.1, "holdout": 0.2}))
