"""A transformer encoder: each step is read together with all others of its text or segment.

Vaswani et al., "Attention Is All You Need" (NeurIPS 2017, arXiv 1706.03762), normalised before
each layer rather than behind it (Xiong et al., "On Layer Normalization in the Transformer
Architecture", ICML 2020, arXiv 2002.04745), so that it is fitted without a long warm-up.
Positions are learned, and are counted from the beginning of what is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

POSITIONS = "positions"  # name of the table of the positions' vectors
FEED_FORWARD = 2  # columns of a feed-forward layer, for each unit of the attention
DROPOUT_RATE = 0.1  # of what a layer adds
EPSILON = 1e-5  # of the normalization
CONSTANTS: dict[str, Any] = {
    "transformer_feed_forward": FEED_FORWARD,
    "transformer_dropout_rate": DROPOUT_RATE,
}


def read_all_around(
    hidden: keras.KerasTensor,
    is_step: keras.KerasTensor,
    units: Sequence[int],
    heads: int,
    max_steps: int,
) -> keras.KerasTensor:
    """Return what attention and feed-forward layers, one upon the other, read of all steps at each.

    Steps that are none are read by no other, so that a text gives the same in a batch of longer
    ones; what stands at them in the result means nothing.

    Args:
        hidden: Shape (batch, steps, channels).
        is_step: Shape (batch, steps), float32: 1 for the steps of a text, which come first, then 0.
        units: Width of the attention of each layer, first to last: all its heads together.
        heads: Of each layer; divides its units.
        max_steps: The most steps that can be read.

    Returns:
        Shape (batch, steps, channels).
    """
    places = ops.maximum(ops.cumsum(ops.cast(is_step, "int32"), axis=1) - 1, 0)
    positions = layers.Embedding(max_steps, hidden.shape[-1], name=POSITIONS)(places)
    hidden = layers.Add(name="positioned")([hidden, positions])
    mask = ops.expand_dims(is_step > 0, 1)  # (batch, 1, steps): which steps are read
    for number, width in enumerate(units, start=1):
        normal = _normalize(hidden, f"attention_{number}_norm")
        attention = layers.MultiHeadAttention(heads, width // heads, name=f"attention_{number}")
        hidden = _add(hidden, attention(normal, normal, attention_mask=mask))
        hidden = _add(hidden, _feed_forward(hidden, FEED_FORWARD * width, number))
    return _normalize(hidden, "norm")


def _feed_forward(hidden: keras.KerasTensor, width: int, number: int) -> keras.KerasTensor:
    """Return what two Dense layers make of each step for itself, as many channels as `hidden`."""
    name = f"feed_forward_{number}"
    inner = layers.Dense(width, "relu", name=name)(_normalize(hidden, f"{name}_norm"))
    return layers.Dense(hidden.shape[-1], name=f"{name}_back")(inner)


def _normalize(hidden: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.LayerNormalization(epsilon=EPSILON, name=name)(hidden)


def _add(hidden: keras.KerasTensor, read: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Add()([hidden, layers.Dropout(DROPOUT_RATE)(read)])
