"""Losses of numbers, of errors in standard deviations: squared, absolute, and Huber's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

SQUARED, ABSOLUTE, HUBER = "squared", "absolute", "huber"
LOSSES = (SQUARED, ABSOLUTE, HUBER)
DELTA = 1.0  # standard deviations, beyond which Huber's loss rises as the absolute one does
ROUNDS = 20  # of the weighted means that find Huber's center

Floats = NDArray[np.floating[Any]]


def measure_loss(errors: Floats, loss: str) -> NDArray[np.float64]:
    """Return the loss of each error: e², |e|, or Huber's, twice as large as he wrote it.

    Huber, "Robust Estimation of a Location Parameter" (1964): e² where |e| is under `DELTA`, and
    2 · DELTA · |e| − DELTA² beyond.
    """
    sizes = np.abs(np.asarray(errors, np.float64))
    if loss == ABSOLUTE:
        return sizes
    if loss == SQUARED:
        return sizes**2
    return np.where(sizes < DELTA, sizes**2, 2 * DELTA * sizes - DELTA**2)


def make_keras_loss(loss: str, scale: float) -> Callable[[Any, Any], Any]:
    """Return Keras' function from targets and outputs, both (rows, 1), to the loss of each row.

    Args:
        loss: SQUARED or HUBER.
        scale: Standard deviation of the targets.
    """
    from keras import ops

    def measure(targets: Any, outputs: Any) -> Any:
        errors = (ops.cast(outputs, "float32") - ops.cast(targets, "float32"))[:, 0] / scale
        if loss == SQUARED:
            return ops.square(errors)
        sizes = ops.abs(errors)
        far = 2 * DELTA * sizes - DELTA**2
        return ops.where(sizes < DELTA, ops.square(errors), far)

    return measure


def center(values: Floats, loss: str, weights: Floats) -> float:
    """Return the number whose loss is least: the mean, the median, or between them.

    Args:
        values, weights: Shape (rows,); what each row counts, above 0.
    """
    if loss == SQUARED:
        return float(np.average(values, weights=weights))
    order = np.argsort(values, kind="stable")
    sums = np.cumsum(weights[order])
    median = float(values[order[np.searchsorted(sums, sums[-1] / 2)]])
    if loss == ABSOLUTE:
        return median
    scale = float(np.std(values))
    found = median
    for _ in range(ROUNDS if scale else 0):
        sizes = np.abs(values - found) / scale
        found = float(np.average(values, weights=weights * np.minimum(1, DELTA / (sizes + 1e-9))))
    return found
