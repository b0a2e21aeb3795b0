"""Stacked LSTMs: Embedding -> LSTM (sequences) -> LSTM -> Dense, with masking.

Or a transformer in their place, of whose steps the mean is taken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from training.answers.calibration import calibrate
from training.blocks import transformer
from training.blocks.encoders import CELLS, read_forward
from training.errors import SettingsError
from training.fitting.encoded import Encoded
from training.fitting.fit import Predictor, fit, make_predictor
from training.recipe import Fitted, History, SmallerVocabulary
from training.resuming.stages import Stages
from training.settings import Settings
from training.tasks import Objective

SETTINGS = Settings(recipe="stacked")
QUICK = dataclasses.replace(SETTINGS, epochs=1)
LOGITS = "logits"  # name of the last layer that has weights
CONSTANTS: Mapping[str, Any] = transformer.CONSTANTS
WEIGHT_TABLES: Sequence[str] = (transformer.POSITIONS,)
SMALLER_VOCABULARY: SmallerVocabulary | None = None


def plan_model(
    train: Encoded, dev: Encoded, settings: Settings, objective: Objective, stages: Stages
) -> Settings:
    """Return the settings as they are: the layers are the same for all rows.

    A transformer's learning rate is warmed up, and then lowered.

    Raises:
        SettingsError: An encoder that cannot be stacked so.
    """
    if settings.encoder == "transformer":
        return dataclasses.replace(settings, cosine_decay=True)
    if settings.encoder not in CELLS:
        wanted = " or ".join([*CELLS, "transformer"])
        raise SettingsError(
            f"--encoder is {settings.encoder}, wanted {wanted} of the recipe stacked."
        )
    return settings


def build_model(settings: Settings, vocab_size: int, objective: Objective) -> keras.Model:
    """Return the model: `token_ids` (batch, length) -> `outputs` (batch, num_outputs)."""
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    if settings.encoder == "transformer":
        hidden = _read_all_steps(token_ids, settings, vocab_size)
    else:
        hidden = layers.Embedding(vocab_size, settings.embedding_dim, mask_zero=True)(token_ids)
        cell = CELLS[settings.encoder]
        hidden = read_forward(hidden, settings.units, settings.dropout_rate, cell)
    if settings.dropout_rate:
        hidden = layers.Dropout(settings.dropout_rate)(hidden)
    logits = layers.Dense(objective.num_logits, name=LOGITS)(hidden)
    return keras.Model(token_ids, objective.add_head(logits), name="stacked")


def _read_all_steps(
    token_ids: keras.KerasTensor, settings: Settings, vocab_size: int
) -> keras.KerasTensor:
    """Return the mean of what a transformer reads at each token, shape (batch, embedding_dim)."""
    is_token = ops.cast(ops.not_equal(token_ids, 0), "float32")
    hidden = layers.Embedding(vocab_size, settings.embedding_dim)(token_ids)
    if settings.token_dropout_rate:
        drop = layers.Dropout(settings.token_dropout_rate, noise_shape=(None, None, 1))
        hidden = drop(hidden)
    hidden = transformer.read_all_around(
        hidden, is_token, settings.units, settings.heads, settings.max_length
    )
    total = ops.sum(hidden * ops.expand_dims(is_token, -1), axis=1)
    return total / ops.maximum(ops.sum(is_token, axis=1, keepdims=True), 1.0)


def fit_model(
    model: keras.Model,
    train: Encoded,
    dev: Encoded,
    settings: Settings,
    objective: Objective,
    stages: Stages,
) -> Fitted:
    """Fit the model in place to the training rows."""
    return Fitted(fine_tune_model(model, train, dev, settings, objective, stages))


def fine_tune_model(
    model: keras.Model,
    train: Encoded,
    dev: Encoded,
    settings: Settings,
    objective: Objective,
    stages: Stages,
) -> History:
    """Fit the model in place; return one row an epoch."""
    teacher = make_teacher(model, objective)
    history = fit(teacher, train, dev, settings, objective, stages.checkpoint)
    read_logits = make_predictor(keras.Model(model.input, model.get_layer(LOGITS).output))
    if train.costs is not None:
        _correct_prior(model, read_logits, dev, objective)
    objective.fit_head(model, read_logits(dev.rows), dev.targets, dev.weights)
    return history


def _correct_prior(
    model: keras.Model, read_logits: Predictor, dev: Encoded, objective: Objective
) -> None:
    """Scale and shift the logits in place, so that outputs are probabilities of the rows as they
    come: class weights had moved them."""
    layer = model.get_layer(LOGITS)
    found = calibrate([read_logits(dev.rows)], dev.targets, objective, [0.0], dev.weights)
    kernel, bias = layer.get_weights()
    scale = float(found.scales[0])
    layer.set_weights([scale * kernel, scale * bias + found.shifts])


def settle_model(
    model: keras.Model, rows: Encoded, objective: Objective
) -> tuple[Objective, NDArray[np.float32]]:
    """Return the objective, settled by what the model says of rows, and that."""
    outputs = tell_rows(model, rows, objective)
    return objective.settle(outputs, rows.targets, rows.weights), outputs


def tell_rows(model: keras.Model, rows: Encoded, objective: Objective) -> NDArray[np.float32]:
    """Return what the model says of rows; development rows are never learned from."""
    return make_predictor(model)(rows.rows)


def make_teacher(model: keras.Model, objective: Objective) -> keras.Model:
    """Return what learns: the model, whose weights it shares, but for the head that is fitted to
    what it says."""
    return keras.Model(model.input, objective.add_learner(model.get_layer(LOGITS).output))
