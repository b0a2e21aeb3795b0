"""Ordered labels by numbers: what is above each label, the losses of it, and the shares that make
probabilities of labels of it.

Thresholds that have weights of their own are each calibrated, and yet their differences are not:
where two nearly meet, the label between them gets nothing. So each label hands shares of its
probability to the others, as often as the truth was there: the matrix whose likelihood is greatest,
by expectation maximization (Dempster, Laird & Rubin 1977; the mixture's components are given, so
there is one maximum). A matrix only blurs; so the thresholds are sharpened first, as far as the
ranked log loss of the same rows falls.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from training.tasks import EPSILON, Floats

# Tried on ratings of films, half of the rows to fit and half to judge: 1.2 to 1.7 do the same.
SHARPER = (1.0, 1.2, 1.4, 1.7, 2.0)
# Rows that say beforehand that each label keeps its own, and that it goes to any: 60 rows then lose
# nothing, and 2,500 gain what they gain without.
KEPT, ANY = 5.0, 0.5
STEPS = 200


class Shares(NamedTuple):
    """What the head does.

    Args:
        sharpness: What logits are multiplied by.
        matrix: Shape (labels, labels): how much of each label's probability goes to each; rows sum
            to 1.
    """

    sharpness: float
    matrix: Floats


def part(above: Floats) -> Floats:
    """Return the probability of each label by the probabilities of being above each but the last:
    (rows, thresholds) -> (rows, thresholds + 1)."""
    whole = np.pad(above, ((0, 0), (1, 0)), constant_values=1.0)
    return np.asarray(whole - np.pad(above, ((0, 0), (0, 1))))


def part_logits(logits: Floats) -> Floats:
    """Return the probability of each label; what is above a threshold is above all lower ones."""
    above = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
    return part(np.minimum.accumulate(above, axis=1))


def fit_shares(logits: Floats, targets: Floats, weights: Floats | None = None) -> Shares:
    """Return the shares and the sharpness by which the ranked log loss of some rows is least.

    Args:
        logits: Floats, shape (rows, thresholds), of rows that the model was not fitted to.
        targets: Shape (rows, thresholds + 1), 0 to 1.
        weights: Shape (rows,): how often each row counts; None: once.
    """
    counts = np.ones(len(targets)) if weights is None else np.asarray(weights, np.float64)
    counted = np.asarray(targets, np.float64) * counts[:, None]
    found = []
    for sharpness in SHARPER:
        told = part_logits(sharpness * np.asarray(logits, np.float64))
        matrix = _maximize(told, counted)
        loss = float(counts @ ranked_losses(told @ matrix, targets))
        found.append((loss, Shares(sharpness, matrix)))
    return min(found, key=lambda pair: pair[0])[1]


def _maximize(told: Floats, counted: Floats) -> Floats:
    """Return the most likely matrix, (labels, labels); both arguments have a row a text."""
    num = told.shape[1]
    prior = KEPT * np.eye(num) + ANY / num
    matrix = prior / prior.sum(axis=1, keepdims=True)
    for _ in range(STEPS):
        likely = counted / np.maximum(told @ matrix, EPSILON)
        matrix = matrix * (told.T @ likely) + prior
        matrix /= matrix.sum(axis=1, keepdims=True)
    return np.asarray(matrix)


def tell_above(outputs: Floats) -> Floats:
    """Return how likely the label is above each but the last: (rows, labels) -> (rows, labels - 1),
    floats, 0 to 1."""
    sums = np.cumsum(np.asarray(outputs, np.float64), axis=1)
    return np.clip(1 - sums[:, :-1] / sums[:, -1:], 0, 1)


def ranked_losses(outputs: Floats, targets: Floats) -> Floats:
    """Return the cross-entropies of being above each label, summed over the labels: (rows,).

    Both arguments are floats, shape (rows, labels).
    """
    wanted = tell_above(targets)
    told = np.clip(tell_above(outputs), EPSILON, 1 - EPSILON)
    return np.asarray(-(wanted * np.log(told) + (1 - wanted) * np.log1p(-told)).sum(axis=1))
