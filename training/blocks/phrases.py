"""Phrases: a linear model over the words, pairs and triples of words of a text.

After NBSVM (Wang & Manning, "Baselines and Bigrams", ACL 2012), with logistic loss: the features
are the words that a text has, whether once or often, and its pairs and triples of words, each time
it has them; naive Bayes' log-count ratios scale them. Whatever counts once must be sorted at every
answer. Accuracy and log loss of this half for 1,250 development rows of IMDB where all count once
91.60 and 0.2028, words alone 91.84 and 0.2063, none 91.36 and 0.2109.

What is kept are the phrases with the largest weights, in a table of a fixed size. A phrase is
looked up by a hash of its token ids, and a fingerprint beside its weight tells whether the place is
its own, so that a phrase that was not kept weighs nothing.
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
    LONGEST,
    MIN_TEXTS,
    MULTIPLIERS,
    NO_WORD,
    NUM_FINGERPRINTS,
    SUM_LIMIT,
    TAIL_TOKENS,
    Features,
    count_features,
    find_phrases,
    find_words,
    join,
    look_up,
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
WEIGHT_STEPS = 127  # of int8
TOLERANCE = 1e-3  # liblinear's, and its passes at most
MAX_PASSES = 300
CONSTANTS = {
    "longest_phrase": LONGEST,
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
        fingerprints: uint8, shape (num_buckets,), of the phrase in each place, 0 for none.
        weights: float32, shape (vocab_size + num_buckets, 2 * num_logits): of a feature anywhere in
            the text, then of one in its last `TAIL_TOKENS`. Of a fitted table each column is whole
            numbers up to `WEIGHT_STEPS` times one step, as it stands in an int8 graph. Those of
            padding and the unknown word are 0.
        bias: float32, shape (num_logits,).
    """

    fingerprints: NDArray[np.uint8]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]


def count_buckets(num_logits: int, table_bytes: int) -> int:
    """Return how many phrases fit into a table of `table_bytes`, once it is int8."""
    return max(1, table_bytes // _phrase_bytes(num_logits))


def count_bytes(num_buckets: int, num_logits: int) -> int:
    """Return how many bytes a table of `num_buckets` phrases has, once it is int8."""
    return num_buckets * _phrase_bytes(num_logits)


def _phrase_bytes(num_logits: int) -> int:
    return 1 + 2 * num_logits  # a fingerprint, and two weights for each logit


def phrase_logits(
    token_ids: keras.KerasTensor, vocab_size: int, num_buckets: int, num_logits: int
) -> keras.KerasTensor:
    """Return shape (batch, num_logits): what the table says of each text, without its bias.

    The weights of all that a text has are summed and divided by the root of its tokens, a word's
    once; so are those of what begins in its tail.

    Args:
        token_ids: int32, shape (batch, length), padded on the right with 0.
    """
    padded = ops.pad(token_ids, ((0, 0), (0, TAIL_TOKENS)))  # longer than a phrase
    size = vocab_size + num_buckets
    table = layers.Embedding(size, 2 * num_logits, name=WEIGHTS, trainable=False)
    words, is_word = _find_words(token_ids, padded)
    masks = _find_texts_and_tails(padded)
    phrases = ops.sum(table(_find_rows(padded, vocab_size, num_buckets)), axis=2)
    # (batch, 2, 2 * num_logits)
    sums = ops.matmul(is_word, table(words)) + ops.matmul(masks, phrases)
    means = sums / ops.sqrt(ops.maximum(ops.sum(masks, axis=2, keepdims=True), 1.0))
    # Of each mask by each kind of weight: the first by the first and the last by the last.
    return ops.sum(ops.reshape(means, (-1, 4, num_logits))[:, ::3], axis=1)


def _find_words(token_ids: Any, padded: Any) -> tuple[Any, Any]:
    """Return the words of each text, sorted, and 1 where one is the first, and where that is one of
    the text's last tokens too: (batch, length), (batch, 2, length).

    Of equal words the one nearest to the end is sorted first.
    """
    keys = 2 * token_ids + ops.cast(padded[:, TAIL_TOKENS:] > 0, "int32")
    keys = ops.sort(keys, axis=1)
    words = ops.floor_divide(keys, 2)
    before = ops.pad(words[:, :-1], ((0, 0), (1, 0)))  # padding is no word
    is_first = ops.cast(ops.not_equal(words, before), "float32")
    is_tail = is_first * ops.cast(ops.equal(keys, 2 * words), "float32")
    return words, ops.stack([is_first, is_tail], axis=1)


def _find_texts_and_tails(padded: Any) -> Any:
    """Return 1 where there is a token, and 1 where it is one of the last; (batch, 2, length)."""
    is_token = ops.cast(ops.expand_dims(padded, 1) > 0, "float32")
    text = is_token[:, :, :-TAIL_TOKENS]
    return ops.concatenate([text, text - is_token[:, :, TAIL_TOKENS:]], axis=1)


def _find_rows(padded: Any, vocab_size: int, num_buckets: int) -> Any:
    """Return the row of the pair and of the triple at each token; (batch, length, 2).

    Row 0 where the table does not have it. A sum with padding or the unknown word in it is over the
    limit, of which the remainder is 0; a fingerprint of 0 is found in empty places alone.
    """
    words = ops.cast(ops.expand_dims(padded, -1), "int64")
    products = ops.where(words < FIRST_WORD_ID, NO_WORD, words) * MULTIPLIERS.ravel()
    num_phrases = MULTIPLIERS.shape[1]
    parts = [
        products[:, start : start - TAIL_TOKENS, num_phrases * start : num_phrases * (start + 1)]
        for start in range(LONGEST)
    ]
    sums = sum(parts[1:], parts[0])
    divisor = num_buckets * NUM_FINGERPRINTS
    remainders = ops.minimum(sums, SUM_LIMIT // divisor * divisor) % divisor
    places = ops.floor_divide(remainders, NUM_FINGERPRINTS)
    fingerprints = layers.Embedding(
        num_buckets, 1, "zeros", name=FINGERPRINTS, dtype="uint8", trainable=False
    )
    found = ops.squeeze(fingerprints(places), -1)
    is_kept = ops.equal(found, ops.cast(remainders, "uint8"))
    return ops.where(is_kept, places + vocab_size, 0)


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
    lengths = np.array([len(ids) for ids in token_ids])
    words, phrases = find_words(token_ids), find_phrases(token_ids)
    kept, phrase_numbers = number_frequent(phrases)
    everything = join(words, kept, vocab_size)
    problem = _Problem(everything, vocab_size + len(phrase_numbers), vocab_size, lengths, targets)
    weights, _ = problem.fit(seed)
    importance = np.abs(weights).max(axis=1) * np.sqrt(problem.counts)
    fingerprints = place_phrases(phrase_numbers, importance[vocab_size:], num_buckets)

    found = join(words, look_up(phrases, fingerprints), vocab_size)
    weights, bias = _Problem(found, vocab_size + num_buckets, vocab_size, lengths, targets).fit(
        seed
    )
    return Phrases(fingerprints, round_weights(weights), bias)


def round_weights(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each column as whole numbers times a step, which an int8 graph holds as they are.

    So its sums are Keras'. Both float32, shape (features, columns).
    """
    largest = np.abs(weights).max(axis=0)
    steps = np.where(largest > 0, largest / WEIGHT_STEPS, 1).astype(np.float32)
    return np.asarray(np.rint(weights / steps) * steps, np.float32)


class _Problem:
    """Naive Bayes' scaling and one-against-the-rest logistic regression over occurrences."""

    def __init__(
        self,
        features: Features,
        num_features: int,
        num_words: int,
        lengths: NDArray[np.int64],
        targets: NDArray[np.bool_],
    ) -> None:
        tail = select(features, features.in_tail, features.feature_ids)
        self._parts = [
            count_features(part, len(targets), num_features, num_words) for part in (features, tail)
        ]
        self._lengths = lengths, np.minimum(lengths, TAIL_TOKENS)
        self.counts = np.asarray(self._parts[0].sum(axis=0)).ravel()  # of each feature, in all
        self._targets = targets

    def fit(self, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weights (num_features, 2 * num_logits), to be summed over all occurrences and
        divided by the root of the length, and bias (num_logits,)."""
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
            no_weights = np.zeros((2, len(self.counts)), np.float32)
            return no_weights, float(np.log(inside / outside))
        scales = [
            scale * log_count_ratios(part, target)
            for part, scale in zip(self._parts, (1.0, TAIL_SCALE), strict=True)
        ]
        scaled = [
            scale_rows(part, lengths) @ sparse.diags_array(scale)
            for part, lengths, scale in zip(self._parts, self._lengths, scales, strict=True)
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


def log_count_ratios(counts: sparse.csr_matrix, target: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return log((p / |p|) / (q / |q|)) of Wang & Manning (2012), eq. 2, for each feature.

    Args:
        counts: Shape (texts, features), how often a text has a feature.
        target: bool, shape (texts,).

    Returns:
        float32, shape (features,).
    """
    inside = PSEUDO_COUNT + np.asarray(counts[target].sum(axis=0)).ravel()
    outside = PSEUDO_COUNT + np.asarray(counts[~target].sum(axis=0)).ravel()
    ratios = np.log((inside / inside.sum()) / (outside / outside.sum()))
    return np.asarray(ratios, np.float32)
