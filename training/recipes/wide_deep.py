"""The default recipe: a wide linear model over phrases beside a deep LSTM over segments.

Wide and deep (Cheng et al. 2016), fitted one after the other: the phrases
(`training/blocks/phrases.py`), the LSTM by gradient descent, and last, on the development rows, the
weight of each in their mixture. Fitted together, the LSTM learns only what is left of texts that
the phrases know by heart.

    token_ids ─┬─ phrases: look up, sum ───────────────────────── wide ─┬─ exit ───┐
               │                                                        │        where ─ outputs
               └─ embedding ─ segments ─ Conv1D ─ LSTM ─ max ─── deep ──┴─ mixture ┘

Where the phrases are certain, the outputs are theirs (`training/blocks/early_exit.py`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray
from scipy.optimize import minimize

from training import word_vectors
from training.blocks import early_exit, phrases, segments
from training.data import Encoded
from training.encoders import read_both_ways
from training.fit import fit, make_predictor
from training.progress import interruptible, step
from training.recipe import History, SmallerVocabulary, Stages
from training.settings import Settings
from training.tasks import Objective

SETTINGS = Settings(
    recipe="wide_deep",
    dev_fraction=0.05,
    max_length=1024,
    embedding_dim=32,
    units=(64,),
    table_bytes=262_144,
    dropout_rate=0.5,
    token_dropout_rate=0.3,
    learning_rate=2e-3,
    weight_decay=1e-4,
    cosine_decay=True,
    ema_share=0.15,
    epochs=8,
    min_steps=1500,
    patience=0,
    early_exit=True,
)
QUICK = dataclasses.replace(SETTINGS, epochs=2, min_steps=600)
VECTOR_SCALE = 0.5  # standard deviation of the first word vectors
EQUAL_WEIGHTS = np.array([0.5, 0.5, 0.0])  # of the wide logits, of the deep ones; the shift
CONSTANTS: Mapping[str, Any] = (
    phrases.CONSTANTS
    | segments.CONSTANTS
    | early_exit.CONSTANTS
    | word_vectors.CONSTANTS
    | {"word_vector_scale": VECTOR_SCALE}
)
WEIGHT_TABLES: Sequence[str] = (phrases.WEIGHTS,)
# Layers of both halves' logits side by side, of the deep half's, and of the weight of each half.
BOTH, DEEP, MIXTURE = "both_logits", "deep_logits", "mixture"


def build_model(settings: Settings, vocab_size: int, objective: Objective) -> keras.Model:
    """Return the model: `token_ids` (batch, length) -> `outputs` (batch, num_outputs)."""
    num_logits = objective.num_logits
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    num_buckets = phrases.count_buckets(num_logits, settings.table_bytes)
    wide = phrases.phrase_logits(token_ids, vocab_size, num_buckets, num_logits)
    deep = segments.read_segments(token_ids, settings, vocab_size, read_both_ways)
    deep = layers.Dropout(settings.dropout_rate)(deep)
    deep = layers.Dense(num_logits, name=DEEP)(deep)
    both = layers.Concatenate(name=BOTH)([wide, deep])
    logits = layers.Dense(num_logits, name=MIXTURE)(both)
    if settings.early_exit:
        logits = early_exit.exit_early(wide, logits, objective)
    return keras.Model(token_ids, objective.add_head(logits), name="wide_deep")


def fit_model(
    model: keras.Model,
    train: Encoded,
    dev: Encoded,
    settings: Settings,
    objective: Objective,
    stages: Stages,
) -> History:
    """Fit the model in place, from where the stages stand; return one row an epoch."""
    _fit_wide(model, train, settings, objective, stages)
    embedding = model.get_layer(segments.EMBEDDING)
    size, dim = embedding.input_dim, embedding.output_dim

    def learn() -> dict[str, NDArray[np.float32]]:
        with step("word vectors"):
            learned = interruptible(
                lambda: word_vectors.learn_word_vectors(train.token_ids, size, dim, settings.seed)
            )
        return {"vectors": learned}

    embedding.set_weights([stages.make("word_vectors", learn)["vectors"] * VECTOR_SCALE])
    return fine_tune_model(model, train, dev, settings, objective, stages)


def fine_tune_model(
    model: keras.Model,
    train: Encoded,
    dev: Encoded,
    settings: Settings,
    objective: Objective,
    stages: Stages,
) -> History:
    """Fit the deep half in place, the weight of each half and the exit; the phrases stay."""
    kernel, bias = model.get_layer(MIXTURE).get_weights()
    teacher = make_teacher(model, objective)
    history = fit(teacher, train, dev, settings, objective, stages.checkpoint, "the LSTM alone")
    both = keras.Model(model.input, model.get_layer(BOTH).output)
    logits = make_predictor(both)(dev.token_ids)
    wide_bias = bias / kernel[0, 0] if kernel[0, 0] else np.zeros_like(bias)
    _fit_mixture(model, logits, dev.targets, wide_bias, objective)
    if early_exit.has_exit(model):
        kernel, bias = model.get_layer(MIXTURE).get_weights()
        wide, full = logits[:, : objective.num_logits], logits @ kernel + bias
        early_exit.fit_exit(model, wide, wide_bias, full, dev.targets, objective)
    return history


def make_teacher(model: keras.Model, objective: Objective) -> keras.Model:
    """Return what a smaller model learns from: the deep half, whose weights it shares.

    The phrases know the training rows by heart, and would teach no more than the labels do.
    """
    return keras.Model(model.input, objective.add_head(model.get_layer(DEEP).output))


def shrink_vocabulary(
    model: keras.Model,
    kept_ids: NDArray[np.int64],
    train: Encoded,
    settings: Settings,
    objective: Objective,
    stages: Stages,
) -> keras.Model:
    """Return the model of fewer words and, in proportion, fewer phrases.

    The deep half keeps what it learned; the phrases are fitted anew.

    Args:
        kept_ids: int64, shape (words,): token ids that stay, sorted; they are numbered anew in that
            order.
        train: Rows in the new ids.
    """
    table_bytes = _shrink_table(model, len(kept_ids))
    settings = dataclasses.replace(settings, table_bytes=table_bytes)
    small = build_model(settings, len(kept_ids), objective)
    for layer in small.layers:
        if layer.weights and layer.name not in (phrases.FINGERPRINTS, phrases.WEIGHTS):
            weights = model.get_layer(layer.name).get_weights()
            is_table = layer.name == segments.EMBEDDING
            layer.set_weights([weights[0][kept_ids]] if is_table else weights)
    early_exit.close_gate(small)  # until it is fitted anew
    _fit_wide(small, train, settings, objective, stages)
    return small


def count_rows(model: keras.Model, num_words: int) -> dict[str, int]:
    """Return the rows that each table of `shrink_vocabulary`'s model has."""
    num_logits = model.get_layer(DEEP).units
    num_buckets = phrases.count_buckets(num_logits, _shrink_table(model, num_words))
    return {
        segments.EMBEDDING: num_words,
        phrases.FINGERPRINTS: num_buckets,
        phrases.WEIGHTS: num_words + num_buckets,
    }


SMALLER_VOCABULARY: SmallerVocabulary | None = SmallerVocabulary(count_rows, shrink_vocabulary)


def _shrink_table(model: keras.Model, num_words: int) -> int:
    """Return the bytes of the table of phrases whose share stays that `num_words` are of all."""
    num_buckets: int = model.get_layer(phrases.FINGERPRINTS).input_dim
    table_bytes = phrases.count_bytes(num_buckets, model.get_layer(DEEP).units)
    vocab_size: int = model.get_layer(segments.EMBEDDING).input_dim
    return round(table_bytes * num_words / vocab_size)


def _fit_wide(
    model: keras.Model, train: Encoded, settings: Settings, objective: Objective, stages: Stages
) -> None:
    """Fit the phrases, or read what an earlier try left of them; put them in.

    Both halves then have the same weight.
    """
    vocab_size = model.get_layer(segments.EMBEDDING).input_dim
    num_buckets = model.get_layer(phrases.FINGERPRINTS).input_dim

    def fit_table() -> dict[str, NDArray[Any]]:
        targets = objective.logit_targets(train.targets)
        with step("phrases"):
            table = interruptible(
                lambda: phrases.fit_phrases(
                    train.token_ids, targets, vocab_size, num_buckets, settings.seed
                )
            )
        return vars(table)

    table = phrases.Phrases(**stages.make("phrases", fit_table))
    phrases.set_phrases(model, table)
    identity = np.eye(objective.num_logits, dtype=np.float32)
    model.get_layer(MIXTURE).set_weights([np.vstack([identity, identity]), table.bias])


def _fit_mixture(
    model: keras.Model,
    logits: NDArray[np.float32],
    targets: NDArray[np.float32],
    bias: NDArray[np.float32],
    objective: Objective,
) -> None:
    """Give each half the weight in the mixture that makes the development loss least.

    Two weights, and for a single logit a shift: this calibrates the outputs too. A prior as heavy
    as one row keeps them finite where a half makes no mistake.

    Args:
        logits: Of both halves, shape (rows, 2 * num_logits).
        targets: Shape (rows, num_outputs).
        bias: Of the wide half, shape (num_logits,).
    """
    num_logits = len(bias)
    wide, deep = logits[:, :num_logits] + bias, logits[:, num_logits:]

    def cost(weights: NDArray[np.float64]) -> float:
        wide_weight, deep_weight, shift = weights
        mixed = wide_weight * wide + deep_weight * deep + (shift if num_logits == 1 else 0)
        prior = ((weights - EQUAL_WEIGHTS) ** 2).sum() / 2
        return float(objective.logits_loss(mixed, targets) + prior)

    bounds = [(0.0, None), (0.0, None), (None, None)]
    wide_weight, deep_weight, shift = minimize(cost, EQUAL_WEIGHTS, bounds=bounds).x
    identity = np.eye(num_logits, dtype=np.float32)
    kernel = np.vstack([wide_weight * identity, deep_weight * identity])
    shift = wide_weight * bias + (shift if num_logits == 1 else 0.0)
    model.get_layer(MIXTURE).set_weights([kernel, shift])
