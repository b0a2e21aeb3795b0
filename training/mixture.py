"""How much each half of a model is trusted: by rows that neither was fitted to.

The layer MIXTURE reads the logits of both halves side by side, or those of the wide one alone.
"""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from training.blocks import early_exit
from training.tasks import Objective

# Layers of both halves' logits side by side, of the deep half's, and of the weight of each half.
BOTH, DEEP, MIXTURE = "both_logits", "deep_logits", "mixture"
MIN_WIDE = 0.1  # least weight of the wide half


def has_deep(model: keras.Model) -> bool:
    """Say whether the model has a deep half."""
    return any(layer.name == DEEP for layer in model.layers)


def read_halves(model: keras.Model) -> keras.Model:
    """Return the model up to what the mixture reads: (batch, halves * num_logits)."""
    return keras.Model(model.input, model.get_layer(MIXTURE).input)


def set_mixture(
    model: keras.Model,
    logits: NDArray[np.float32],
    targets: NDArray[np.float32],
    bias: NDArray[np.float32],
    objective: Objective,
) -> None:
    """Give each half the weight in the mixture that makes the loss least, and set the exit.

    Args:
        logits: Of the halves without bias, of rows that they were not fitted to.
        targets: Shape (rows, num_outputs).
        bias: Of the wide half, shape (num_logits,).
    """
    num_logits = objective.num_logits
    halves = logits + np.pad(bias, (0, logits.shape[1] - num_logits))
    (*weights, shift), _ = find_mixture(halves, targets, objective)
    identity = np.eye(num_logits, dtype=np.float32)
    kernel = np.vstack([weight * identity for weight in weights])
    shift = weights[0] * bias + (shift if num_logits == 1 else 0.0)
    model.get_layer(MIXTURE).set_weights([kernel, shift])
    if early_exit.has_exit(model):
        full = logits @ kernel + shift
        early_exit.fit_exit(model, logits[:, :num_logits], bias, full, targets, objective)


def mix_outputs(
    model: keras.Model, logits: NDArray[np.float32], objective: Objective
) -> NDArray[np.float32]:
    """Return the outputs of rows whose halves' logits are known; float32, (rows, num_outputs)."""
    both = keras.Input((logits.shape[1],))
    mixed = model.get_layer(MIXTURE)(both)
    if early_exit.has_exit(model):
        mixed = early_exit.exit_again(model, both[:, : objective.num_logits], mixed, objective)
    return np.asarray(keras.Model(both, objective.add_head(mixed))(logits))


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
