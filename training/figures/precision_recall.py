"""Precision and recall of a label at every threshold, and the mean of the one over the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

DRAWN_CURVES = 8  # more lines cannot be told apart
CURVE_POINTS = 100  # that are kept of a curve
KEPT_DIGITS = 4


def find_curve(
    scores: NDArray[np.floating[Any]], is_label: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return precision and recall at each score from the highest down, each shape (scores,).

    Args:
        scores: Floats, shape (rows,).
        is_label: Whether a row has the label, shape (rows,); one has.
    """
    order = np.argsort(-scores, kind="stable")
    told = scores[order]
    ends = np.flatnonzero(np.append(told[1:] != told[:-1], True))  # equal ones are not parted
    right = np.cumsum(is_label[order])[ends]
    return right / (ends + 1), right / right[-1]


def average_precision(
    scores: NDArray[np.floating[Any]], is_label: NDArray[np.bool_]
) -> float | None:
    """Return the mean precision over the recall gained at each score, as scikit-learn has it; None
    where no row has the label.

    The arguments are those of `find_curve`.
    """
    if not is_label.any():
        return None
    precision, recall = find_curve(scores, is_label)
    return float(precision @ np.diff(recall, prepend=0.0))


def keep_curves(
    names: Sequence[str],
    outputs: NDArray[np.floating[Any]],
    label_ids: NDArray[np.integer[Any]],
    classes: Mapping[str, Mapping[str, Any]],
    first: Sequence[str] = (),
) -> dict[str, dict[str, list[float]]]:
    """Return `precision` and `recall` of the labels that are worth a look, `CURVE_POINTS` each: all
    of a few, else the `first`, then those with the lowest average precision.

    Args:
        names: Of the labels.
        outputs: Floats, shape (rows, labels).
        label_ids: True column of each row, shape (rows,).
        classes: Name -> its figures, `rows` and `average_precision` among them.
    """
    present = [name for name in names if classes[name]["rows"]]
    by_worth = sorted(present, key=lambda name: classes[name]["average_precision"])
    by_worth.sort(key=lambda name: name not in first)
    chosen = set(by_worth[:DRAWN_CURVES])
    curves = {}
    for column, name in enumerate(names):
        if name not in chosen:
            continue
        precision, recall = find_curve(outputs[:, column], label_ids == column)
        steps = np.linspace(recall[0], recall[-1], CURVE_POINTS)
        kept = np.unique(np.searchsorted(recall, steps))
        curves[name] = {
            "precision": precision[kept].round(KEPT_DIGITS).tolist(),
            "recall": recall[kept].round(KEPT_DIGITS).tolist(),
        }
    return curves
