"""Fewer dimensions for word vectors: principal components as texts weigh words.

A text is read as the mean of its words' vectors with weights a / (a + p(word)), which hold back
what every text has (Arora, Liang & Ma, "A Simple but Tough-to-Beat Baseline for Sentence
Embeddings", ICLR 2017). Kept are the directions in which such means differ, so words count as often
as they stand in texts, times the square of that weight. The leading direction of most vectors only
tells how frequent a word is, and is left out (Mu & Viswanath, "All-but-the-Top", ICLR 2018).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.vectors.word_vectors import WEIGHT

# Of GloVe's first direction (100 dimensions) the correlation with the logarithm of frequency is
# 0.95, of the second 0.16. docs/reading.md has what leaving out the first is worth; leaving out two
# costs AG News 1 and TREC 3 points.
MAX_CORRELATION = 0.5
MIN_SCALE = 1e-12  # vectors that are all the same stay zero


def reduce_vectors(
    vectors: NDArray[np.float32], dim: int, counts: NDArray[np.float64] | None = None
) -> NDArray[np.float32]:
    """Return the vectors in `dim` dimensions, the most telling first, shape (words, dim).

    Centred, and scaled to a standard deviation of 1 over all values, as those of
    `learn_word_vectors`; the same vectors give the same values.

    Args:
        vectors: Shape (words, dimensions), finite.
        dim: 1 to the dimensions that `vectors` has.
        counts: How often each word stands in texts, 0 or more, on any scale; None: by Zipf's law
            1 / rank, as files have their words in the order of frequency.

    Raises:
        ValueError: `dim` is out of range, or no word has a count.
    """
    num_words, num_dims = vectors.shape
    if not 1 <= dim <= num_dims:
        raise ValueError(f"dim is {dim}, wanted 1 to {num_dims}, which the vectors have")
    if counts is None:
        counts = 1 / np.arange(1, num_words + 1)
    total = counts.sum()
    if not total > 0:
        raise ValueError(f"counts of {num_words} words have the sum {total}, wanted more than 0")
    shares = counts / total
    weights = shares * (WEIGHT / (WEIGHT + shares)) ** 2
    weights /= weights.sum()
    centred = vectors - weights @ vectors.astype(np.float64)  # (words, dimensions)
    _, directions = np.linalg.eigh((centred * weights[:, np.newaxis]).T @ centred)
    turned: NDArray[np.float64] = centred @ _fix_signs(directions[:, ::-1])
    frequencies = np.log(np.maximum(shares, np.finfo(np.float64).tiny))
    tells = np.abs(_correlate(turned, frequencies, weights)) > MAX_CORRELATION
    # What tells the frequency comes last: it is there only if all dimensions are asked for.
    reduced: NDArray[np.float64] = turned[:, np.argsort(tells, kind="stable")[:dim]]
    reduced /= max(float(reduced.std()), MIN_SCALE)
    return reduced.astype(np.float32)


def _fix_signs(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the columns with the largest value positive; eigenvectors have any sign."""
    largest = np.abs(directions).argmax(axis=0)
    signs: NDArray[np.float64] = np.sign(directions[largest, np.arange(directions.shape[1])])
    return directions * signs


def _correlate(
    columns: NDArray[np.float64], values: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the weighted correlation of each column with `values`; 0 where either is constant.

    The columns' weighted mean is 0.
    """
    values = values - weights @ values
    spread = np.sqrt((weights @ columns**2) * (weights @ values**2))
    covariance = (weights * values) @ columns
    return np.divide(covariance, spread, out=np.zeros_like(spread), where=spread > 0)
