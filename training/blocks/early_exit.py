"""Early exit: where one half of a model is certain, its answer stands, and the other is not asked.

The model itself computes the exit: `where(certain, exit logits, all logits)`. So figures, reference
outputs and every wire format see what is served; `export/passes/early_exit.py` then makes a graph
in which the other half does not run for those rows.

A row is certain if the margin of its exit logits, the likeliest answer's over the next one's, is
over a threshold, which is chosen on development rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
from keras import layers, ops
from scipy.special import ndtr

from training.answers.calibration import calibrate
from training.fitting.encoded import Encoded
from training.fitting.fit import make_predictor
from training.tasks import Floats, Objective

# Names of the layers: the exit logits, and how far their margin is over the threshold.
EXIT, GATE = "exit_logits", "exit_gate"
# Share of all rows that may get another label, counted on development rows and expected of them.
MAX_CHANGED = 1 / 2000
# Of the standard error of the log loss; it may move by so much.
MAX_MOVED = 0.25
MIN_EXITS = 100  # rows that must be certain: fewer do not tell how far the halves differ
NUM_CUTS = 500  # shares of rows that are tried
CONSTANTS = {
    "exit_max_changed": MAX_CHANGED,
    "exit_max_moved": MAX_MOVED,
    "exit_min_rows": MIN_EXITS,
}


def exit_early(
    early: keras.KerasTensor, full: keras.KerasTensor, objective: Objective
) -> keras.KerasTensor:
    """Return the exit logits where they are certain, else `full`; the gate is closed at first.

    Args:
        early: Logits of the half that is always asked, shape (batch, num_logits).
        full: Logits of the whole model, of the same shape.
    """
    closed = {"kernel_initializer": "zeros", "bias_initializer": keras.initializers.Constant(-1.0)}
    exit_layer = layers.Dense(objective.num_logits, name=EXIT)
    return _choose(early, full, exit_layer, layers.Dense(1, name=GATE, **closed), objective)


def exit_again(
    model: keras.Model, early: keras.KerasTensor, full: keras.KerasTensor, objective: Objective
) -> keras.KerasTensor:
    """Return what `exit_early` gives by the layers of `model`."""
    return _choose(early, full, model.get_layer(EXIT), model.get_layer(GATE), objective)


def _choose(
    early: keras.KerasTensor,
    full: keras.KerasTensor,
    exit_layer: keras.Layer,
    gate: keras.Layer,
    objective: Objective,
) -> keras.KerasTensor:
    exits = exit_layer(early)
    return ops.where(gate(objective.add_margin(exits)) > 0, exits, full)


def has_exit(model: keras.Model) -> bool:
    """Say whether `exit_early` made a part of the model."""
    return any(layer.name == GATE for layer in model.layers)


def close_gate(model: keras.Model) -> None:
    """Let no row exit, if any could."""
    if has_exit(model):
        model.get_layer(GATE).set_weights([np.zeros((1, 1)), -np.ones(1)])


@contextmanager
def closed_gate(model: keras.Model) -> Iterator[None]:
    """Let no row exit for a while: all that is known of a row then comes from the whole model."""
    weights = model.get_layer(GATE).get_weights() if has_exit(model) else []
    close_gate(model)
    yield
    if weights:
        model.get_layer(GATE).set_weights(weights)


def fit_exit(
    model: keras.Model,
    early: Floats,
    bias: Floats,
    full: Floats,
    targets: Floats,
    objective: Objective,
    counts_as: Floats | None = None,
) -> None:
    """Calibrate the exit logits and set the threshold in place; closed where too little is known.

    The exit logits get the scale and the shifts by which they say most nearly what the whole model
    says.

    Args:
        early: What the layer EXIT reads of development rows, shape (rows, num_logits).
        bias: What it lacks to be that half's logits, shape (num_logits,).
        full: Logits of the whole model, shape (rows, num_logits).
        targets: Shape (rows, num_outputs).
        counts_as: Shape (rows,), what each row counts in a loss; None: all the same.
    """
    wanted = objective.outputs_of(full)
    found = calibrate([early + bias], wanted, objective, [0.0], counts_as)
    scale, bias = found.scales[0], found.scales[0] * bias + found.shifts
    model.get_layer(EXIT).set_weights([scale * np.eye(len(bias)), bias])
    threshold = choose_threshold(scale * early + bias, full, targets, objective, counts_as)
    if threshold is None:
        close_gate(model)
    else:
        model.get_layer(GATE).set_weights([np.ones((1, 1)), np.array([-threshold])])


def choose_threshold(
    exits: Floats,
    full: Floats,
    targets: Floats,
    objective: Objective,
    counts_as: Floats | None = None,
) -> float | None:
    """Return the margin over which most rows exit and the model stays what it is; None for none.

    Args:
        exits, full: Logits of development rows, shape (rows, num_logits).
        targets: Shape (rows, num_outputs).
        counts_as: As in `fit_exit`; how many labels may change is a count of rows all the same.
    """
    # Beyond what soft labels make unavoidable: that differs from row to row, not between the two.
    early_losses, losses = (objective.excess_losses(logits, targets) for logits in (exits, full))
    weights = np.ones(len(losses)) if counts_as is None else np.asarray(counts_as, np.float64)
    changes = weights * (early_losses - losses)
    margins, remaining = objective.exit_margins(exits, full)
    order = np.argsort(-margins, kind="stable")
    margins, remaining = margins[order], remaining[order]
    num_rows = len(order)
    moved = np.abs(np.cumsum(changes[order])) / weights.sum()
    is_good = moved <= MAX_MOVED * _standard_error(losses, weights)
    is_good &= np.cumsum(remaining < 0) <= MAX_CHANGED * num_rows
    cuts = np.unique(np.linspace(MIN_EXITS, num_rows, NUM_CUTS).astype(int))
    for cut in reversed(cuts[cuts <= num_rows]):
        if is_good[cut - 1] and _expect_changed(margins[:cut], remaining[:cut]) <= (
            MAX_CHANGED * num_rows
        ):
            below = margins[cut] if cut < num_rows else 0.0
            return float(margins[cut - 1] + below) / 2
    return None


def measure_exit(
    model: keras.Model, dev: Encoded, objective: Objective
) -> dict[str, float | None] | None:
    """Return `threshold`, None where the gate is closed, and `dev_share`, the share of rows that
    exit; None of a model without an early exit.

    Of rows that the model has learned from it is the share that would exit if it had not.
    """
    if not has_exit(model):
        return None
    (kernel, bias) = model.get_layer(GATE).get_weights()
    early = make_predictor(keras.Model(model.input, model.get_layer(EXIT).input))(dev.rows)
    if dev.offsets is not None:
        early = early + dev.offsets[:, : objective.num_logits]
    exits = model.get_layer(EXIT)(early)
    over = np.asarray(model.get_layer(GATE)(objective.add_margin(exits)))
    threshold = float(-bias[0] / kernel[0, 0]) if kernel[0, 0] else None
    return {"threshold": threshold, "dev_share": float((over > 0).mean())}


def _standard_error(losses: Floats, weights: Floats) -> float:
    """Return the standard error of the weighted mean; both are floats, shape (rows,)."""
    deviations = losses - np.average(losses, weights=weights)
    return float(np.sqrt(((weights * deviations) ** 2).sum()) / weights.sum())


def _expect_changed(margins: Floats, remaining: Floats) -> float:
    """Return how many rows are expected to change, were the halves' differences normal.

    A count of none among a thousand rows says only that it is under three. What remains of a margin
    in the whole model is taken to be a line through all rows, and the differences as wide along it.
    """
    around = margins - margins.mean()
    slope = (around @ remaining) / max(float(around @ around), 1e-9)  # 0 of margins all alike
    line = remaining.mean() + slope * around
    spread = max(float((remaining - line).std(ddof=2)), 1e-9)
    return float(ndtr(-line / spread).sum())
