"""The words, pairs and triples of words that a text has, each with a number.

A pair or triple is told by a hash of its token ids. A table of them holds a fingerprint at each
place, which tells whether the place is its own: what is not in the table is then not found in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training.tokenizer import PAD_ID, UNKNOWN_ID

FIRST_WORD_ID = 2  # below are padding and the unknown word
# Multilinear hashing (Carter & Wegman 1979): the multiplier of each word of a pair, of a triple.
# All are from 2**30 to 2**31, so that with ids under 2**20 the sums stay under 2**53.
MULTIPLIERS = np.array(
    [
        [1_640_531_527, 1_371_742_211],
        [2_097_192_037, 1_921_275_983],
        [0, 1_198_765_433],
    ]
)
LONGEST = len(MULTIPLIERS)
# Stand in phrases twice before the first token, and twice behind the last: how a text begins, as a
# question does, and how it ends is told apart, and how long it is, by the pair that every text has.
# No word has the first id. The other is the padding that is there, so that it costs the graph
# nothing. TREC +0.9 points (100 rows) by one start. By all, 500 rows, beside one start: Japanese
# names by kind +0.7, Thai +0.5, Korean +0.3, Arabic, TREC and tweets -0.1 to +0.1; by the ends
# alone Arabic -0.6.
START_ID = 2**20 - 1
END_ID = PAD_ID
AROUND = LONGEST - 1
# In place of the unknown word: it brings every sum to 2**54 or more.
NO_WORD = 2**24
# How a text ends says more of its verdict than its middle: the last 100 tokens have weights of
# their own. IMDB, films apart: +0.25 points over none, as good as 60.
TAIL_TOKENS = 100


@dataclass(frozen=True)
class Occurrences:
    """Which text has which feature: one entry for each occurrence.

    Args:
        feature_ids: int64, shape (occurrences,).
        text_ids: int64, shape (occurrences,): number of the text.
        in_tail: bool, shape (occurrences,): it begins in the last `TAIL_TOKENS` of the text.
    """

    feature_ids: NDArray[np.int64]
    text_ids: NDArray[np.int64]
    in_tail: NDArray[np.bool_]


def find_words(token_ids: Sequence[Sequence[int]]) -> Occurrences:
    """Return every known word; its feature id is its token id."""
    flat, text_ids, remaining = _flatten(token_ids)
    known = flat >= FIRST_WORD_ID
    return Occurrences(flat[known], text_ids[known], (remaining <= TAIL_TOKENS)[known])


def find_phrases(token_ids: Sequence[Sequence[int]]) -> Occurrences:
    """Return every pair and triple of known words, start and end of the text among them; the
    feature id is its hash."""
    start, end = [START_ID] * AROUND, [END_ID] * AROUND
    flat, text_ids, remaining = _flatten([[*start, *ids, *end] for ids in token_ids])
    remaining -= AROUND
    begins = np.flatnonzero(remaining > 0)
    parts = []
    for size, multipliers in zip((2, 3), MULTIPLIERS.T, strict=True):
        multipliers = multipliers[:size]
        windows = [flat[begins + offset] for offset in range(len(multipliers))]
        known = np.logical_and.reduce([window != UNKNOWN_ID for window in windows])
        products = [m * window for m, window in zip(multipliers, windows, strict=True)]
        hashes = np.sum(products, axis=0)
        starts = begins[known]
        parts.append((hashes[known], text_ids[starts], remaining[starts] <= TAIL_TOKENS))
    return Occurrences(*map(np.concatenate, zip(*parts, strict=True)))


def _flatten(
    token_ids: Sequence[Sequence[int]],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return all tokens in one row, the text of each, and how many tokens it has left with it.

    All int64, shape (tokens of all texts,).
    """
    lengths = np.array([len(ids) for ids in token_ids])
    flat = np.fromiter((id_ for ids in token_ids for id_ in ids), np.int64, lengths.sum())
    text_ids = np.repeat(np.arange(len(lengths)), lengths)
    return flat, text_ids, np.cumsum(lengths)[text_ids] - np.arange(len(flat))


def select(
    features: Occurrences, chosen: NDArray[np.bool_], feature_ids: NDArray[np.int64]
) -> Occurrences:
    """Return the chosen occurrences by other feature ids.

    Args:
        chosen: bool, shape (occurrences,).
        feature_ids: int64, shape (occurrences,).
    """
    return Occurrences(feature_ids[chosen], features.text_ids[chosen], features.in_tail[chosen])


def number_frequent(phrases: Occurrences, min_texts: int) -> tuple[Occurrences, NDArray[np.int64]]:
    """Return the phrases of `min_texts` texts or more, numbered from 0, and their hashes.

    The hashes are int64, shape (frequent phrases,), in the order of the numbers.
    """
    all_hashes, numbers = np.unique(phrases.feature_ids, return_inverse=True)
    num_texts = int(phrases.text_ids.max(initial=0)) + 1
    pairs = np.unique(numbers * num_texts + phrases.text_ids)
    counts = np.bincount(pairs // num_texts, minlength=len(all_hashes))
    is_frequent = counts >= min_texts
    new_numbers = np.cumsum(is_frequent) - 1
    chosen = is_frequent[numbers]
    return select(phrases, chosen, new_numbers[numbers]), all_hashes[is_frequent]


def count_features(
    features: Occurrences, num_texts: int, num_features: int, is_once: bool = False
) -> sparse.csr_matrix:
    """Return how often each text has what, float32, shape (num_texts, num_features).

    Args:
        is_once: 1 at most.
    """
    counts = count_cells(features.text_ids, features.feature_ids, (num_texts, num_features))
    if is_once:
        counts.data[:] = 1
    return counts


def count_cells(
    rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, int]
) -> sparse.csr_matrix:
    """Return float32, of the given shape: how often each row has what, each cell stored once."""
    ones = np.ones(len(rows), np.float32)
    counts = sparse.csr_matrix((ones, (rows, columns)), shape)
    counts.sum_duplicates()
    return counts


def scale_rows(counts: sparse.csr_matrix, lengths: NDArray[np.int64]) -> sparse.csr_matrix:
    """Return each row over the root of its text's length; the shape stays.

    Args:
        lengths: int64, shape (rows,), in tokens.
    """
    scales = sparse.diags_array((1 / np.sqrt(np.maximum(lengths, 1))).astype(np.float32))
    return sparse.csr_matrix(scales @ counts)
