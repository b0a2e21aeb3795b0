"""Scales and shifts of logits at which the loss of given rows is least.

One scale for each part of the logits and one shift for each logit: temperature scaling with a bias
(Guo et al., ICML 2017), of several parts at once. A prior as heavy as one row keeps the scales
finite where a part makes no mistake, one of `SHIFT_ROWS` rows the shifts.

Without Keras, so that what only needs calibrated probabilities does not wait for TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from training.tasks import Floats, Objective

MIN_WIDE = 0.1  # least weight of the wide half
# How many rows the prior of a shift is worth: 3, 10 and 30 differ by 0.3 points on 100 rows, and of
# 77 labels with ten rows each 3 costs 0.3.
SHIFT_ROWS = 10.0
SCALE_ROWS = 10.0  # likewise of a scale of one logit
CONSTANTS = {"mixture_min_wide": MIN_WIDE, "mixture_shift_rows": SHIFT_ROWS}


class Calibration(NamedTuple):
    """The calibrated logits are the sum of scale * part, plus the shifts.

    Args:
        scales: float64, shape (parts,); where each logit has scales of its own, (parts,
            num_logits).
        shifts: float64, shape (num_logits,).
        loss: Summed over the rows, with the prior.
    """

    scales: NDArray[np.float64]
    shifts: NDArray[np.float64]
    loss: float

    def apply(self, logits: Floats) -> NDArray[np.float64]:
        """Return the calibrated logits, (rows, num_logits), of parts that stand side by side,
        (rows, parts * num_logits)."""
        parts = np.split(np.asarray(logits, np.float64), len(self.scales), axis=1)
        scaled = [scale * part for scale, part in zip(self.scales, parts, strict=True)]
        return np.asarray(np.sum(scaled, axis=0) + self.shifts)


def calibrate(
    parts: Sequence[Floats],
    targets: Floats,
    objective: Objective,
    min_scales: Sequence[float],
    counts_as: Floats | None = None,
) -> Calibration:
    """Return the scales and shifts at which the loss of the rows is least.

    Args:
        parts: Logits, each of shape (rows, num_logits).
        targets: Shape (rows, num_outputs).
        min_scales: Of each part the least scale.
        counts_as: Shape (rows,), what each row counts; None: all the same.
    """
    num_parts, num_logits = len(parts), objective.num_logits
    prior = np.concatenate([np.full(num_parts, 1.0 / num_parts), np.zeros(num_logits)])
    stacked = np.stack(parts).astype(np.float64)  # (parts, rows, num_logits)
    heavy = np.concatenate([np.ones(num_parts), np.full(num_logits, SHIFT_ROWS)])
    weights = np.ones(len(targets)) if counts_as is None else np.asarray(counts_as, np.float64)

    def cost(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = np.tensordot(values[:num_parts], stacked, 1) + values[num_parts:]
        loss = objective.logits_loss(logits, targets, weights)
        slopes = weights[:, None] * objective.loss_slopes(logits, targets)
        by_scale = np.tensordot(stacked, slopes, 2)
        distances = values - prior
        gradient = np.concatenate([by_scale, slopes.sum(axis=0)]) + heavy * distances
        return loss + float(heavy @ distances**2) / 2, gradient

    bounds = [(low, None) for low in min_scales] + [(None, None)] * num_logits
    found = minimize(cost, prior, jac=True, bounds=bounds)
    common = Calibration(found.x[:num_parts], found.x[num_parts:], float(found.fun))
    if not objective.scales_each:
        return common
    return _scale_each(common, stacked, targets, objective, min_scales, weights)


def _scale_each(
    common: Calibration,
    stacked: NDArray[np.float64],
    targets: Floats,
    objective: Objective,
    min_scales: Sequence[float],
    weights: NDArray[np.float64],
) -> Calibration:
    """Return the calibration in which each logit has scales of its own, near the common ones.

    A prior of `SCALE_ROWS` rows holds them there: a label of a few rows does not tell its own.

    Args:
        stacked: Logits, shape (parts, rows, num_logits).
        weights: Shape (rows,).
    """
    num_parts, _, num_logits = stacked.shape
    start = np.concatenate([np.repeat(common.scales[:, None], num_logits, axis=1), [common.shifts]])
    prior = start * np.concatenate([np.ones(num_parts), [0]])[:, None]
    heavy = np.concatenate([np.full(num_parts, SCALE_ROWS), [SHIFT_ROWS]])[:, None]

    def cost(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        values = flat.reshape(start.shape)
        logits = (values[:-1, None] * stacked).sum(axis=0) + values[-1]
        loss = objective.logits_loss(logits, targets, weights)
        slopes = weights[:, None] * objective.loss_slopes(logits, targets)
        by_scale = (stacked * slopes).sum(axis=1)
        distances = values - prior
        gradient = np.concatenate([by_scale, [slopes.sum(axis=0)]]) + heavy * distances
        return loss + float((heavy * distances**2).sum()) / 2, gradient.ravel()

    lowest = [low for low in (*min_scales, None) for _ in range(num_logits)]
    found = minimize(cost, start.ravel(), jac=True, bounds=[(low, None) for low in lowest])
    values = found.x.reshape(start.shape)
    return Calibration(values[:-1], values[-1], float(found.fun))


def find_mixture(
    halves: NDArray[np.float32],
    targets: NDArray[np.float32],
    objective: Objective,
    counts_as: NDArray[np.floating] | None = None,
) -> Calibration:
    """Return the scale of each half and the shifts at which the loss is least.

    This calibrates the outputs too: the wide half learns as if all labels were as frequent as each
    other, and the shifts say how frequent they are.

    Args:
        halves: Logits of one half or two, shape (rows, halves * num_logits).
        targets: Shape (rows, num_outputs).
        counts_as: As in `set_mixture`.
    """
    parts = np.split(halves, halves.shape[1] // objective.num_logits, axis=1)
    # A handful of rows out of their folds speak against themselves, as the others have more of the
    # other label. The wide half, which is all that there is then, is never silenced.
    min_scales = [MIN_WIDE] + [0.0] * (len(parts) - 1)
    return calibrate(parts, targets, objective, min_scales, counts_as)
