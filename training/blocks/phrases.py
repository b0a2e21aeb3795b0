"""The wide half of the default recipe: a linear model over the words and phrases of a text.

NBSVM (Wang & Manning, "Baselines and Bigrams", ACL 2012) with logistic loss: the features are the
words, pairs and triples of words that a text has, whether once or often; naive Bayes' log-count
ratios scale them. What is kept are the phrases with the largest weights, in a table of a fixed
size. A phrase is looked up by a hash of its token ids, and a fingerprint beside its weight tells
whether the place is its own, so that a phrase that was not kept weighs nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

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
# Inverse strength of the L2 penalty, naive Bayes' pseudo-count. From 64 to 32 to 16, accuracy of
# this half by cross-validation: ChnSentiCorp 88.74, 89.03, 89.15; AG News 90.27, 90.40, 90.61; TREC
# 85.17, 85.18, 85.08; IMDB with films apart loses 0.1 points at 16 and a point at 4.
PENALTY_C = 32.0
PSEUDO_COUNT = 1.0
# How a text ends says more of its verdict than its middle: the last 100 tokens have weights of
# their own, of smaller prior scale. IMDB, films apart: +0.25 points over none, as good as 60.
TAIL_TOKENS = 100
TAIL_SCALE = 0.4


@dataclass(frozen=True)
class Wide:
    """A fitted table; row i < vocab_size is word i, a row behind them a phrase.

    Args:
        fingerprints: int32, shape (num_buckets,), of the phrase in each place, 0 for none.
        weights: float32, shape (vocab_size + num_buckets, 2 * columns): of a feature anywhere in
            the text, then of one in its last `TAIL_TOKENS`. One column for two classes.
        bias: float32, shape (columns,).
    """

    fingerprints: NDArray[np.int32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]


@dataclass(frozen=True)
class Features:
    """Which text has which feature: one entry an occurrence, `in_tail` where it is near the end."""

    feature_ids: NDArray[np.int64]
    text_ids: NDArray[np.int64]
    in_tail: NDArray[np.bool_]


def fit_wide(
    token_ids: Sequence[Sequence[int]],
    label_ids: NDArray[np.integer],
    num_classes: int,
    vocab_size: int,
    num_buckets: int,
    seed: int,
) -> Wide:
    """Return the table of the `num_buckets` places that weigh most, fitted to the given texts.

    Fitted twice: over all phrases of two texts or more, to choose, and over what was kept.
    """
    words, phrases = find_words(token_ids), find_phrases(token_ids)
    kept, phrase_numbers = _number_frequent(phrases)
    everything = _join(words, kept, vocab_size)
    num_features = vocab_size + len(phrase_numbers)
    problem = _Problem(everything, len(token_ids), num_features, label_ids, num_classes)
    weights, _ = problem.fit(seed)
    importance = np.abs(weights).max(axis=1) * np.sqrt(problem.num_texts)
    fingerprints = _place(phrase_numbers, importance[vocab_size:], num_buckets)

    found = _join(words, look_up(phrases, fingerprints), vocab_size)
    problem = _Problem(found, len(token_ids), vocab_size + num_buckets, label_ids, num_classes)
    weights, bias = problem.fit(seed)
    return Wide(fingerprints, weights, bias)


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
    """Return the phrases that the table holds; the feature id is the place."""
    buckets, wanted = split_hash(phrases.feature_ids, len(fingerprints))
    return _select(phrases, fingerprints[buckets] == wanted, buckets)


def split_hash(
    hashes: NDArray[np.int64], num_buckets: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (place, fingerprint) of each hash."""
    return hashes % num_buckets, hashes % NUM_FINGERPRINTS + 1


class _Problem:
    """Naive Bayes' scaling and one-against-the-rest logistic regression over presence."""

    def __init__(
        self,
        features: Features,
        num_texts: int,
        num_features: int,
        label_ids: NDArray[np.integer],
        num_classes: int,
    ) -> None:
        tail = _select(features, features.in_tail, features.feature_ids)
        self._parts = [_presence(part, num_texts, num_features) for part in (features, tail)]
        self.num_texts = np.asarray(self._parts[0].sum(axis=0)).ravel()
        classes = range(num_classes) if num_classes > 2 else (1,)
        self._targets = [label_ids == label_id for label_id in classes]

    def fit(self, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weights (num_features, 2 * columns), to be summed over the features present and
        divided by the root of their number, and bias (columns,)."""
        columns = [self._fit_column(target, seed) for target in self._targets]
        weights = np.stack([weights for weights, _ in columns], axis=-1)  # (2, features, columns)
        weights = np.concatenate([weights[0], weights[1]], axis=-1)
        return weights, np.array([bias for _, bias in columns], np.float32)

    def _fit_column(
        self, target: NDArray[np.bool_], seed: int
    ) -> tuple[NDArray[np.float32], float]:
        scales = [
            scale * log_count_ratios(part, target)
            for part, scale in zip(self._parts, (1.0, TAIL_SCALE), strict=True)
        ]
        scaled = [
            _unit_rows(part) @ sparse.diags_array(scale)
            for part, scale in zip(self._parts, scales, strict=True)
        ]
        solver = LogisticRegression(
            C=PENALTY_C, solver="liblinear", dual=True, tol=1e-3, max_iter=300, random_state=seed
        )
        with warnings.catch_warnings():
            # The last passes move the weights by less than the table's int8 keeps.
            warnings.simplefilter("ignore", ConvergenceWarning)
            solver.fit(sparse.csr_matrix(sparse.hstack(scaled)), target)
        weights = solver.coef_[0].reshape(2, -1) * np.stack(scales)
        return weights.astype(np.float32), float(solver.intercept_[0])


def log_count_ratios(presence: sparse.csr_matrix, target: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return log((p / |p|) / (q / |q|)) of Wang & Manning (2012), eq. 2, for each feature."""
    inside = PSEUDO_COUNT + np.asarray(presence[target].sum(axis=0)).ravel()
    outside = PSEUDO_COUNT + np.asarray(presence[~target].sum(axis=0)).ravel()
    ratios = np.log((inside / inside.sum()) / (outside / outside.sum()))
    return np.asarray(ratios, np.float32)


def _flatten(
    token_ids: Sequence[Sequence[int]],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return all tokens in one row, the text of each, and how many tokens it has left with it."""
    lengths = np.array([len(ids) for ids in token_ids])
    flat = np.fromiter((id_ for ids in token_ids for id_ in ids), np.int64, lengths.sum())
    text_ids = np.repeat(np.arange(len(lengths)), lengths)
    return flat, text_ids, np.cumsum(lengths)[text_ids] - np.arange(len(flat))


def _select(
    features: Features, rows: NDArray[np.bool_], feature_ids: NDArray[np.int64]
) -> Features:
    return Features(feature_ids[rows], features.text_ids[rows], features.in_tail[rows])


def _join(words: Features, phrases: Features, vocab_size: int) -> Features:
    return Features(
        np.concatenate([words.feature_ids, phrases.feature_ids + vocab_size]),
        np.concatenate([words.text_ids, phrases.text_ids]),
        np.concatenate([words.in_tail, phrases.in_tail]),
    )


def _number_frequent(phrases: Features) -> tuple[Features, NDArray[np.int64]]:
    """Return the phrases of `MIN_TEXTS` texts or more, numbered from 0, and their hashes."""
    pairs = np.unique(phrases.text_ids * PRIME + phrases.feature_ids)
    hashes, num_texts = np.unique(pairs % PRIME, return_counts=True)
    hashes = hashes[num_texts >= MIN_TEXTS]
    numbers = np.searchsorted(hashes, phrases.feature_ids)
    numbers = np.minimum(numbers, max(0, len(hashes) - 1))
    frequent = (
        hashes[numbers] == phrases.feature_ids if len(hashes) else np.zeros(len(numbers), np.bool_)
    )
    return _select(phrases, frequent, numbers), hashes


def _place(
    hashes: NDArray[np.int64], importance: NDArray[np.floating], num_buckets: int
) -> NDArray[np.int32]:
    """Return the fingerprints of the table in which each place goes to the most important."""
    order = np.argsort(-importance, kind="stable")
    buckets, fingerprints = split_hash(hashes[order], num_buckets)
    places, first = np.unique(buckets, return_index=True)
    table = np.zeros(num_buckets, np.int32)
    table[places] = fingerprints[first]
    return table


def _presence(features: Features, num_texts: int, num_features: int) -> sparse.csr_matrix:
    """Return shape (num_texts, num_features), 1 where a text has a feature, however often."""
    cells = np.unique(features.text_ids * num_features + features.feature_ids)
    ones = np.ones(len(cells), np.float32)
    return sparse.csr_matrix(
        (ones, (cells // num_features, cells % num_features)), (num_texts, num_features)
    )


def _unit_rows(presence: sparse.csr_matrix) -> sparse.csr_matrix:
    counts = np.asarray(presence.sum(axis=1)).ravel()
    scales = sparse.diags_array((1 / np.sqrt(np.maximum(counts, 1))).astype(np.float32))
    return sparse.csr_matrix(scales @ presence)
