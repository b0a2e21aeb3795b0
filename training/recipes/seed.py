"""The seed model: Embedding -> LSTM (sequences) -> LSTM -> Dense, with masking."""

from __future__ import annotations

import dataclasses

import keras
from keras import layers

from training.fit import fit as fit_model
from training.settings import Settings

__all__ = ["QUICK", "SETTINGS", "build_model", "fine_tune_model", "fit_model", "make_teacher"]

SETTINGS = Settings(recipe="seed")
fine_tune_model = fit_model
QUICK = dataclasses.replace(SETTINGS, epochs=1)


def build_model(settings: Settings, vocab_size: int, num_classes: int) -> keras.Model:
    """Return the model: token ids (batch, length) -> probabilities, one column for two classes."""
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    hidden = layers.Embedding(vocab_size, settings.embedding_dim, mask_zero=True)(token_ids)
    for layer, units in enumerate(settings.units, start=1):
        if settings.dropout_rate:
            hidden = layers.Dropout(settings.dropout_rate)(hidden)
        hidden = layers.LSTM(units, return_sequences=layer < len(settings.units))(hidden)
    if settings.dropout_rate:
        hidden = layers.Dropout(settings.dropout_rate)(hidden)
    if num_classes == 2:
        output = layers.Dense(1, activation="sigmoid", name="probabilities")(hidden)
    else:
        output = layers.Dense(num_classes, activation="softmax", name="probabilities")(hidden)
    return keras.Model(token_ids, output, name="seed")


def make_teacher(model: keras.Model) -> keras.Model:
    """Return what a smaller model learns from."""
    return model
