"""Batches of similar length, padded on the right with 0."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from handler.inference import padding
from handler.inference.letters import split_row
from training.tokenizer import PAD_ID

if TYPE_CHECKING:
    import keras

# Batches are cut from pools of this many batches, sorted by length: little padding, and still
# another mix of texts in each epoch.
POOL_BATCHES = 50


def pad(token_ids: Sequence[Sequence[int]]) -> NDArray[np.int32]:
    """Return int32, shape (len(token_ids), longest), filled with PAD_ID on the right."""
    return padding.pad(token_ids, PAD_ID)


def feed(model: keras.Model, rows: Sequence[Sequence[int]]) -> Any:
    """Return what `model` is called with: one array, or one for each of its inputs by name.

    Args:
        rows: `Encoded.rows`, or some of them.
    """
    reads_letters = len(model.inputs) > 1
    arrays = padding.feed(rows if reads_letters else list(map(strip, rows)), PAD_ID, reads_letters)
    return arrays if reads_letters else arrays["token_ids"]


def strip(row: Sequence[int]) -> Sequence[int]:
    """Return the token ids of a row, without letters."""
    return split_row(row)[0]


def shuffled_batches(lengths: Sequence[int], batch_size: int, seed: int) -> list[list[int]]:
    """Return row numbers in batches of similar length, rows and batches in an order of `seed`."""
    order = random.Random(seed)
    rows = list(range(len(lengths)))
    order.shuffle(rows)
    batches: list[list[int]] = []
    pool_size = batch_size * POOL_BATCHES
    for start in range(0, len(rows), pool_size):
        pool = sorted(rows[start : start + pool_size], key=lengths.__getitem__)
        batches += [pool[first : first + batch_size] for first in range(0, len(pool), batch_size)]
    order.shuffle(batches)
    return batches


def sorted_batches(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Yield row numbers in batches, shortest rows first; for prediction."""
    rows = sorted(range(len(lengths)), key=lengths.__getitem__)
    for start in range(0, len(rows), batch_size):
        yield rows[start : start + batch_size]
