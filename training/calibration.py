"""The weights of logits at which the loss of rows that they were not fitted to is least.

Without Keras, so that what only needs calibrated probabilities does not wait for TensorFlow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from training.tasks import Objective

MIN_WIDE = 0.1  # least weight of the wide half


def find_mixture(
    halves: NDArray[np.float32], targets: NDArray[np.float32], objective: Objective
) -> tuple[NDArray[np.float64], float]:
    """Return the weight of each half and a shift, at which the loss is least, and the loss.

    This calibrates the outputs too; only a single logit is shifted. A prior as heavy as one row
    keeps them finite where a half makes no mistake.

    Args:
        halves: Logits of one half or two, shape (rows, halves * num_logits).
        targets: Shape (rows, num_outputs).
    """
    num_logits = objective.num_logits
    parts = np.split(halves, halves.shape[1] // num_logits, axis=1)
    prior_means = np.array([1.0 / len(parts)] * len(parts) + [0.0])

    def cost(weights: NDArray[np.float64]) -> float:
        mixed = sum(weight * part for weight, part in zip(weights, parts, strict=False))
        mixed = mixed + (weights[-1] if num_logits == 1 else 0)
        prior = ((weights - prior_means) ** 2).sum() / 2
        return float(objective.logits_loss(mixed, targets) + prior)

    # A handful of rows out of their folds speak against themselves, as the others have more of the
    # other label. The wide half, which is all that there is then, is never silenced.
    bounds = [(MIN_WIDE, None)] + [(0.0, None)] * (len(parts) - 1) + [(None, None)]
    found = minimize(cost, prior_means, bounds=bounds)
    return np.asarray(found.x), float(found.fun)
