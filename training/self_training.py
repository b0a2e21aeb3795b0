"""Learning from rows without labels: what a model says of them, calibrated, is what they are.

The probabilities are learned as they are (Hinton et al., "Distilling the Knowledge in a Neural
Network", 2015); the student reads the rows with tokens and channels dropped, so that it does not
end as its teacher (Xie et al., "Self-training with Noisy Student", CVPR 2020).
"""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
from numpy.typing import NDArray

from training.blocks.early_exit import closed_gate
from training.encoded import Encoded, join_encoded
from training.fit import make_predictor
from training.progress import step
from training.stages import Stages


def add_taught(rows: Encoded, model: keras.Model, stages: Stages) -> Encoded:
    """Return the rows, and behind them those without labels with what the whole model says of them.

    It is asked once.
    """
    unlabelled = rows.unlabelled
    if unlabelled is None:
        return rows

    def ask() -> dict[str, NDArray[np.float32]]:
        with step("labels for the texts without"), closed_gate(model):
            return {"outputs": make_predictor(model)(unlabelled.rows)}

    outputs = stages.make("taught", ask)["outputs"]
    return join_encoded(rows, dataclasses.replace(unlabelled, targets=outputs))
