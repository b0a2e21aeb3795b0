"""Recurrent layers of every kind and configuration are one node that computes what Keras does."""

import keras
import numpy as np
import onnxruntime
import pytest
from keras import layers

from export.convert import convert_model
from export.errors import ExportError
from export.optimize import optimize_model
from export.quantize import quantize_model
from handler.inference.classifier import session_options

NODES = {layers.LSTM: "LSTM", layers.GRU: "GRU", layers.SimpleRNN: "RNN"}
# A text that fills the batch, shorter ones, and an empty one.
LENGTHS = (9, 4, 1, 7, 0)
# float32 against float32, and int8 weights of a layer that was not trained.
ATOL, INT8_ATOL = 1e-6, 2e-3


def make_ids() -> np.ndarray:
    ids = np.random.default_rng(0).integers(1, 20, (len(LENGTHS), max(LENGTHS))).astype(np.int32)
    for row, length in enumerate(LENGTHS):
        ids[row, length:] = 0
    return ids


def make_model(layer: keras.Layer, is_masked: bool) -> keras.Model:
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    hidden = layer(layers.Embedding(20, 8, mask_zero=is_masked)(token_ids))
    if hidden.ndim == 3:
        hidden = keras.ops.max(hidden, axis=1)
    return keras.Model(token_ids, layers.Dense(2, activation="softmax")(hidden))


def run(graph, ids: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), session_options(1))
    return session.run(None, {"token_ids": ids})[0]


@pytest.mark.slow
@pytest.mark.parametrize("merge_mode", [None, "concat", "ave"])
@pytest.mark.parametrize("keeps_steps", [False, True])
@pytest.mark.parametrize("is_masked", [False, True])
@pytest.mark.parametrize(
    ("cell", "more"),
    [
        (layers.LSTM, {}),
        (layers.LSTM, {"use_bias": False}),
        (layers.GRU, {}),
        (layers.GRU, {"reset_after": False}),
        (layers.GRU, {"use_bias": False}),
        (layers.SimpleRNN, {"activation": "relu"}),
    ],
)
def test_node_computes_what_keras_does(cell, more, merge_mode, keeps_steps, is_masked):
    keras.utils.set_random_seed(1)
    if is_masked and keeps_steps:
        more = more | {"zero_output_for_mask": True}
    layer = cell(6, return_sequences=keeps_steps, bias_initializer="random_normal", **more)
    if merge_mode:
        layer = layers.Bidirectional(layer, merge_mode=merge_mode)
    model, ids = make_model(layer, is_masked), make_ids()

    graph = convert_model(model)

    expected = model.predict(ids, verbose=0)
    assert [node.op_type for node in graph.graph.node].count(NODES[cell]) == 1
    assert "minnow" not in {opset.domain for opset in graph.opset_import}
    np.testing.assert_allclose(run(graph, ids), expected, rtol=0, atol=ATOL)
    smaller = optimize_model(quantize_model(graph))
    np.testing.assert_allclose(run(smaller, ids), expected, rtol=0, atol=INT8_ATOL)
    stored = [tensor for tensor in smaller.graph.initializer if tensor.data_type == 3]  # int8
    assert len(stored) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("cell", NODES)
@pytest.mark.parametrize("is_masked", [False, True])
def test_layer_that_reads_backwards_ends_at_the_first_token(cell, is_masked):
    model, ids = make_model(cell(6, go_backwards=True), is_masked), make_ids()

    graph = convert_model(model)

    np.testing.assert_allclose(run(graph, ids), model.predict(ids, verbose=0), rtol=0, atol=ATOL)


@pytest.mark.slow
def test_layer_that_is_called_twice_is_two_nodes_of_the_same_weights():
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    vectors, shared = layers.Embedding(20, 8)(token_ids), layers.GRU(6)
    both = layers.Concatenate()([shared(vectors), shared(-vectors)])
    model, ids = keras.Model(token_ids, layers.Dense(2)(both)), make_ids()

    graph = convert_model(model)

    assert [node.op_type for node in graph.graph.node].count("GRU") == 2
    np.testing.assert_allclose(run(graph, ids), model.predict(ids, verbose=0), rtol=0, atol=ATOL)


@pytest.mark.parametrize(
    ("layer", "problem"),
    [
        (layers.GRU(3, go_backwards=True, return_sequences=True), "writes its steps backwards"),
        (layers.SimpleRNN(3, activation="gelu"), "has the activation gelu"),
        (layers.LSTM(3, recurrent_activation="linear"), "has the activation linear"),
        (layers.GRU(3, stateful=True), "starts from a state that is not zero"),
        (layers.LSTM(3, return_state=True), "returns its state"),
    ],
)
def test_layer_that_no_node_computes_is_refused(layer, problem):
    token_ids = keras.Input((None,), batch_size=2, dtype="int32", name="token_ids")
    hidden = layer(layers.Embedding(20, 8)(token_ids))
    hidden = hidden[0] if isinstance(hidden, list | tuple) else hidden
    hidden = keras.ops.max(hidden, axis=1) if hidden.ndim == 3 else hidden
    model = keras.Model(token_ids, layers.Dense(2)(hidden))

    with pytest.raises(ExportError, match=rf"^{layer.name}: the recurrent layer {problem}"):
        convert_model(model)


def test_initial_state_is_refused():
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    vectors = layers.Embedding(20, 3)(token_ids)
    hidden = layers.GRU(3, name="reads")(vectors, initial_state=keras.ops.max(vectors, axis=1))
    model = keras.Model(token_ids, layers.Dense(2)(hidden))

    with pytest.raises(ExportError, match="^reads: the recurrent layer starts from a state"):
        convert_model(model)
