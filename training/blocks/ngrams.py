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

FIRST_WORD_ID = 2  # below are padding and the unknown word
# Multilinear hashing modulo a prime (Carter & Wegman 1979): the multiplier of each word of a pair,
# of a triple. With ids under 2**20 the sums stay under 2**63.
MULTIPLIERS = (
    (637_839_641_827, 913_204_785_251),
    (415_116_720_899, 775_820_115_773, 98_764_321_261),
)
PRIME = 2**31 - 1
# A fingerprint is 1 to 251, 0 marks an empty place. 251 is prime, so that fingerprint and place
# together tell 251 times as many hashes apart as there are places.
NUM_FINGERPRINTS = 251
# A phrase that one text has says nothing about the next.
MIN_TEXTS = 2
# How a text ends says more of its verdict than its middle: the last 100 tokens have weights of
# their own. IMDB, films apart: +0.25 points over none, as good as 60.
TAIL_TOKENS = 100


@dataclass(frozen=True)
class Features:
    """Which text has which feature: one entry for each occurrence.

    Args:
        feature_ids: int64, shape (occurrences,).
        text_ids: int64, shape (occurrences,): number of the text.
        in_tail: bool, shape (occurrences,): it begins in the last `TAIL_TOKENS` of the text.
    """

    feature_ids: NDArray[np.int64]
    text_ids: NDArray[np.int64]
    in_tail: NDArray[np.bool_]


def find_words(token_ids: Sequence[Sequence[int]]) -> Features:
    """Return every known word; its feature id is its token id."""
    flat, text_ids, remaining = _flatten(token_ids)
    known = flat >= FIRST_WORD_ID
    return Features(flat[known], text_ids[known], (remaining <= TAIL_TOKENS)[known])


def find_phrases(token_ids: Sequence[Sequence[int]]) -> Features:
    """Return every pair and triple of known words; the feature id is its hash, under `PRIME`."""
    flat, text_ids, remaining = _flatten(token_ids)
    parts = []
    for multipliers in MULTIPLIERS:
        starts = np.flatnonzero(remaining >= len(multipliers))
        windows = [flat[starts + offset] for offset in range(len(multipliers))]
        known = np.logical_and.reduce([window >= FIRST_WORD_ID for window in windows])
        products = [m * window for m, window in zip(multipliers, windows, strict=True)]
        hashes = np.sum(products, axis=0) % PRIME
        starts = starts[known]
        parts.append((hashes[known], text_ids[starts], remaining[starts] <= TAIL_TOKENS))
    return Features(*map(np.concatenate, zip(*parts, strict=True)))


def look_up(phrases: Features, fingerprints: NDArray[np.int32]) -> Features:
    """Return the phrases that the table holds; the feature id is the place.

    Args:
        fingerprints: int32, shape (num_buckets,), of the phrase in each place, 0 for none.
    """
    buckets, wanted = split_hash(phrases.feature_ids, len(fingerprints))
    return select(phrases, fingerprints[buckets] == wanted, buckets)


def split_hash(
    hashes: NDArray[np.int64], num_buckets: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (place, fingerprint) of each hash; all int64, shape (hashes,)."""
    return hashes % num_buckets, hashes % NUM_FINGERPRINTS + 1


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
    features: Features, chosen: NDArray[np.bool_], feature_ids: NDArray[np.int64]
) -> Features:
    """Return the chosen occurrences by other feature ids.

    Args:
        chosen: bool, shape (occurrences,).
        feature_ids: int64, shape (occurrences,).
    """
    return Features(feature_ids[chosen], features.text_ids[chosen], features.in_tail[chosen])


def join(words: Features, phrases: Features, vocab_size: int) -> Features:
    """Return both; the feature ids of phrases stand behind those of words."""
    return Features(
        np.concatenate([words.feature_ids, phrases.feature_ids + vocab_size]),
        np.concatenate([words.text_ids, phrases.text_ids]),
        np.concatenate([words.in_tail, phrases.in_tail]),
    )


def number_frequent(phrases: Features) -> tuple[Features, NDArray[np.int64]]:
    """Return the phrases of `MIN_TEXTS` texts or more, numbered from 0, and their hashes.

    The hashes are int64, shape (frequent phrases,), in the order of the numbers.
    """
    pairs = np.unique(phrases.text_ids * PRIME + phrases.feature_ids)
    hashes, num_texts = np.unique(pairs % PRIME, return_counts=True)
    hashes = hashes[num_texts >= MIN_TEXTS]
    numbers = np.searchsorted(hashes, phrases.feature_ids)
    numbers = np.minimum(numbers, max(0, len(hashes) - 1))
    frequent = (
        hashes[numbers] == phrases.feature_ids if len(hashes) else np.zeros(len(numbers), np.bool_)
    )
    return select(phrases, frequent, numbers), hashes


def place_phrases(
    hashes: NDArray[np.int64], importance: NDArray[np.floating], num_buckets: int
) -> NDArray[np.int32]:
    """Return the table in which each place goes to the most important phrase.

    Args:
        hashes: int64, shape (phrases,).
        importance: Floats, shape (phrases,).

    Returns:
        int32, shape (num_buckets,): the fingerprint of the phrase in each place, 0 for none.
    """
    order = np.argsort(-importance, kind="stable")
    buckets, fingerprints = split_hash(hashes[order], num_buckets)
    places, first = np.unique(buckets, return_index=True)
    table = np.zeros(num_buckets, np.int32)
    table[places] = fingerprints[first]
    return table


def mark_presence(features: Features, num_texts: int, num_features: int) -> sparse.csr_matrix:
    """Return what each text has, however often.

    float32, shape (num_texts, num_features), 1 where it has the feature.
    """
    cells = np.unique(features.text_ids * num_features + features.feature_ids)
    ones = np.ones(len(cells), np.float32)
    return sparse.csr_matrix(
        (ones, (cells // num_features, cells % num_features)), (num_texts, num_features)
    )


def scale_rows(presence: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return each row over the root of its number of ones: of length 1; the shape stays."""
    counts = np.asarray(presence.sum(axis=1)).ravel()
    scales = sparse.diags_array((1 / np.sqrt(np.maximum(counts, 1))).astype(np.float32))
    return sparse.csr_matrix(scales @ presence)
