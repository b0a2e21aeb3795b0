"""Token ids of several texts as one array; training and serving pad alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pad(token_ids: Sequence[Sequence[int]], pad_id: int) -> NDArray[np.int32]:
    """Return int32, shape (len(token_ids), longest), filled on the right; one column at least."""
    if len(token_ids) == 1 and token_ids[0]:
        return np.array(token_ids, np.int32)  # the usual request, at half the price
    width = max(1, max(len(ids) for ids in token_ids))
    batch = np.full((len(token_ids), width), pad_id, np.int32)
    for row, ids in enumerate(token_ids):
        batch[row, : len(ids)] = ids
    return batch
