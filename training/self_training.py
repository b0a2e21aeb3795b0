"""Learning from rows without labels: what one half of a model says of them teaches the other.

The probabilities are calibrated, and learned as they are (Hinton et al., "Distilling the Knowledge
in a Neural Network", 2015); the student reads the rows with tokens and channels dropped, so that it
does not end as its teacher (Xie et al., "Self-training with Noisy Student", CVPR 2020).
"""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
from numpy.typing import NDArray

from training.encoded import Encoded, join_encoded
from training.fit import make_predictor
from training.mixture import MIXTURE, find_mixture, read_wide
from training.progress import step
from training.stages import Stages
from training.tasks import Objective


def add_taught(
    rows: Encoded,
    model: keras.Model,
    logits: NDArray[np.float32],
    targets: NDArray[np.float32],
    objective: Objective,
    stages: Stages,
    name: str,
) -> Encoded:
    """Return the rows, and behind them those without labels with what the wide half says of each.

    Args:
        model: With its wide half fitted, whose bias the mixture adds.
        logits: Of the wide half without bias, of rows that it was not fitted to, float32, shape
            (rows, num_logits); they calibrate it.
        targets: Of those rows, shape (rows, num_outputs).
        name: Of the stage.
    """
    unlabelled = rows.unlabelled
    if unlabelled is None:
        return rows

    def ask() -> dict[str, NDArray[np.float32]]:
        _, bias = model.get_layer(MIXTURE).get_weights()
        (weight, shift), _ = find_mixture(logits + bias, targets, objective)
        with step("labels for the texts without"):
            told = make_predictor(read_wide(model))(unlabelled.rows)
        mixed = weight * (told + bias) + (shift if objective.num_logits == 1 else 0.0)
        return {"outputs": apply_head(mixed.astype(np.float32), objective)}

    outputs = stages.make(name, ask)["outputs"]
    return join_encoded(rows, dataclasses.replace(unlabelled, targets=outputs))


def apply_head(logits: NDArray[np.float32], objective: Objective) -> NDArray[np.float32]:
    """Return the outputs of logits; float32, from (rows, num_logits) to (rows, num_outputs)."""
    inputs = keras.Input((logits.shape[1],))
    head = keras.Model(inputs, objective.add_head(inputs))
    return np.asarray(head(logits))
