"""How much each half of a model is trusted: by rows that neither was fitted to.

The layer MIXTURE reads the logits of both halves side by side, or those of the wide one alone.
"""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from training.answers.calibration import find_mixture
from training.blocks import early_exit
from training.fitting.encoded import Encoded
from training.fitting.fit import make_predictor
from training.tasks import Objective

# Layers of both halves' logits side by side, of the deep half's, and of the weight of each half.
BOTH, DEEP, MIXTURE = "both_logits", "deep_logits", "mixture"


def has_deep(model: keras.Model) -> bool:
    """Say whether the model has a deep half."""
    return any(layer.name == DEEP for layer in model.layers)


def read_halves(model: keras.Model) -> keras.Model:
    """Return the model up to what the mixture reads: (batch, halves * num_logits)."""
    return keras.Model(model.input, model.get_layer(MIXTURE).input)


def read_moved(model: keras.Model, rows: Encoded) -> NDArray[np.float32]:
    """Return the logits of the halves, with the offsets of the rows."""
    logits = make_predictor(read_halves(model))(rows.rows)
    return logits if rows.offsets is None else logits + rows.offsets


def set_mixture(
    model: keras.Model,
    logits: NDArray[np.float32],
    targets: NDArray[np.float32],
    bias: NDArray[np.float32],
    objective: Objective,
    counts_as: NDArray[np.floating] | None = None,
) -> None:
    """Give each half the weight in the mixture that makes the loss least, and set the exit.

    Args:
        logits: Of the halves without bias, of rows that they were not fitted to.
        targets: Shape (rows, num_outputs).
        bias: Of the wide half, shape (num_logits,).
        counts_as: Shape (rows,), what each row counts; None: all the same.
    """
    num_logits = objective.num_logits
    halves = logits + np.pad(bias, (0, logits.shape[1] - num_logits))
    found = find_mixture(halves, targets, objective, counts_as)
    identity = np.eye(num_logits, dtype=np.float32)
    kernel = np.vstack([scale * identity for scale in found.scales])
    shift = found.scales[0] * bias + found.shifts
    model.get_layer(MIXTURE).set_weights([kernel, shift])
    full = logits @ kernel + shift
    objective.fit_head(model, full, targets, counts_as)
    if early_exit.has_exit(model):
        early = logits[:, :num_logits]
        early_exit.fit_exit(model, early, bias, full, targets, objective, counts_as)


def wide_bias(kernel: NDArray[np.float32], shift: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what the wide half's logits lack of its bias, by the weights of a mixture, (parts *
    num_logits, num_logits) and (num_logits,)."""
    scales = kernel[: len(shift)].diagonal()
    return np.divide(shift, scales, out=np.zeros_like(shift), where=scales != 0)


def set_exit(
    model: keras.Model,
    logits: NDArray[np.float32],
    targets: NDArray[np.float32],
    objective: Objective,
    counts_as: NDArray[np.floating] | None = None,
) -> None:
    """Set the exit anew beside a mixture that stands, if the model has one.

    The arguments are those of `set_mixture`.
    """
    if early_exit.has_exit(model):
        kernel, shift = model.get_layer(MIXTURE).get_weights()
        bias = wide_bias(kernel, shift)
        early = logits[:, : objective.num_logits]
        full = logits @ kernel + shift
        early_exit.fit_exit(model, early, bias, full, targets, objective, counts_as)


def mix_outputs(
    model: keras.Model, logits: NDArray[np.float32], objective: Objective
) -> NDArray[np.float32]:
    """Return the outputs of rows whose halves' logits are known; float32, (rows, num_outputs)."""
    both = keras.Input((logits.shape[1],))
    mixed = model.get_layer(MIXTURE)(both)
    if early_exit.has_exit(model):
        mixed = early_exit.exit_again(model, both[:, : objective.num_logits], mixed, objective)
    head = keras.Model(both, objective.add_head(mixed))
    for layer in head.layers:
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return np.asarray(head(logits))
