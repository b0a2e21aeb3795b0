"""Attention and normalization are fused nodes that compute what Keras does, padding and all."""

import dataclasses

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers, ops

from export.compress.prune import prune_model
from export.convert import convert_model, count_fused_layers
from export.errors import ExportError
from export.optimize import optimize_model
from export.quantize import quantize_model
from export.verify import check_nodes
from handler.inference.classifier import session_options
from tests.helpers.objectives import single_label
from training.recipes import stacked

VOCAB_SIZE = 40
# A text that fills the batch, shorter ones, one token, and an empty one.
LENGTHS = (30, 12, 7, 1, 0)
SETTINGS = dataclasses.replace(
    stacked.SETTINGS, encoder="transformer", units=(64, 64), embedding_dim=64, max_length=30
)
# float32 beside float32, and int8 weights and activations of layers that were not trained.
ATOL, INT8_ATOL = 1e-5, 0.08


def make_ids() -> np.ndarray:
    ids = np.random.default_rng(0).integers(1, VOCAB_SIZE, (len(LENGTHS), max(LENGTHS)))
    for row, length in enumerate(LENGTHS):
        ids[row, length:] = 0
    return ids.astype(np.int32)


def make_model() -> keras.Model:
    """Return two layers whose weights are far from what they are before training: biases too."""
    keras.utils.set_random_seed(1)
    model = stacked.build_model(SETTINGS, VOCAB_SIZE, single_label(3))
    random = np.random.default_rng(2)
    model.set_weights([w + random.normal(0, 0.2, w.shape) for w in model.get_weights()])
    return model


def run(graph: onnx.ModelProto, ids: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), session_options(1))
    return session.run(None, {"token_ids": ids})[0]


def check_parity(graph: onnx.ModelProto, model: keras.Model, atol: float) -> None:
    """Check the outputs of all texts in one batch, and of each alone."""
    ids = make_ids()
    expected = model(ids, training=False).numpy()
    np.testing.assert_allclose(run(graph, ids), expected, rtol=0, atol=atol)
    for row, length in enumerate(LENGTHS):
        alone = run(graph, ids[row : row + 1, : max(1, length)])
        np.testing.assert_allclose(alone, expected[row : row + 1], rtol=0, atol=atol)


@pytest.mark.slow
def test_graph_computes_what_keras_does_in_floats_and_integers():
    model = make_model()

    graph = optimize_model(convert_model(model))

    check_parity(graph, model, ATOL)
    census = check_nodes(graph, count_fused_layers(model))
    # Queries, keys and values are one product; each layer's other three are back and forth.
    assert (census["Attention"], census["MatMul"]) == (2, 6)
    assert census["LayerNormalization"] + census.get("SkipLayerNormalization", 0) == 5
    assert not {"Loop", "Shape", "ReduceMean", "Einsum", "Transpose"} & set(census)
    for reduce_range in (True, False):
        tables = stacked.WEIGHT_TABLES
        smaller = optimize_model(quantize_model(graph, reduce_range, weight_tables=tables))
        check_parity(smaller, model, INT8_ATOL)
        census = check_nodes(smaller, count_fused_layers(model))
        assert (census["QAttention"], census["DynamicQuantizeMatMul"]) == (2, 6)
        assert len(smaller.SerializeToString()) < 0.4 * len(graph.SerializeToString())


@pytest.mark.slow
def test_padding_changes_no_answer_however_much_there_is():
    model, ids = make_model(), make_ids()
    graph = convert_model(model)

    longer = np.pad(ids[1:], ((0, 0), (0, 50)))

    np.testing.assert_allclose(run(graph, longer), run(graph, ids)[1:], rtol=0, atol=ATOL)


@pytest.mark.slow
def test_pruned_model_is_exported_as_any_other():
    whole = make_model()
    (words,) = (layer.name for layer in whole.layers if layer.name.startswith("embedding"))
    keep = {
        words: np.arange(0, 64, 2),
        "attention_1": np.array([0, 1, 3]),
        "attention_2": np.array([2]),
        "feed_forward_1": np.arange(40),
    }

    model = prune_model(whole, keep)

    check_parity(optimize_model(convert_model(model)), model, ATOL)
    heads = [model.get_layer(f"attention_{number}").num_heads for number in (1, 2)]
    assert heads == [3, 1]


@pytest.mark.slow
@pytest.mark.parametrize("has_bias", [False, True])
def test_attention_without_mask_reads_padding_too(has_bias):
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    hidden = layers.Embedding(VOCAB_SIZE, 8)(token_ids)
    attention = layers.MultiHeadAttention(2, 5, use_bias=has_bias, bias_initializer="random_normal")
    hidden = ops.max(attention(hidden, hidden), axis=1)
    model = keras.Model(token_ids, layers.Dense(2, activation="softmax")(hidden))

    graph = convert_model(model)

    np.testing.assert_allclose(
        run(graph, make_ids()), model(make_ids(), training=False), rtol=0, atol=ATOL
    )


def call(given: dict, **kwargs) -> keras.Model:
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    hidden = layers.Embedding(VOCAB_SIZE, 8)(token_ids)
    attention = layers.MultiHeadAttention(2, 4, name="attention", **given)
    masks = {name: mask(token_ids) for name, mask in kwargs.items() if callable(mask)}
    read = attention(hidden, kwargs.get("value", hidden), **(kwargs | masks))
    return keras.Model(token_ids, layers.Dense(2)(ops.max(read, axis=1)))


@pytest.mark.parametrize(
    ("given", "kwargs", "problem"),
    [
        ({"value_dim": 3}, {}, "has values of 3 columns and keys of 4"),
        ({"output_shape": 6}, {}, r"has the output_shape"),
        ({}, {"use_causal_mask": True}, "has a causal mask"),
        (
            {},
            {
                "attention_mask": lambda ids: (
                    ops.expand_dims(ids > 0, 1) & ops.expand_dims(ids > 0, 2)
                )
            },
            r"has an attention_mask of the shape .* wanted \(batch, 1, steps\)",
        ),
    ],
)
def test_attention_that_no_node_computes_is_refused(given, kwargs, problem):
    with pytest.raises(ExportError, match=f"^attention: the attention {problem}.* Train without"):
        convert_model(call(given, **kwargs))


def test_attention_over_another_sequence_is_refused():
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    table = layers.Embedding(VOCAB_SIZE, 8)
    read = layers.MultiHeadAttention(2, 4, name="attention")(table(token_ids), -table(token_ids))
    model = keras.Model(token_ids, layers.Dense(2)(ops.max(read, axis=1)))

    with pytest.raises(ExportError, match="^attention: the attention reads another sequence"):
        convert_model(model)


def test_a_fused_node_that_is_missing_fails_the_export():
    graph = onnx.ModelProto()
    graph.graph.node.add(op_type="Attention", domain="com.microsoft")

    with pytest.raises(
        ExportError, match="^the graph has 1 fused MultiHeadAttention nodes, wanted 2"
    ):
        check_nodes(
            graph, dict.fromkeys(count_fused_layers(call({})), 0) | {"MultiHeadAttention": 2}
        )
