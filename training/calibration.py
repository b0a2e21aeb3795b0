"""The weights of logits at which the loss of rows that they were not fitted to is least.

Without Keras, so that what only needs calibrated probabilities does not wait for TensorFlow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from training.tasks import Floats, Objective

MIN_WIDE = 0.1  # least weight of the wide half
# How many rows the prior of a shift is worth: 3, 10 and 30 differ by 0.3 points on 100 rows, and of
# 77 labels with ten rows each 3 costs 0.3.
SHIFT_ROWS = 10.0
CONSTANTS = {"mixture_min_wide": MIN_WIDE, "mixture_shift_rows": SHIFT_ROWS}


def find_mixture(
    halves: Floats, targets: Floats, objective: Objective
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], float]:
    """Return (weight of each half, shift of each logit), at which the loss is least, and the loss.

    This calibrates the outputs too: the wide half learns as if all labels were as frequent as each
    other, and the shifts say how frequent they are. A prior as heavy as one row keeps the weights
    finite where a half makes no mistake.

    Args:
        halves: Logits of one half or two, shape (rows, halves * num_logits).
        targets: Shape (rows, num_outputs).
    """
    num_halves = halves.shape[1] // objective.num_logits
    parts = np.stack(np.split(halves.astype(np.float64), num_halves, axis=1))
    means = np.full(num_halves, 1.0 / num_halves)

    def cost(found: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, shifts = found[:num_halves], found[num_halves:]
        mixed = np.tensordot(weights, parts, 1) + shifts
        slopes = objective.logits_gradient(mixed, targets)
        prior = ((weights - means) ** 2).sum() / 2 + SHIFT_ROWS * (shifts**2).sum() / 2
        of_weights = (parts * slopes).sum(axis=(1, 2)) + weights - means
        gradient = np.concatenate([of_weights, slopes.sum(axis=0) + SHIFT_ROWS * shifts])
        return objective.logits_loss(mixed, targets) + prior, gradient

    # A handful of rows out of their folds speak against themselves, as the others have more of the
    # other label. The wide half, which is all that there is then, is never silenced.
    least = [MIN_WIDE] + [0.0] * (num_halves - 1) + [-np.inf] * objective.num_logits
    start = np.concatenate([means, np.zeros(objective.num_logits)])
    found = minimize(cost, start, jac=True, bounds=[(one, np.inf) for one in least])
    return (found.x[:num_halves], found.x[num_halves:]), float(found.fun)
