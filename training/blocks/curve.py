"""The head of a model of numbers: the curve of `training/answers/isotonic.py` as two layers.

logit ── how far it is from each knot to the next one, 0 to 1 ── what these ways add ── outputs
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from training.answers.isotonic import NUM_KNOTS, Curve
from training.tasks import Floats

WAYS, SUM = "curve_ways", "outputs"


def add_curve(logits: keras.KerasTensor, curve: Curve) -> keras.KerasTensor:
    """Return the values, by two layers whose weights `set_curve` sets: (batch, 1) -> (batch, 1)."""
    ways = layers.Dense(NUM_KNOTS - 1, name=WAYS, trainable=False)
    total = layers.Dense(1, name=SUM, trainable=False)
    values = total(ops.clip(ways(logits), 0.0, 1.0))
    for layer, weights in zip((ways, total), _weigh(curve), strict=True):
        layer.set_weights(list(weights))
    return values


def set_curve(model: keras.Model, curve: Curve) -> None:
    """Give a model that `add_curve` made a part of another curve."""
    for name, weights in zip((WAYS, SUM), _weigh(curve), strict=True):
        model.get_layer(name).set_weights(list(weights))


def _weigh(curve: Curve) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Return kernel and bias of WAYS and of SUM."""
    gaps = np.diff(curve.logits)
    ways = (1 / gaps)[None, :].astype(np.float32), (-curve.logits[:-1] / gaps).astype(np.float32)
    steps = np.diff(curve.values)[:, None].astype(np.float32)
    return ways, (steps, curve.values[:1].astype(np.float32))
