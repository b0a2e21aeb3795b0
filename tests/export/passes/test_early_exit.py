"""An exit in the graph: what is skipped, and that every row gets what Keras gives it."""

import dataclasses
from collections import Counter

import keras
import numpy as np
import pytest

from export.convert import convert_model
from export.optimize import optimize_model
from export.quantize import quantize_model
from handler.inference.graph import check_graph
from tests.helpers.objectives import single_label
from tests.helpers.small_models import open_session, run_keras, run_onnx
from tests.helpers.wide_deep import LENGTHS, SETTINGS, VOCAB_SIZE, random_tables, set_known
from training.blocks.early_exit import EXIT, GATE
from training.blocks.segments import SEGMENT_TOKENS, STRIDE
from training.fitting.batches import pad
from training.recipes import wide_deep

pytestmark = pytest.mark.slow

ATOL = {"float32": 1e-5, "int8": 0.02}  # as `test_convert`; int8 word vectors and states


def make_model(num_labels: int, share: float | None) -> tuple[keras.Model, list[list[int]]]:
    """Return a model of which that share of the texts exits, None: whose gate is closed."""
    keras.utils.set_random_seed(1)
    objective = single_label(num_labels)
    model = wide_deep.build_model(SETTINGS, VOCAB_SIZE, objective)
    random = np.random.default_rng(0)
    texts = [random.integers(1, 12, length).tolist() for length in LENGTHS]
    set_known(model, random_tables(objective.num_logits, texts))
    width = objective.num_logits
    model.get_layer(EXIT).set_weights([2 * np.eye(width), 0.1 * np.ones(width)])
    for name in ("conv1d", "deep_logits", "mixture"):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([3 * kernel, bias + 0.1])
    if share is not None:
        model.get_layer(GATE).set_weights([np.ones((1, 1)), np.zeros(1)])
        margins = [-1, *np.sort(read_gate(model, texts)), 1e6]
        num_below = round((1 - share) * len(texts))
        threshold = np.mean(margins[num_below : num_below + 2])  # on neither side by a rounding
        model.get_layer(GATE).set_weights([np.ones((1, 1)), np.array([-threshold])])
    return model, texts


def read_gate(model: keras.Model, texts: list[list[int]]) -> np.ndarray:
    gate = keras.Model(model.input, model.get_layer(GATE).output)
    return run_keras(gate, pad(texts))[:, 0]


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("share", [0, 0.5, 1])
@pytest.mark.parametrize("num_labels", [2, 3])
def test_rows_alone_and_together_get_what_keras_gives(num_labels, share, precision):
    model, texts = make_model(num_labels, share)

    graph = optimize_model(convert_model(model))
    if precision == "int8":
        graph = optimize_model(quantize_model(graph, weight_tables=wide_deep.WEIGHT_TABLES))

    assert (read_gate(model, texts) > 0).mean() == pytest.approx(share, abs=0.1)
    check_graph(graph.SerializeToString())
    session = open_session(graph)
    expected = run_keras(model, pad(texts))
    together = run_onnx(session, pad(texts))
    alone = np.vstack([run_onnx(session, pad([text])) for text in texts])
    np.testing.assert_allclose(together, expected, rtol=0, atol=ATOL[precision])
    np.testing.assert_allclose(alone, expected, rtol=0, atol=ATOL[precision])
    exits = read_gate(model, texts) > 0
    # What exits is computed by the phrases alone, which are whole numbers in either graph.
    np.testing.assert_allclose(together[exits], expected[exits], rtol=0, atol=1e-5)
    np.testing.assert_allclose(alone[exits], together[exits], rtol=0, atol=1e-6)


def test_what_exits_is_not_read():
    model, texts = make_model(2, 0.5)
    graph = optimize_model(convert_model(model))
    (reader,) = [node for node in graph.graph.node if node.op_type == "LSTM"]
    graph.graph.output.add().name = reader.output[0]
    session = open_session(graph)
    exits = read_gate(model, texts) > 0

    def count_read(batch: list[list[int]]) -> tuple[int, int]:
        steps, _, segments, _ = session.run([reader.output[0]], {"token_ids": pad(batch)})[0].shape
        return steps, segments

    certain = [text for text, is_out in zip(texts, exits, strict=True) if is_out]
    others = [text for text, is_out in zip(texts, exits, strict=True) if not is_out]
    num_segments = sum(-(-len(text) // SEGMENT_TOKENS) for text in others)
    assert count_read(texts) == count_read(others) == (SEGMENT_TOKENS // STRIDE, num_segments)
    assert count_read(certain) == count_read(certain[:1]) == (1, 1)


def test_closed_gate_leaves_nothing_in_the_graph():
    closed, _ = make_model(2, None)
    settings = dataclasses.replace(SETTINGS, early_exit=False)
    without = wide_deep.build_model(settings, VOCAB_SIZE, single_label(2))
    for layer in without.layers:
        layer.set_weights(closed.get_layer(layer.name).get_weights() if layer.weights else [])

    counts = [
        Counter(node.op_type for node in optimize_model(convert_model(model)).graph.node)
        for model in (closed, without)
    ]

    assert counts[0] == counts[1]
    assert not counts[0]["ScatterND"]


def test_text_without_tokens_gets_the_same_beside_others_that_exit():
    model, texts = make_model(2, 0.5)
    exits = read_gate(model, texts) > 0
    certain = [text for text, is_out in zip(texts, exits, strict=True) if is_out]
    session = open_session(optimize_model(convert_model(model)))

    alone = run_onnx(session, pad([[]]))
    first = run_onnx(session, pad([[], *certain]))[:1]
    last = run_onnx(session, pad([*certain, []]))[-1:]

    assert read_gate(model, [[]]) <= 0
    for found in (alone, first, last):
        np.testing.assert_allclose(found, run_keras(model, pad([[]])), rtol=0, atol=1e-6)
