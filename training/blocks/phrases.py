"""Phrases: a linear model over the words, pairs and triples of words of a text.

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
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from training.blocks.ngrams import (
    FIRST_WORD_ID,
    MIN_TEXTS,
    MULTIPLIERS,
    NUM_FINGERPRINTS,
    PRIME,
    TAIL_TOKENS,
    Features,
    find_phrases,
    find_words,
    join,
    look_up,
    mark_presence,
    number_frequent,
    place_phrases,
    scale_rows,
    select,
)

# Names of the layers that hold the table.
FINGERPRINTS = "wide_fingerprints"
WEIGHTS = "wide_weights"
# Inverse strength of the L2 penalty, naive Bayes' pseudo-count. From 64 to 32 to 16, accuracy of
# this half by cross-validation: ChnSentiCorp 88.74, 89.03, 89.15; AG News 90.27, 90.40, 90.61; TREC
# 85.17, 85.18, 85.08; IMDB with films apart loses 0.1 points at 16 and a point at 4.
PENALTY_C = 32.0
PSEUDO_COUNT = 1.0
TAIL_SCALE = 0.4  # prior scale of the weights of a text's last tokens
TOLERANCE = 1e-3  # liblinear's, and its passes at most
MAX_PASSES = 300
CONSTANTS = {
    "longest_phrase": 1 + len(MULTIPLIERS),
    "phrase_min_texts": MIN_TEXTS,
    "phrase_penalty_c": PENALTY_C,
    "phrase_pseudo_count": PSEUDO_COUNT,
    "phrase_tail_tokens": TAIL_TOKENS,
    "phrase_tail_scale": TAIL_SCALE,
    "phrase_tolerance": TOLERANCE,
    "phrase_max_passes": MAX_PASSES,
}


@dataclass(frozen=True)
class Phrases:
    """A fitted table; row i < vocab_size is word i, a row behind them a phrase.

    Args:
        fingerprints: int32, shape (num_buckets,), of the phrase in each place, 0 for none.
        weights: float32, shape (vocab_size + num_buckets, 2 * num_logits): of a feature anywhere in
            the text, then of one in its last `TAIL_TOKENS`.
        bias: float32, shape (num_logits,).
    """

    fingerprints: NDArray[np.int32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]


def count_buckets(num_logits: int, table_bytes: int) -> int:
    """Return how many phrases fit into a table of `table_bytes`, once it is int8."""
    buckets = max(1, table_bytes // _phrase_bytes(num_logits))
    return buckets - 1 if buckets % NUM_FINGERPRINTS == 0 else buckets


def count_bytes(num_buckets: int, num_logits: int) -> int:
    """Return how many bytes a table of `num_buckets` phrases has, once it is int8."""
    return num_buckets * _phrase_bytes(num_logits)


def _phrase_bytes(num_logits: int) -> int:
    return 1 + 2 * num_logits  # a fingerprint, and two weights for each logit


def phrase_logits(
    token_ids: keras.KerasTensor, vocab_size: int, num_buckets: int, num_logits: int
) -> keras.KerasTensor:
    """Return shape (batch, num_logits): what the table says of each text, without its bias.

    Every feature is a row of one table. Sorting the rows of a text brings equal ones together, and
    of those only the first counts; of equal rows the one nearest to the end is sorted first.

    Args:
        token_ids: int32, shape (batch, length), padded on the right with 0.
    """
    is_token = ops.cast(token_ids > 0, "int64")
    remaining = ops.sum(is_token, axis=1, keepdims=True) - ops.cumsum(is_token, axis=1) + 1
    after_tail = ops.cast(remaining > TAIL_TOKENS, "int64")
    words = ops.pad(ops.cast(token_ids, "int64"), ((0, 0), (0, 2)))
    windows = [words[:, :-2], words[:, 1:-1], words[:, 2:]]
    is_known = [window >= FIRST_WORD_ID for window in windows]
    fingerprints = layers.Embedding(num_buckets, 1, name=FINGERPRINTS, trainable=False)
    rows = [ops.where(is_known[0], windows[0], 0)]
    for multipliers in MULTIPLIERS:
        products = [m * window for m, window in zip(multipliers, windows, strict=False)]
        hashed = sum(products[1:], products[0]) % PRIME
        bucket = hashed % num_buckets
        found = ops.squeeze(fingerprints(bucket), -1)
        is_kept = ops.equal(found, ops.cast(hashed % NUM_FINGERPRINTS + 1, "float32"))
        for known, _ in zip(is_known, multipliers, strict=False):
            is_kept = ops.logical_and(is_kept, known)
        rows.append(ops.where(is_kept, bucket + vocab_size, 0))
    keys = ops.concatenate([2 * row + after_tail for row in rows], axis=1)
    keys = ops.sort(keys, axis=1)  # (batch, features)
    row = ops.floor_divide(keys, 2)
    before = ops.pad(row[:, :-1], ((0, 0), (1, 0)))  # row 0 is no feature
    is_first = ops.cast(ops.not_equal(row, before), "float32")
    is_tail = is_first * ops.cast(ops.equal(keys, 2 * row), "float32")
    size = vocab_size + num_buckets
    weights = layers.Embedding(size, 2 * num_logits, name=WEIGHTS, trainable=False)(row)
    anywhere, in_tail = weights[:, :, :num_logits], weights[:, :, num_logits:]
    return _mean_root(anywhere, is_first) + _mean_root(in_tail, is_tail)


def _mean_root(weights: Any, is_present: Any) -> Any:
    """Return the sum of the weights of what is present, over the root of its number."""
    present = ops.expand_dims(is_present, 1)  # (batch, 1, features)
    total = ops.squeeze(ops.matmul(present, weights), 1)
    count = ops.sum(is_present, axis=1, keepdims=True)
    return total / ops.sqrt(ops.maximum(count, 1.0))


def set_phrases(model: keras.Model, phrases: Phrases) -> None:
    """Put the table into the layers that `phrase_logits` made."""
    model.get_layer(FINGERPRINTS).set_weights([phrases.fingerprints[:, None]])
    model.get_layer(WEIGHTS).set_weights([phrases.weights])


def fit_phrases(
    token_ids: Sequence[Sequence[int]],
    targets: NDArray[np.bool_],
    vocab_size: int,
    num_buckets: int,
    seed: int,
) -> Phrases:
    """Return the table of the `num_buckets` places that weigh most, fitted to the given texts.

    Fitted twice: over all phrases of two texts or more, to choose, and over what was kept.

    Args:
        token_ids: Of each text, without padding.
        targets: bool, shape (texts, num_logits): on which side of each logit a text is.
    """
    words, phrases = find_words(token_ids), find_phrases(token_ids)
    kept, phrase_numbers = number_frequent(phrases)
    everything = join(words, kept, vocab_size)
    problem = _Problem(everything, vocab_size + len(phrase_numbers), targets)
    weights, _ = problem.fit(seed)
    importance = np.abs(weights).max(axis=1) * np.sqrt(problem.num_texts)
    fingerprints = place_phrases(phrase_numbers, importance[vocab_size:], num_buckets)

    found = join(words, look_up(phrases, fingerprints), vocab_size)
    weights, bias = _Problem(found, vocab_size + num_buckets, targets).fit(seed)
    return Phrases(fingerprints, weights, bias)


class _Problem:
    """Naive Bayes' scaling and one-against-the-rest logistic regression over presence."""

    def __init__(self, features: Features, num_features: int, targets: NDArray[np.bool_]) -> None:
        tail = select(features, features.in_tail, features.feature_ids)
        self._parts = [mark_presence(part, len(targets), num_features) for part in (features, tail)]
        self.num_texts = np.asarray(self._parts[0].sum(axis=0)).ravel()  # that have the feature
        self._targets = targets

    def fit(self, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weights (num_features, 2 * num_logits), to be summed over the features present and
        divided by the root of their number, and bias (num_logits,)."""
        columns = [self._fit_column(target, seed) for target in self._targets.T]
        weights = np.stack(
            [weights for weights, _ in columns], axis=-1
        )  # (2, features, num_logits)
        weights = np.concatenate([weights[0], weights[1]], axis=-1)
        return weights, np.array([bias for _, bias in columns], np.float32)

    def _fit_column(
        self, target: NDArray[np.bool_], seed: int
    ) -> tuple[NDArray[np.float32], float]:
        num_inside = int(target.sum())
        if num_inside in (0, len(target)):  # one side only: nothing to tell apart
            inside, outside = PSEUDO_COUNT + num_inside, PSEUDO_COUNT + len(target) - num_inside
            no_weights = np.zeros((2, len(self.num_texts)), np.float32)
            return no_weights, float(np.log(inside / outside))
        scales = [
            scale * log_count_ratios(part, target)
            for part, scale in zip(self._parts, (1.0, TAIL_SCALE), strict=True)
        ]
        scaled = [
            scale_rows(part) @ sparse.diags_array(scale)
            for part, scale in zip(self._parts, scales, strict=True)
        ]
        solver = LogisticRegression(
            C=PENALTY_C,
            solver="liblinear",
            dual=True,
            tol=TOLERANCE,
            max_iter=MAX_PASSES,
            random_state=seed,
        )
        with warnings.catch_warnings():
            # The last passes move the weights by less than the table's int8 keeps.
            warnings.simplefilter("ignore", ConvergenceWarning)
            solver.fit(sparse.csr_matrix(sparse.hstack(scaled)), target)
        weights = solver.coef_[0].reshape(2, -1) * np.stack(scales)
        return weights.astype(np.float32), float(solver.intercept_[0])


def log_count_ratios(presence: sparse.csr_matrix, target: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return log((p / |p|) / (q / |q|)) of Wang & Manning (2012), eq. 2, for each feature.

    Args:
        presence: Shape (texts, features), 1 where a text has a feature.
        target: bool, shape (texts,).

    Returns:
        float32, shape (features,).
    """
    inside = PSEUDO_COUNT + np.asarray(presence[target].sum(axis=0)).ravel()
    outside = PSEUDO_COUNT + np.asarray(presence[~target].sum(axis=0)).ravel()
    ratios = np.log((inside / inside.sum()) / (outside / outside.sum()))
    return np.asarray(ratios, np.float32)
