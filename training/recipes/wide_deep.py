"""The default recipe: a wide linear model over phrases beside a deep LSTM over segments.

Wide and deep (Cheng et al. 2016), fitted one after the other: the phrases as in `training/blocks/phrases.py`,
the LSTM by gradient descent, and last, on the development rows, how far to trust each. Fitted
together, the LSTM learns only what is left of texts that the phrases know by heart.

    token_ids ─┬─ phrases: look up, sum ──────────────────────────────── wide_logits ─┐
               └─ embedding ─ segments ─ Conv1D ─ LSTM both ways ─ max ─ deep_logits ─┴─ Dense
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray
from scipy.optimize import minimize

from training.blocks.phrases import (
    FIRST_WORD_ID,
    MULTIPLIERS,
    NUM_FINGERPRINTS,
    PRIME,
    TAIL_TOKENS,
    Wide,
    fit_wide,
)
from training.fit import Encoded, fit, make_reader
from training.settings import Settings
from training.word_vectors import learn_word_vectors

SETTINGS = Settings(
    recipe="wide_deep",
    dev_fraction=0.05,
    max_length=1024,
    embedding_dim=32,
    units=(64,),
    table_bytes=2**18,
    dropout_rate=0.5,
    token_dropout_rate=0.3,
    learning_rate=2e-3,
    weight_decay=1e-4,
    cosine_decay=True,
    ema_share=0.15,
    epochs=8,
    min_steps=1500,
    patience=0,
)
QUICK = dataclasses.replace(SETTINGS, epochs=2, min_steps=600)
# The LSTM reads segments of 50 tokens, all at once, two tokens a step: 25 steps for a text of any
# length (Johnson & Zhang 2016, arXiv 1602.02373, pool over such regions).
SEGMENT_TOKENS = 50
STRIDE = 2
KERNEL = 4
VECTOR_SCALE = 0.5  # standard deviation of the first word vectors
EQUAL_TRUST = np.array([0.5, 0.5, 0.0])  # in the wide logits, in the deep ones; the shift
FAR_BELOW = -1.0  # under every LSTM output, for steps that are padding


def build_model(settings: Settings, vocab_size: int, num_classes: int) -> keras.Model:
    """Return the model: token ids (batch, length) -> probabilities, one column for two classes."""
    columns = 1 if num_classes == 2 else num_classes
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    buckets = num_buckets(columns, settings.table_bytes)
    wide = _wide_logits(token_ids, vocab_size, buckets, columns)
    deep = _deep_logits(token_ids, settings, vocab_size, columns)
    output = layers.Dense(columns, activation=_activation(columns), name="probabilities")(
        layers.Concatenate(name="both_logits")([wide, deep])
    )
    return keras.Model(token_ids, output, name="wide_deep")


def fit_model(
    model: keras.Model, train: Encoded, dev: Encoded, settings: Settings, checkpoint: Path
) -> list[dict[str, float]]:
    """Fit `model` in place, from where `checkpoint` stands; return one row per epoch."""
    _set_wide(model, train, settings, checkpoint.with_name("wide.npz"))
    if not checkpoint.exists():
        embedding = model.get_layer("embedding")
        vectors = learn_word_vectors(
            train.token_ids, embedding.input_dim, embedding.output_dim, settings.seed
        )
        embedding.set_weights([vectors * VECTOR_SCALE])
    return fine_tune_model(model, train, dev, settings, checkpoint)


def fine_tune_model(
    model: keras.Model, train: Encoded, dev: Encoded, settings: Settings, checkpoint: Path
) -> list[dict[str, float]]:
    """Fit the deep half in place and the trust in each; the phrases stay as they are."""
    columns = model.output_shape[-1]
    kernel, bias = model.get_layer("probabilities").get_weights()
    history = fit(make_teacher(model), train, dev, settings, checkpoint)
    both = keras.Model(model.input, model.get_layer("both_logits").output)
    logits = make_reader(both)(dev.token_ids)
    _set_mixture(model, logits, dev, bias / kernel[0, 0] if kernel[0, 0] else np.zeros(columns))
    return history


def make_teacher(model: keras.Model) -> keras.Model:
    """Return what a smaller model learns from: the deep half, whose weights it shares.

    The phrases know the training rows by heart, and would teach no more than the labels do.
    """
    activate = layers.Activation(_activation(model.output_shape[-1]))
    return keras.Model(model.input, activate(model.get_layer("deep_logits").output))


def shrink_vocabulary(
    model: keras.Model, kept_ids: NDArray[np.int64], train: Encoded, settings: Settings, path: Path
) -> keras.Model:
    """Return the model of fewer words and, in proportion, fewer phrases.

    The deep half keeps what it learned; the phrases are fitted anew.

    Args:
        kept_ids: Token ids that stay, sorted; they are numbered anew in that order.
        train: Rows in the new ids.
        path: Where the fitted phrases are kept, or found again.
    """
    columns = model.output_shape[-1]
    table_bytes = _shrink_table(model, len(kept_ids))
    settings = dataclasses.replace(settings, table_bytes=table_bytes)
    small = build_model(settings, len(kept_ids), 2 if columns == 1 else columns)
    for layer in small.layers:
        if layer.weights and not layer.name.startswith("wide_"):
            weights = model.get_layer(layer.name).get_weights()
            layer.set_weights([weights[0][kept_ids]] if layer.name == "embedding" else weights)
    _set_wide(small, train, settings, path)
    return small


def count_rows(model: keras.Model, num_words: int) -> dict[str, int]:
    """Return the rows that each table of `shrink_vocabulary`'s model has."""
    buckets = num_buckets(model.output_shape[-1], _shrink_table(model, num_words))
    return {
        "embedding": num_words,
        "wide_fingerprints": buckets,
        "wide_weights": num_words + buckets,
    }


def num_buckets(columns: int, table_bytes: int) -> int:
    """Return how many phrases have room."""
    buckets = max(1, table_bytes // _phrase_bytes(columns))
    return buckets - 1 if buckets % NUM_FINGERPRINTS == 0 else buckets


def _phrase_bytes(columns: int) -> int:
    return 1 + 2 * columns  # a fingerprint and two weights a class


def _shrink_table(model: keras.Model, num_words: int) -> int:
    """Return the bytes of the table of phrases whose share stays that `num_words` are of all."""
    buckets: int = model.get_layer("wide_fingerprints").input_dim
    table_bytes = buckets * _phrase_bytes(model.output_shape[-1])
    vocab_size: int = model.get_layer("embedding").input_dim
    return round(table_bytes * num_words / vocab_size)


def _wide_logits(token_ids: Any, vocab_size: int, buckets: int, columns: int) -> Any:
    """Return shape (batch, columns): what `training/blocks/phrases.py` computes, without its bias.

    Every feature is a row of one table. Sorting the rows of a text brings equal ones together, and
    of those only the first counts; of equal rows the one nearest to the end is sorted first.
    """
    is_token = ops.cast(token_ids > 0, "int64")
    remaining = ops.sum(is_token, axis=1, keepdims=True) - ops.cumsum(is_token, axis=1) + 1
    after_tail = ops.cast(remaining > TAIL_TOKENS, "int64")
    words = ops.pad(ops.cast(token_ids, "int64"), ((0, 0), (0, 2)))
    windows = [words[:, :-2], words[:, 1:-1], words[:, 2:]]
    is_known = [window >= FIRST_WORD_ID for window in windows]
    fingerprints = layers.Embedding(buckets, 1, name="wide_fingerprints", trainable=False)
    rows = [ops.where(is_known[0], windows[0], 0)]
    for multipliers in MULTIPLIERS:
        products = [m * window for m, window in zip(multipliers, windows, strict=False)]
        hashed = sum(products[1:], products[0]) % PRIME
        bucket = hashed % buckets
        found = ops.squeeze(fingerprints(bucket), -1)
        is_kept = ops.equal(found, ops.cast(hashed % NUM_FINGERPRINTS + 1, "float32"))
        for known, _ in zip(is_known, multipliers, strict=False):
            is_kept = ops.logical_and(is_kept, known)
        rows.append(ops.where(is_kept, bucket + vocab_size, 0))
    keys = ops.concatenate([2 * row + after_tail for row in rows], axis=1)
    keys = ops.sort(keys, axis=1)
    row = ops.floor_divide(keys, 2)
    before = ops.pad(row[:, :-1], ((0, 0), (1, 0)))  # row 0 is no feature
    is_first = ops.cast(ops.not_equal(row, before), "float32")
    is_tail = is_first * ops.cast(ops.equal(keys, 2 * row), "float32")
    size = vocab_size + buckets
    weights = layers.Embedding(size, 2 * columns, name="wide_weights", trainable=False)(row)
    return _mean_root(weights[:, :, :columns], is_first) + _mean_root(
        weights[:, :, columns:], is_tail
    )


def _mean_root(weights: Any, is_present: Any) -> Any:
    """Return the sum of the weights of what is present, over the root of its number."""
    present = ops.expand_dims(is_present, 1)  # (batch, 1, features)
    total = ops.squeeze(ops.matmul(present, weights), 1)
    count = ops.sum(is_present, axis=1, keepdims=True)
    return total / ops.sqrt(ops.maximum(count, 1.0))


def _deep_logits(token_ids: Any, settings: Settings, vocab_size: int, columns: int) -> Any:
    """Return shape (batch, columns): convolution and LSTM over segments, the maximum of each unit.

    The segments of all texts are one batch. `place` finds those of a text again: segment s of text
    b is row b * segments + s.
    """
    padded = ops.pad(token_ids, ((0, 0), (0, SEGMENT_TOKENS - 1)))
    segments = ops.extract_sequences(padded, SEGMENT_TOKENS, SEGMENT_TOKENS)
    each = ops.ones_like(segments[:, :, 0])
    place = (ops.cumsum(each, axis=0) - 1) * ops.sum(each, axis=1, keepdims=True)
    place = place + ops.cumsum(each, axis=1) - 1
    ids = ops.reshape(segments, (-1, SEGMENT_TOKENS))
    is_token = ops.cast(ids > 0, "float32")
    hidden = layers.Embedding(vocab_size, settings.embedding_dim, name="embedding")(ids)
    hidden = hidden * ops.expand_dims(is_token, -1)
    # Whole words are dropped, not their parts.
    hidden = layers.Dropout(settings.token_dropout_rate, noise_shape=(None, None, 1))(hidden)
    hidden = layers.Conv1D(
        2 * settings.embedding_dim,
        KERNEL,
        strides=STRIDE,
        padding="same",
        activation="relu",
        name="conv1d",
    )(hidden)
    for number, units in enumerate(settings.units):
        name = f"bidirectional_{number}" if number else "bidirectional"
        lstm = layers.LSTM(units, return_sequences=True)
        hidden = layers.Bidirectional(lstm, name=name)(hidden)
    steps = SEGMENT_TOKENS // STRIDE
    is_step = ops.max(ops.reshape(is_token, (-1, steps, STRIDE)), axis=-1, keepdims=True)
    hidden = hidden * is_step + FAR_BELOW * (1 - is_step)
    hidden = ops.max(hidden, axis=1)  # (segments of all texts, 2 * units)
    hidden = ops.max(ops.take(hidden, place, axis=0), axis=1)  # (batch, 2 * units)
    hidden = layers.Dropout(settings.dropout_rate)(hidden)
    return layers.Dense(columns, name="deep_logits")(hidden)


def _set_wide(model: keras.Model, train: Encoded, settings: Settings, path: Path) -> None:
    """Fit the phrases, or read them from `path` where an earlier try left them; put them in.

    The last layer then gives both halves the same trust.
    """
    columns = model.output_shape[-1]
    vocab_size = model.get_layer("embedding").input_dim
    if path.exists():
        with np.load(path, allow_pickle=False) as arrays:
            wide = Wide(arrays["fingerprints"], arrays["weights"], arrays["bias"])
    else:
        wide = fit_wide(
            train.token_ids,
            train.label_ids,
            2 if columns == 1 else columns,
            vocab_size,
            model.get_layer("wide_fingerprints").input_dim,
            settings.seed,
        )
        temporary = path.with_name("wide.tmp.npz")
        np.savez(temporary, **vars(wide))
        temporary.replace(path)
    model.get_layer("wide_fingerprints").set_weights([wide.fingerprints[:, None]])
    model.get_layer("wide_weights").set_weights([wide.weights])
    identity = np.eye(columns, dtype=np.float32)
    model.get_layer("probabilities").set_weights([np.vstack([identity, identity]), wide.bias])


def _set_mixture(
    model: keras.Model, logits: NDArray[np.float32], dev: Encoded, bias: NDArray[np.float32]
) -> None:
    """Set the last layer to the trust in each half that makes the development log loss least.

    Two weights, and for two classes a shift: this calibrates the probabilities too. A prior as
    heavy as one row keeps them finite where a half makes no mistake.
    """
    columns = len(bias)
    wide, deep = logits[:, :columns] + bias, logits[:, columns:]

    def objective(parameters: NDArray[np.float64]) -> float:
        wide_weight, deep_weight, shift = parameters
        mixed = wide_weight * wide + deep_weight * deep
        if columns == 1:
            mixed = np.hstack([np.zeros_like(mixed), mixed + shift])
        mixed = mixed - mixed.max(axis=1, keepdims=True)
        true = mixed[np.arange(len(mixed)), dev.label_ids]
        log_losses = np.log(np.exp(mixed).sum(axis=1)) - true
        return float(log_losses.sum() + ((parameters - EQUAL_TRUST) ** 2).sum() / 2)

    bounds = [(0.0, None), (0.0, None), (None, None)]
    wide_weight, deep_weight, shift = minimize(objective, EQUAL_TRUST, bounds=bounds).x
    identity = np.eye(columns, dtype=np.float32)
    kernel = np.vstack([wide_weight * identity, deep_weight * identity])
    shift = wide_weight * bias + (shift if columns == 1 else 0.0)
    model.get_layer("probabilities").set_weights([kernel, shift])


def _activation(columns: int) -> str:
    return "sigmoid" if columns == 1 else "softmax"
