"""The head of a model of ordered labels: from log odds of being above each label to probabilities.

logits ── sharper ── above each label ── differences ── shares between the labels ── outputs

What the two layers of weights hold, `training/answers/ranks.py` finds.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from training.answers.ranks import Shares

SHARPNESS, SHARES = "sharpness", "outputs"


def add_shares(logits: keras.KerasTensor) -> keras.KerasTensor:
    """Return the probability of each label, (batch, thresholds) -> (batch, thresholds + 1); until
    `set_shares` says otherwise, what is above the label before it and not above itself."""
    num = logits.shape[-1]
    sharper = layers.Dense(num, use_bias=False, trainable=False, name=SHARPNESS)
    shares = layers.Dense(num + 1, use_bias=False, trainable=False, name=SHARES)
    above = ops.sigmoid(sharper(logits))
    not_up_to = 1 - np.tri(num, dtype=np.float32)  # 1 leaves a threshold out
    above = ops.min(ops.maximum(ops.expand_dims(above, 1), not_up_to), axis=2)
    before = ops.pad(above, ((0, 0), (1, 0)), constant_values=1.0)
    after = ops.pad(above, ((0, 0), (0, 1)))
    outputs = shares(before - after)
    sharper.set_weights([np.eye(num)])
    shares.set_weights([np.eye(num + 1)])
    return outputs


def set_shares(model: keras.Model, shares: Shares) -> None:
    """Give a model that `add_shares` made a part of another sharpness and matrix."""
    num = len(shares.matrix) - 1
    model.get_layer(SHARPNESS).set_weights([shares.sharpness * np.eye(num)])
    model.get_layer(SHARES).set_weights([shares.matrix])
