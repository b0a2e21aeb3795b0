"""Thresholds by which the answer is one label among others: so that mistakes cost least, or macro
F1 is highest (`handler/inference/tasks/thresholds.py`). Of a promise: `promises.py` beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from training.answers.cuts import DIGITS, Floats, mix_expected

# The factors by which a label's probability is multiplied for macro F1, and passes over the labels.
FACTORS = np.geomspace(1 / 16, 16, 33)
PASSES = 4


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
    # Of a label with few rows its own probabilities say how many of those are right.
    rows = mix_expected(outputs, targets, weights)
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
