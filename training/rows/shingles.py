"""Near-duplicates by MinHash over shingles of three tokens, in arrays."""

from __future__ import annotations

import unicodedata
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handler.inference.tokenizer import BLANK, PAD, UNKNOWN
from training.tokenizer import make_tokenizer

SHINGLE = 3
NUM_HASHES = 24
BAND = 4  # hashes that must all be equal: texts alike by 0.8 share a band with p = 0.96
ALIKE = 0.8  # share of equal hashes of near-duplicates, an estimate of their Jaccard similarity
# Below, one other word is another meaning.
FEWEST_TOKENS = 8
MOST_TOKENS = 10**9  # of a text: all
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

    def leave_out_punctuation(self) -> Tokens:
        """Return the other tokens: all of "Good film!" is in "a good film"."""
        is_word = np.array([not _is_punctuation(token) for token in self.vocabulary], np.bool_)
        kept = is_word[self.numbers]
        counts = np.bincount(self.text_ids[kept], minlength=len(self.counts))
        return Tokens(self.numbers[kept], counts, self.vocabulary)


def split_texts(texts: Sequence[str]) -> Tokens:
    """Return the tokens of whole texts, as the model's tokenizer splits them."""
    tokenizer = make_tokenizer([PAD, UNKNOWN], MOST_TOKENS)
    vocabulary = Vocabulary()
    numbers = array("q")
    counts = []
    for text in texts:
        words, _ = tokenizer.split(text)
        numbers.extend(map(vocabulary.__getitem__, words))
        counts.append(len(words))
    flat = np.frombuffer(numbers, np.int64) if numbers else np.empty(0, np.int64)
    return Tokens(flat, np.array(counts, np.int64), vocabulary)


def _is_punctuation(token: str) -> bool:
    return token == BLANK or all(unicodedata.category(character)[0] == "P" for character in token)


def find_near_duplicates(tokens: Tokens) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of texts that are equal or nearly equal to an earlier one, and its row.

    Both int64, shape (pairs,), rows from 0; of several earlier texts that are alike in several
    bands of hashes there are several pairs.
    """
    rows = np.flatnonzero(tokens.counts >= FEWEST_TOKENS)
    if len(rows) < 2:
        return rows[:0], rows[:0]
    signatures = _sign(tokens.numbers, tokens.counts, rows)
    pairs = []
    for start in range(0, NUM_HASHES, BAND):
        band = signatures[:, start : start + BAND] @ BAND_FACTORS  # wraps around at 2**64
        _, first, inverse = np.unique(band, return_index=True, return_inverse=True)
        earlier = first[inverse.ravel()]
        alike = (signatures == signatures[earlier]).mean(axis=1) >= ALIKE
        later = np.flatnonzero(alike & (earlier < np.arange(len(rows))))
        pairs.append(np.stack([rows[later], rows[earlier[later]]]))
    found = np.unique(np.concatenate(pairs, axis=1), axis=1)
    return found[0], found[1]


def _sign(
    tokens: NDArray[np.int64], counts: NDArray[np.int64], rows: NDArray[np.int64]
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
