"""Recurrent encoders: a function for each, from vectors of steps to what was read.

Another kind of recurrent layer is another function here, and a recipe that takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
from keras import layers

Encoder = Callable[[keras.KerasTensor, Sequence[int]], keras.KerasTensor]


def lstm(
    hidden: keras.KerasTensor, units: Sequence[int], dropout_rate: float = 0.0
) -> keras.KerasTensor:
    """Return what LSTM layers, one upon the other, hold after the last step.

    Args:
        hidden: Shape (batch, steps, channels).
        units: Hidden units of each layer, first to last.
        dropout_rate: Share of what each layer reads that is zeroed while training.

    Returns:
        Shape (batch, units[-1]).
    """
    for layer, width in enumerate(units, start=1):
        if dropout_rate:
            hidden = layers.Dropout(dropout_rate)(hidden)
        hidden = layers.LSTM(width, return_sequences=layer < len(units))(hidden)
    return hidden


def bidirectional_lstm(hidden: keras.KerasTensor, units: Sequence[int]) -> keras.KerasTensor:
    """Return what LSTM layers, one upon the other, hold after each step, read both ways.

    Args:
        hidden: Shape (batch, steps, channels).
        units: Hidden units of each direction of each layer, first to last.

    Returns:
        Shape (batch, steps, 2 * units[-1]).
    """
    for number, width in enumerate(units):
        name = f"bidirectional_{number}" if number else "bidirectional"
        hidden = layers.Bidirectional(layers.LSTM(width, return_sequences=True), name=name)(hidden)
    return hidden
