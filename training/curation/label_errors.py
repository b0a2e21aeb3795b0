"""Which labels are likely wrong, by confident learning.

After Northcutt, Jiang & Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels"
(Journal of Artificial Intelligence Research 70, 2021, arXiv 1911.00068). A label is told with
confidence of a row where its probability, out of fold, is at least the mean of that label's
probability over the rows that have it. Rows counted by the given label and the one that is told
are the confident joint. Scaled to all rows of each given label it says how many rows have another
label's text, and which these are is chosen in two ways, both of which a suspect must pass ("C+NR",
section 3.2): by class, the rows of a label that are least like it, and by noise rate, for each
other label the rows with the largest margin of it over the given one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class LabelErrors:
    """What is suspected.

    Args:
        rows: int64, shape (suspects,): rows from 0, the most suspect first.
        suggested: int64, shape (rows of the file,): of every row the most probable other label.
    """

    rows: Ints
    suggested: Ints


def find_label_errors(probabilities: Floats, given: Ints) -> LabelErrors:
    """Return the rows whose label is likely wrong, ranked by the probability of their label.

    Args:
        probabilities: float64, shape (rows, labels), of rows out of their folds.
        given: int64, shape (rows,): the label of each, 0 to labels - 1.
    """
    everywhere = np.arange(len(given))
    own = probabilities[everywhere, given]
    others = probabilities.copy()
    others[everywhere, given] = -1.0
    joint = count_confident(probabilities, given)
    suspected = _prune_by_class(joint, own, given) & _prune_by_noise_rate(
        joint, probabilities, own, given
    )
    rows = np.flatnonzero(suspected)
    order = np.lexsort((rows, -others[rows].max(axis=1), own[rows]))
    return LabelErrors(rows[order], others.argmax(axis=1))


def count_confident(probabilities: Floats, given: Ints) -> Floats:
    """Return the confident joint, scaled to the rows of each given label (equations 1 to 3).

    float64, shape (labels, labels): given label, label that is told. Of a label that is told of no
    row with confidence all rows are taken for right.
    """
    num_labels = probabilities.shape[1]
    counts = np.bincount(given, minlength=num_labels)
    sums = np.zeros(num_labels)
    np.add.at(sums, given, probabilities[np.arange(len(given)), given])
    # A label that no row has is never told: nothing says when it would be with confidence.
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    told, is_told = confident.argmax(axis=1), confident.max(axis=1) >= 0
    joint = np.zeros((num_labels, num_labels))
    np.add.at(joint, (given[is_told], told[is_told]), 1.0)
    untold = np.flatnonzero(joint.sum(axis=1) == 0)
    joint[untold, untold] = 1.0
    return np.asarray(joint / joint.sum(axis=1, keepdims=True) * counts[:, None])


def _prune_by_class(joint: Floats, own: Floats, given: Ints) -> NDArray[np.bool_]:
    """Return which rows are the least like their label, as many of each as the joint counts."""
    found = np.zeros(len(given), np.bool_)
    for label, rows in _each_label(given):
        num_wrong = round(joint[label].sum() - joint[label, label])
        found[rows[np.argsort(own[rows], kind="stable")[:num_wrong]]] = True
    return found


def _prune_by_noise_rate(
    joint: Floats, probabilities: Floats, own: Floats, given: Ints
) -> NDArray[np.bool_]:
    """Return which rows lead the others of their label by another's margin, as many of each pair
    of labels as the joint counts."""
    found = np.zeros(len(given), np.bool_)
    for label, rows in _each_label(given):
        for other in np.flatnonzero(np.round(joint[label]) > 0):
            if other != label:
                margins = probabilities[rows, other] - own[rows]
                order = np.argsort(-margins, kind="stable")[: round(joint[label, other])]
                found[rows[order]] = True
    return found


def _each_label(given: Ints) -> list[tuple[int, Ints]]:
    return [(int(label), np.flatnonzero(given == label)) for label in np.unique(given)]
