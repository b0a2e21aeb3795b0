"""Small Keras models whose outputs depend on what they read, and their graphs run."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import onnx
import onnxruntime
from keras import layers

VOCAB_SIZE, COLUMNS = 16, 4
# Mixed lengths, an empty row, one token, the longest alone at its length, and equal rows.
ROWS = [[3, 4, 5, 6, 7, 8, 9, 10, 11], [], [5], [7, 1, 1], [5], [12, 13, 14, 15], [1] * 6]


def build(
    body: Callable, num_outputs: int = 2, mask_zero: bool = True, name: str = "words"
) -> keras.Model:
    """Return `body(token_ids, embedding layer)` -> softmax.

    Weights are near 1: at Keras' default of 0.05 every text would get about the same outputs.
    """
    keras.utils.set_random_seed(5)
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    large = keras.initializers.RandomNormal(stddev=1.0, seed=1)
    embedding = layers.Embedding(
        VOCAB_SIZE, COLUMNS, mask_zero=mask_zero, embeddings_initializer=large, name=name
    )
    head = layers.Dense(num_outputs, activation="softmax", kernel_initializer=large, name="head")
    return keras.Model(token_ids, head(body(token_ids, embedding)))


def run_keras(model: keras.Model, batch: np.ndarray) -> np.ndarray:
    return np.asarray(model(batch, training=False))


def open_session(graph: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def run_onnx(session: onnxruntime.InferenceSession, batch: np.ndarray) -> np.ndarray:
    return session.run(["outputs"], {"token_ids": batch})[0]
