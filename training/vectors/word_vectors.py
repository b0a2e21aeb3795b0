"""First word vectors from the training texts themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training.tokenizer import PAD_ID

WINDOW = 5
WEIGHT = 1e-3  # a, as Arora et al. have it
BLOCK_TOKENS = 2_000_000  # that pairs are counted of at a time
# Levy, Goldberg & Dagan, "Improving Distributional Similarity" (TACL 2015): context distribution
# smoothing, and the square root of the singular values.
SMOOTHING = 0.75
# By which the linear half weighs words that texts without labels tell of. On 100 rows of five sets
# 50, 75, 100 and 200 differ by less than the draws.
DIMENSIONS = 75
CONSTANTS = {
    "word_vector_window": WINDOW,
    "word_vector_smoothing": SMOOTHING,
    "word_vector_dimensions": DIMENSIONS,
}


def learn_word_vectors(
    token_ids: Iterable[Sequence[int]], vocab_size: int, dim: int, seed: int
) -> NDArray[np.float32]:
    """Return float32, shape (vocab_size, dim): words that stand near the same words are alike.

    A truncated singular value decomposition of the positive pointwise mutual information of words
    at most `WINDOW` apart: the first columns are those of fewer dimensions. The standard deviation
    is 1 over all values; padding is zero.

    Args:
        token_ids: Of each text, without padding; read once.
    """
    from sklearn.utils.extmath import randomized_svd  # a second, which checking data needs not

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


def weigh_vectors(vectors: NDArray[np.float32], shares: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the vectors so that the sum over a text's words tells what it is about.

    Centred, and held back where a word is frequent (Arora, Liang & Ma, "A Simple but Tough-to-Beat
    Baseline for Sentence Embeddings", ICLR 2017); the mean norm is about 1.

    Args:
        vectors: Shape (words, dimensions).
        shares: float64, shape (words,), of all tokens of texts.
    """
    weights = (WEIGHT / (WEIGHT + shares)).astype(np.float32)
    centred = (vectors - vectors.mean(axis=0)) * weights[:, np.newaxis]
    return np.asarray(centred / max(float(np.linalg.norm(centred, axis=1).mean()), 1e-9))


def _count_pairs(token_ids: Iterable[Sequence[int]], vocab_size: int) -> sparse.csr_matrix:
    """Return how often two words stand at most `WINDOW` apart in a text, shape (vocab, vocab)."""
    shape = (vocab_size, vocab_size)
    counts = sparse.csr_matrix(shape, dtype=np.float32)
    for flat in _join_texts(token_ids):
        pairs = [np.stack([flat[:-gap], flat[gap:]]) for gap in range(1, WINDOW + 1)]
        left, right = np.concatenate(pairs, axis=1)
        words = (left != PAD_ID) & (right != PAD_ID)
        ones = np.ones(int(words.sum()), np.float32)
        counts = counts + sparse.csr_matrix((ones, (left[words], right[words])), shape)
    return counts + counts.T


def _join_texts(token_ids: Iterable[Sequence[int]]) -> Iterator[NDArray[np.int64]]:
    """Yield the ids of texts one behind the other, with a gap that no pair reaches over."""
    gap = [PAD_ID] * WINDOW
    block: list[int] = []
    for ids in token_ids:
        block += ids
        block += gap
        if len(block) >= BLOCK_TOKENS:
            yield np.array(block, np.int64)
            block = []
    yield np.array(block, np.int64)
