"""Figures of classification that more than one task can report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

CALIBRATION_BINS = 15


def headline(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures that are one number each."""
    return {name: value for name, value in figures.items() if isinstance(value, (int, float))}


def divide(part: float, whole: float) -> float | None:
    """Return a share; None where it is one of nothing, which no number tells."""
    return float(part / whole) if whole else None


def show_figure(figure: float | None) -> str:
    """Return a figure for people: `0.1250`, `undefined`."""
    return "undefined" if figure is None else f"{figure:.4f}"


def confidence_interval(share: float, num_rows: float, z: float = 1.96) -> list[float]:
    """Return the ends of the interval of a share of so many rows (Wilson 1927).

    Args:
        z: The normal distribution's quantile; 1.96 is that of 95 %.
    """
    center = share + z * z / (2 * num_rows)
    margin = z * (share * (1 - share) / num_rows + z * z / (4 * num_rows**2)) ** 0.5
    scale = 1 + z * z / num_rows
    return [max(0.0, (center - margin) / scale), min(1.0, (center + margin) / scale)]


def count_confusions(
    label_ids: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]], num_labels: int
) -> NDArray[np.int64]:
    """Return int64, shape (num_labels, num_labels): how often each label was taken for each.

    A row for each true label, a column for each predicted one.

    Args:
        label_ids, predicted: Integers under `num_labels`, shape (rows,).
    """
    counts = np.zeros((num_labels, num_labels), np.int64)
    np.add.at(counts, (label_ids, predicted), 1)
    return counts


def measure_classes(
    confusions: NDArray[np.int64], names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return precision, recall, F1 and rows of each label; None for what has no rows to count.

    Args:
        confusions: int64, shape (labels, labels), as `count_confusions` gives it.
        names: Of the labels.
    """
    right, rows, guesses = np.diag(confusions), confusions.sum(axis=1), confusions.sum(axis=0)
    return measure_counts(right, rows, guesses, names)


def measure_counts(
    right: NDArray[np.int64],
    rows: NDArray[np.int64],
    guesses: NDArray[np.int64],
    names: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """Return precision, recall, F1 and rows of each label; None for what has no rows to count.

    Args:
        right, rows, guesses: Of each label the rows that have it and are given it, that have it,
            and that are given it; int64, shape (labels,).
        names: Of the labels.
    """
    return {
        name: {
            "precision": divide(right[label], guesses[label]),
            "recall": divide(right[label], rows[label]),
            "f1": divide(2 * right[label], rows[label] + guesses[label]),
            "rows": int(rows[label]),
        }
        for label, name in enumerate(names)
    }


def calibration_error(
    label_ids: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]]
) -> float:
    """Return the expected calibration error, 0 to 1, in 15 bins of equal width.

    The mean gap between confidence and accuracy, weighted by a bin's rows (Naeini et al., AAAI
    2015; Guo et al., ICML 2017).

    Args:
        label_ids: True column of each row, integers, shape (rows,).
        probabilities: Floats, shape (rows, labels).
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == label_ids
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=confidence - correct, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(label_ids))


def calibration_noise(probabilities: NDArray[np.floating[Any]]) -> float:
    """Return about the calibration error that so many rows would show were the probabilities true:
    in each bin the mean distance of a normal sum from its mean.

    Args:
        probabilities: Floats, shape (rows, labels).
    """
    confidence = probabilities.max(axis=1)
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    variances = np.bincount(bins, weights=confidence * (1 - confidence))
    return float(np.sqrt(2 / np.pi * variances.clip(0)).sum() / len(confidence))
