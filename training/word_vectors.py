"""First word vectors from the training texts themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from training.tokenizer import PAD_ID

WINDOW = 5
# Levy, Goldberg & Dagan, "Improving Distributional Similarity" (TACL 2015): context distribution
# smoothing, and the square root of the singular values.
SMOOTHING = 0.75
CONSTANTS = {"word_vector_window": WINDOW, "word_vector_smoothing": SMOOTHING}


def learn_word_vectors(
    token_ids: Sequence[Sequence[int]], vocab_size: int, dim: int, seed: int
) -> NDArray[np.float32]:
    """Return float32, shape (vocab_size, dim): words that stand near the same words are alike.

    A truncated singular value decomposition of the positive pointwise mutual information of words
    at most `WINDOW` apart. The standard deviation is 1 over all values; padding is zero.
    """
    counts = _count_pairs(token_ids, vocab_size).tocoo()
    totals = np.asarray(counts.sum(axis=1)).ravel() + 1e-9
    contexts = totals**SMOOTHING
    contexts *= counts.data.sum() / contexts.sum()
    information = np.log(
        counts.data * counts.data.sum() / (totals[counts.row] * contexts[counts.col])
    )
    positive = information > 0
    matrix = sparse.csr_matrix(
        (
            information[positive].astype(np.float32),
            (counts.row[positive], counts.col[positive]),
        ),
        (vocab_size, vocab_size),
    )
    rank = min(dim, vocab_size - 1)
    left, singular, _ = randomized_svd(matrix, rank, n_iter=2, random_state=seed)
    vectors = np.zeros((vocab_size, dim), np.float32)
    vectors[:, :rank] = left * np.sqrt(singular)
    vectors[PAD_ID] = 0
    return vectors / max(float(vectors.std()), 1e-6)


def _count_pairs(token_ids: Sequence[Sequence[int]], vocab_size: int) -> sparse.csr_matrix:
    """Return how often two words stand at most `WINDOW` apart in a text, shape (vocab, vocab)."""
    gap = [PAD_ID] * WINDOW  # no pair reaches over the end of a text
    flat = np.fromiter((id_ for ids in token_ids for id_ in (*ids, *gap)), np.int64)
    counts = sparse.csr_matrix((vocab_size, vocab_size), dtype=np.float32)
    for distance in range(1, WINDOW + 1):
        left, right = flat[:-distance], flat[distance:]
        words = (left != PAD_ID) & (right != PAD_ID)
        ones = np.ones(int(words.sum()), np.float32)
        shape = (vocab_size, vocab_size)
        counts = counts + sparse.csr_matrix((ones, (left[words], right[words])), shape)
    return counts + counts.T
