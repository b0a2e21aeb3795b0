"""What a model reads of several texts, as arrays; training and serving pad alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from handler.inference.letters import split_row

if TYPE_CHECKING:
    from numpy.typing import NDArray


def feed(
    rows: Sequence[Sequence[int]], pad_id: int, reads_letters: bool
) -> dict[str, NDArray[np.int32]]:
    """Return the arrays that a model is run with, by the names of its inputs.

    `token_ids`, and of a model that reads the letters of unknown words `letters`; both as `pad`
    gives them.

    Args:
        rows: `Encoding.row` of each text.
    """
    if not reads_letters:
        return {"token_ids": pad(rows, pad_id)}
    ids, letters = zip(*map(split_row, rows), strict=True)
    return {"token_ids": pad(ids, pad_id), "letters": pad(letters, 0)}


def pad(token_ids: Sequence[Sequence[int]], pad_id: int) -> NDArray[np.int32]:
    """Return int32, shape (len(token_ids), longest), filled on the right; one column at least."""
    if len(token_ids) == 1 and token_ids[0]:
        return np.array(token_ids, np.int32)  # the usual request, at half the price
    width = max(1, max(len(ids) for ids in token_ids))
    batch = np.full((len(token_ids), width), pad_id, np.int32)
    for row, ids in enumerate(token_ids):
        batch[row, : len(ids)] = ids
    return batch
