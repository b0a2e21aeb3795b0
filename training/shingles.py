"""Near-duplicates by MinHash over shingles of three tokens, in arrays."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHINGLE = 3
NUM_HASHES = 24
BAND = 4  # hashes that must all be equal: texts alike by 0.8 share a band with p = 0.96
ALIKE = 0.8  # share of equal hashes of near-duplicates, an estimate of their Jaccard similarity
# Below, one other word is another meaning.
FEWEST_TOKENS = 8
# Characters for each blank from which on a script has no words apart: its characters are tokens.
WORDLESS = 15
BAND_FACTORS = np.array([3**40, 5**27 * 2 + 1, 7**22, 11**18], np.uint64)


class Vocabulary(dict[str, int]):
    """Token -> number, from 0 in the order in which they are asked for first."""

    def __missing__(self, token: str) -> int:
        number = self[token] = len(self)
        return number


@dataclass(frozen=True)
class Tokens:
    """The tokens of all texts in one row.

    Args:
        numbers: int64, shape (tokens of all texts,).
        counts: int64, shape (texts,): how many of them each text has.
    """

    numbers: NDArray[np.int64]
    counts: NDArray[np.int64]
    vocabulary: Vocabulary

    @property
    def text_ids(self) -> NDArray[np.int64]:
        """The text of each token."""
        return np.repeat(np.arange(len(self.counts)), self.counts)


def split_texts(texts: Sequence[str]) -> Tokens:
    """Return what stands between blanks; where a script has none, the characters."""
    vocabulary = Vocabulary()
    numbers = array("q")
    counts = []
    for text in texts:
        text = text.casefold()
        words: Sequence[str] = text.split()
        if len(text) > WORDLESS * len(words):
            words = "".join(words)
        numbers.extend(map(vocabulary.__getitem__, words))
        counts.append(len(words))
    flat = np.frombuffer(numbers, np.int64) if numbers else np.empty(0, np.int64)
    return Tokens(flat, np.array(counts, np.int64), vocabulary)


def find_near_duplicates(tokens: Tokens, left_out: set[int]) -> list[int]:
    """Return the rows, from 0, of texts that are nearly an earlier one.

    Args:
        left_out: Rows that are not looked at, such as exact duplicates.
    """
    candidates = np.flatnonzero(tokens.counts >= FEWEST_TOKENS).tolist()
    rows = [row for row in candidates if row not in left_out]
    if len(rows) < 2:
        return []
    signatures = _sign(tokens.numbers, tokens.counts, rows)
    found: set[int] = set()
    for start in range(0, NUM_HASHES, BAND):
        band = signatures[:, start : start + BAND] @ BAND_FACTORS  # wraps around at 2**64
        _, first, inverse = np.unique(band, return_index=True, return_inverse=True)
        earlier = first[inverse.ravel()]
        alike = (signatures == signatures[earlier]).mean(axis=1) >= ALIKE
        found.update(np.flatnonzero(alike & (earlier < np.arange(len(rows)))).tolist())
    return [rows[index] for index in sorted(found)]


def _sign(
    tokens: NDArray[np.int64], counts: NDArray[np.int64], rows: Sequence[int]
) -> NDArray[np.uint64]:
    """Return the smallest hashes of each text's shingles, uint64, shape (rows, NUM_HASHES)."""
    order = np.random.default_rng(0)
    factors = order.integers(1, 2**63, size=SHINGLE + NUM_HASHES, dtype=np.uint64) | np.uint64(1)
    flat = tokens.astype(np.uint64) + np.uint64(1)
    shingles = np.zeros(len(flat) - SHINGLE + 1, np.uint64)
    for offset in range(SHINGLE):  # wraps around at 2**64, on purpose
        shingles += flat[offset : offset + len(shingles)] * factors[offset]
    shingles ^= shingles >> np.uint64(29)
    starts = (np.cumsum(counts) - counts)[rows]
    # Each row's shingles, without those that reach into the next text.
    ends = starts + counts[rows] - SHINGLE + 1
    bounds = np.stack([starts, ends], axis=1).ravel()
    padded = np.append(shingles, np.uint64(2**64 - 1))
    signatures = np.empty((len(rows), NUM_HASHES), np.uint64)
    for column, factor in enumerate(factors[SHINGLE:]):
        hashes = padded * factor
        hashes ^= hashes >> np.uint64(32)
        signatures[:, column] = np.minimum.reduceat(hashes, bounds)[::2]
    return signatures
