"""Vectors that others have learned, for the words of a tokenizer and for more that may come.

Words that no training text has are the point: what their vectors say is known all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.vectors.reader import read_word_vectors
from training.vectors.reduction import reduce_vectors
from training.vectors.selection import WordVectors
from training.vectors.word_vectors import weigh_vectors

MAX_BYTES = 1_200_000  # of the words that no training text has, once they are weights
BYTES_A_WORD = 20  # of its letters in the tokenizer, and of its vector at 4 bits
FIRST_SHARE = 0.1  # of the most frequent word, by Zipf's law
MAX_EXTRA = 60_000


def count_extra(num_columns: int) -> int:
    """Return how many words a model may have that no training text has, if each has so many
    weights."""
    return min(MAX_EXTRA, MAX_BYTES // (BYTES_A_WORD + num_columns))


def read_known(path: Path, own_words: Collection[str], num_extra: int) -> WordVectors:
    """Return the vectors of a model's own words, and of the first others of the file.

    Args:
        num_extra: How many others, at most.

    Raises:
        DataError: The file cannot be read.
    """
    others: set[str] = set()
    own = frozenset(own_words)

    def is_wanted(word: str) -> bool:
        if word in own:
            return True
        if len(others) >= num_extra:
            return False
        others.add(word)
        return True

    return read_word_vectors(path, is_wanted, len(own) + num_extra)


def place_known(known: WordVectors, words: Sequence[str]) -> NDArray[np.float32]:
    """Return the vector of each word as `weigh_vectors` has it, 0 of one that has none; float32,
    shape (words, dimensions).

    How frequent a word is tells the order of the file, by Zipf's law.
    """
    weighed = weigh_vectors(known.vectors, FIRST_SHARE / np.arange(1, len(known.words) + 1))
    rows = {word: row for row, word in enumerate(known.words)}
    found = np.zeros((len(words), known.vectors.shape[1]), np.float32)
    for number, word in enumerate(words):
        if (row := rows.get(word)) is not None:
            found[number] = weighed[row]
    return found


def reduce_known(
    vectors: NDArray[np.float32], token_ids: Sequence[Sequence[int]], dim: int
) -> NDArray[np.float32]:
    """Return vectors in fewer dimensions, as texts have the words; 0 of a word without one.

    float32, shape (vocabulary, dim).
    """
    counts = np.bincount([id_ for ids in token_ids for id_ in ids], minlength=len(vectors)) + 0.5
    has_one = np.abs(vectors).max(axis=1) > 0
    found = np.zeros((len(vectors), dim), np.float32)
    if has_one.any():
        found[has_one] = reduce_vectors(vectors[has_one], dim, counts[has_one])
    return found
