"""Tables of features by their hash, whose rows are found where they are kept, and nowhere else.

A feature, such as a pair of words, is told by a hash of its parts: a sum of products. The table has
a fingerprint at each place, which tells whether the place is the feature's own: what was not kept
then weighs nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# A place and a fingerprint are one remainder of the sum: `place * NUM_FINGERPRINTS + fingerprint`.
# A fingerprint is a byte; 0 marks an empty place, so that a feature whose own is 0 is none.
NUM_FINGERPRINTS = 256
SUM_LIMIT = 2**53  # sums of features that are none are over it


def split_hash(
    hashes: NDArray[np.int64], num_places: int
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return (place, int64; fingerprint, uint8) of each hash, shape (hashes,)."""
    remainders = hashes % (num_places * NUM_FINGERPRINTS)
    return remainders // NUM_FINGERPRINTS, remainders.astype(np.uint8)


def place_features(
    hashes: NDArray[np.int64], importance: NDArray[np.floating], num_places: int
) -> NDArray[np.uint8]:
    """Return the table in which each place goes to the most important feature.

    Args:
        hashes: int64, shape (features,).
        importance: Floats, shape (features,).

    Returns:
        uint8, shape (num_places,): the fingerprint of the feature in each place, 0 for none.
    """
    order = np.argsort(-importance, kind="stable")
    places, fingerprints = split_hash(hashes[order], num_places)
    places, fingerprints = places[fingerprints != 0], fingerprints[fingerprints != 0]
    taken, first = np.unique(places, return_index=True)
    table = np.zeros(num_places, np.uint8)
    table[taken] = fingerprints[first]
    return table


def find_places(
    hashes: NDArray[np.int64], fingerprints: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the place of each feature, int64, and whether the table keeps it; shape (hashes,).

    Args:
        fingerprints: uint8, shape (num_places,), of the feature in each place, 0 for none.
    """
    places, wanted = split_hash(hashes, len(fingerprints))
    return places, (fingerprints[places] == wanted) & (wanted != 0)


def find_rows(sums: Any, name: str, num_places: int, first_row: int) -> Any:
    """Return in Keras the row of each feature: `first_row` + its place, 0 where it is not kept.

    The remainder of a sum over the limit is 0; a fingerprint of 0 is found in empty places alone.

    Args:
        sums: int64, of any shape.
        name: Of the layer that holds the fingerprints.
    """
    from keras import layers, ops

    divisor = num_places * NUM_FINGERPRINTS
    remainders = ops.minimum(sums, SUM_LIMIT // divisor * divisor) % divisor
    places = ops.floor_divide(remainders, NUM_FINGERPRINTS)
    fingerprints = layers.Embedding(
        num_places, 1, "zeros", name=name, dtype="uint8", trainable=False
    )
    found = ops.squeeze(fingerprints(places), -1)
    is_kept = ops.equal(found, ops.cast(remainders, "uint8"))
    return ops.where(is_kept, places + first_row, 0)
