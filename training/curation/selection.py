"""Which rows to label next: those of which a model is unsure, and that are unlike each other.

After Zhdanov, "Diverse mini-batch Active Learning" (2019, arXiv 1901.05954): of the rows with the
smallest margins ten times as many as are wanted are clustered by k-means, weighted by how small the
margin is, and of each cluster the row nearest to its centre is taken. Rows are clustered in latent
semantic space (Deerwester et al. 1990), of words by their TF-IDF, where texts on one subject are
near each other though they share no word.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD

from training.linear.weights import weigh_rare

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
NUM_DIMENSIONS = 50
UNSURE_PER_ROW = 10
MAX_ITERATIONS = 30  # the centres hardly move any more, and need not be exact
LEAST_WEIGHT = 1e-6  # of a row that is certain, where others are wanted too


def measure_margins(probabilities: Floats) -> Floats:
    """Return by how much the most probable label leads the next one, float64, shape (rows,)."""
    highest = np.sort(probabilities, axis=1)[:, -2:]
    return np.asarray(highest[:, 1] - highest[:, 0])


def reduce_words(counts: sparse.csr_matrix, seed: int) -> Floats:
    """Return where texts stand in latent semantic space; vectors of length 1, or 0 without words.

    Args:
        counts: Shape (texts, words).

    Returns:
        float64, shape (texts, dimensions).
    """
    num_dimensions = min(NUM_DIMENSIONS, min(counts.shape) - 1)
    if num_dimensions < 1 or not counts.nnz:
        return np.zeros((counts.shape[0], 1))
    weighted = _scale_to_one(counts @ sparse.diags_array(weigh_rare(counts, 1.0)))
    reduction = TruncatedSVD(num_dimensions, random_state=seed)
    with np.errstate(invalid="ignore"):  # the share of a variance that is 0, of equal texts
        found = np.asarray(reduction.fit_transform(weighted), np.float64)
    norms = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.maximum(norms, 1e-9))


def select_unsure(margins: Floats, groups: Ints, places: Floats, count: int, seed: int) -> Ints:
    """Return the rows to label next, the most unsure first; int64, shape (count,) or less.

    Args:
        margins: float64, shape (rows,).
        groups: int64, shape (rows,): of rows that share a group one is taken, the most unsure.
        places: float64, shape (rows, dimensions), as `reduce_words` gives them.
    """
    order = np.argsort(margins, kind="stable")
    _, first = np.unique(groups[order], return_index=True)
    unsure = order[np.sort(first)][: UNSURE_PER_ROW * count]
    if len(unsure) <= count:
        return unsure
    clusters = KMeans(count, n_init=1, max_iter=MAX_ITERATIONS, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer different places than clusters
        distances = clusters.fit_transform(
            places[unsure], sample_weight=1 - margins[unsure] + LEAST_WEIGHT
        )
    own = distances[np.arange(len(unsure)), clusters.labels_]
    nearest = np.lexsort((own, clusters.labels_))
    _, first = np.unique(clusters.labels_[nearest], return_index=True)
    is_taken = np.zeros(len(unsure), np.bool_)
    is_taken[nearest[first]] = True
    # Clusters without a row, of places that are equal: the most unsure of the others.
    is_taken[np.flatnonzero(~is_taken)[: count - is_taken.sum()]] = True
    return unsure[is_taken]


def _scale_to_one(rows: sparse.sparray | sparse.csr_matrix) -> sparse.csr_matrix:
    """Return the rows, each of length 1, or 0 where it has nothing."""
    squares = np.asarray(rows.multiply(rows).sum(axis=1)).ravel()
    return sparse.csr_matrix(sparse.diags_array(1 / np.sqrt(np.maximum(squares, 1e-18))) @ rows)
