"""The split of rows whose labels end each at an instant of their own: by time, and no life in two parts. Numpy only.

A row belongs to the part in which its instant lies, if its label has ended an embargo before a later part begins and
its life does not reach into one: what is known of a part is known before the next begins (purging: López de Prado,
"Advances in Financial Machine Learning", 2018, 7.4). Lives that have not ended, of machines that stay sound, may lie in
several parts, since no part would otherwise know soundness.
"""

import numpy as np
from numpy.typing import NDArray

from ratchet.catalog import Data
from ratchet.tables.split import MICROS_PER_MINUTE, PARTS, validate


def parts_of(
    base_ts: NDArray[np.int64], ends: NDArray[np.int64], lives: NDArray[np.int64], data: Data
) -> NDArray[np.int8]:
    """The index in `PARTS` of each row (sorted by `base_ts`, at least one), -1 where it belongs to none.

    `lives` are numbers, -1 for rows that nothing keeps together. Raises BadConfiguration for the shares.
    """
    validate(data)
    count, embargo = len(base_ts), data.embargo_minutes * MICROS_PER_MINUTE
    shares = np.cumsum([data.split[part] for part in PARTS])[:-1]
    edges = base_ts[np.minimum(np.rint(count * shares).astype(np.int64), count - 1)]
    codes = np.searchsorted(edges, base_ts, "right")
    reach = np.where(lives < 0, base_ts, _last(base_ts, lives))
    # The instant before which all that is known of a part must be: the next edge, for the last part none.
    limits = np.append(edges, np.iinfo(np.int64).max)[codes]
    known = (codes == len(edges)) | ((ends <= limits - embargo) & (reach < limits))
    found: NDArray[np.int8] = np.where(known, codes, -1).astype(np.int8)
    return found


def _last(base_ts: NDArray[np.int64], lives: NDArray[np.int64]) -> NDArray[np.int64]:
    """The last instant of each row's life."""
    _, inverse = np.unique(lives, return_inverse=True)
    last = np.zeros(inverse.max(initial=0) + 1, np.int64)
    np.maximum.at(last, inverse, base_ts)
    return last[inverse]
