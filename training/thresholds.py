"""Thresholds that rows choose: of one label for a precision or a recall, of all labels so that
mistakes cost least or macro F1 is highest (`handler/inference/tasks/thresholds.py`).

With few rows of a label counts alone mislead, so the model's own probabilities, which are
calibrated out of folds, count beside them as much as `PRIOR_ROWS` rows do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

PRIOR_ROWS = 10.0
# So many rows over a threshold count as wrong beside them: without, a few right rows of a model
# that is too sure promised 0.8 (AG News, 60 rows of a label, 0.43 on test rows).
WRONG_ROWS = 2.0
DIGITS = 4  # of a threshold: a hundredth of its worth is less than rows can tell
# The factors by which a label's probability is multiplied for macro F1, and passes over the labels.
FACTORS = np.geomspace(1 / 16, 16, 33)
PASSES = 4


class Threshold(NamedTuple):
    """A threshold, and what it gives on the rows that it was chosen by.

    Args:
        value: 0 to 1.
        precision, recall: Expected, 0 to 1, with the prior.
        is_reached: Whether what was wanted is reached; else it is as near as can be.
    """

    value: float
    precision: float
    recall: float
    is_reached: bool


def choose_threshold(
    probabilities: Floats,
    shares: Floats,
    weights: Floats,
    min_precision: float | None = None,
    min_recall: float | None = None,
) -> Threshold:
    """Return the lowest threshold whose precision, or the highest whose recall, is as wanted.

    Args:
        probabilities: Of the label, floats, shape (rows,).
        shares: How far each row has the label, 0 to 1, shape (rows,).
        weights: What each row counts, shape (rows,).
        min_precision, min_recall: 0 to 1; one of them.
    """
    order = np.argsort(-probabilities, kind="stable")
    told = probabilities[order].astype(np.float64)
    ends = np.flatnonzero(np.append(told[1:] != told[:-1], True))  # equal ones are not parted
    counted = weights[order].astype(np.float64)
    rows, right, expected = (
        np.cumsum(counted * values)[ends] for values in (np.ones(len(told)), shares[order], told)
    )
    precision = (right + PRIOR_ROWS * expected / rows) / (rows + PRIOR_ROWS + WRONG_ROWS)
    share = expected / max(float(expected[-1]), 1e-12)
    recall = (right + PRIOR_ROWS * share) / (right[-1] + PRIOR_ROWS)
    if min_precision is not None:
        good = np.flatnonzero(precision >= min_precision)
        place = int(good[-1] if len(good) else precision.argmax())
    else:
        good = np.flatnonzero(recall >= (min_recall or 0.0))
        place = int(good[0] if len(good) else len(ends) - 1)
    values = told[ends]
    below = values[place + 1] if place + 1 < len(ends) else 0.0
    value = _round_between(below, float(values[place]))
    return Threshold(value, float(precision[place]), float(recall[place]), bool(len(good)))


def _round_between(below: float, above: float) -> float:
    """Return a short number over `below`, at most `above`, both 0 to 1."""
    middle = (below + above) / 2
    rounded = float(f"{middle:.{DIGITS}g}")
    return rounded if below < rounded <= above else max(middle, 1e-12)


def weigh_costs(labels: Sequence[str], costs: Mapping[str, float]) -> dict[str, float]:
    """Return the thresholds by which mistakes cost least, where one on a row of a label costs so
    much: {"ham": 1, "spam": 4} -> {"spam": 0.2} (Elkan, IJCAI 2001).

    Of two labels the one that costs more has a threshold, of more labels each has one.
    """
    least = min(costs.values())
    if least == max(costs.values()):
        return {}
    if len(labels) == 2:
        dear = max(labels, key=costs.__getitem__)
        return {dear: least / (least + costs[dear])}
    return {label: least / costs[label] for label in labels}


def maximize_macro_f1(
    labels: Sequence[str], outputs: Floats, targets: Floats, weights: Floats
) -> dict[str, float]:
    """Return the thresholds of all labels by which macro F1 is highest; none where those that are
    there already are.

    One label after the other gets the factor that suits it best beside the others'.

    Args:
        outputs, targets: Floats, shape (rows, labels).
        weights: What each row counts, shape (rows,).
    """
    factors = np.ones(len(labels))
    rows = weights[:, None] * targets.astype(np.float64)
    # Of a label with few rows its own probabilities say how many of those are right.
    prior = PRIOR_ROWS / (PRIOR_ROWS + rows.sum(axis=0))
    rows = (1 - prior) * rows + prior * weights[:, None] * outputs
    totals = rows.sum(axis=0)
    best = _macro_f1(outputs.argmax(axis=1), rows, weights, totals)
    for _ in range(PASSES):
        before = best
        for column in range(len(labels)):
            others = outputs * factors
            others[:, column] = -np.inf
            second = others.argmax(axis=1)
            needed = others.max(axis=1)
            for factor in FACTORS:
                chosen = np.where(outputs[:, column] * factor > needed, column, second)
                found = _macro_f1(chosen, rows, weights, totals)
                if found > best + 1e-9:
                    best, factors[column] = found, factor
        if best == before:
            break
    if (factors == factors[0]).all():
        return {}
    return {
        label: float(f"{factors.min() / factor:.{DIGITS}g}")
        for label, factor in zip(labels, factors, strict=True)
    }


def _macro_f1(chosen: NDArray[np.int64], rows: Floats, weights: Floats, totals: Floats) -> float:
    """Return macro F1 of answers.

    Args:
        chosen: Column of each answer, shape (rows,).
        rows: How much of each label a row is, shape (rows, labels).
        totals: Of `rows`, by label.
    """
    right = np.bincount(chosen, rows[np.arange(len(rows)), chosen], len(totals))
    guesses = np.bincount(chosen, weights, len(totals))
    return float((2 * right / np.maximum(totals + guesses, 1e-12)).mean())
