"""Recurrent encoders: a function for each, from vectors of steps to what was read.

They take the recurrent layer as an argument: a recipe of another kind passes `layers.GRU`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
from keras import layers

Encoder = Callable[[keras.KerasTensor, Sequence[int]], keras.KerasTensor]
RecurrentLayer = Callable[..., keras.Layer]


def read_forward(
    hidden: keras.KerasTensor,
    units: Sequence[int],
    dropout_rate: float = 0.0,
    recurrent: RecurrentLayer = layers.LSTM,
) -> keras.KerasTensor:
    """Return what recurrent layers, one upon the other, hold after the last step.

    Args:
        hidden: Shape (batch, steps, channels).
        units: Hidden units of each layer, first to last.
        dropout_rate: Share of what each layer reads that is zeroed while training.
        recurrent: Makes a layer of so many units.

    Returns:
        Shape (batch, units[-1]).
    """
    for layer, width in enumerate(units, start=1):
        if dropout_rate:
            hidden = layers.Dropout(dropout_rate)(hidden)
        hidden = recurrent(width, return_sequences=layer < len(units))(hidden)
    return hidden


def read_both_ways(
    hidden: keras.KerasTensor,
    units: Sequence[int],
    recurrent: RecurrentLayer = layers.LSTM,
) -> keras.KerasTensor:
    """Return what recurrent layers, one upon the other, hold after each step, read both ways.

    Args:
        hidden: Shape (batch, steps, channels).
        units: Hidden units of each direction of each layer, first to last.
        recurrent: Makes a layer of so many units.

    Returns:
        Shape (batch, steps, 2 * units[-1]).
    """
    for number, width in enumerate(units):
        name = f"bidirectional_{number}" if number else "bidirectional"
        hidden = layers.Bidirectional(recurrent(width, return_sequences=True), name=name)(hidden)
    return hidden
