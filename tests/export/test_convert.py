"""The float32 graph computes what Keras computes, whatever stands beside a text in its batch."""

import dataclasses
from types import SimpleNamespace

import keras
import numpy as np
import onnx
import pytest
from keras import layers
from onnx import numpy_helper

from export import verify
from export.convert import convert_model, count_fused_layers
from export.errors import ExportError
from export.optimize import optimize_model
from export.quantize import quantize_model
from export.verify import check_nodes
from handler.inference.graph import check_graph
from handler.inference.letters import join_row
from tests.helpers.objectives import single_label
from tests.helpers.small_models import ROWS, build, open_session, run_keras, run_onnx
from tests.helpers.wide_deep import (
    LENGTHS,
    READING_LETTERS,
    SETTINGS,
    VOCAB_SIZE,
    random_tables,
    set_known,
)
from training.fitting.batches import feed, pad
from training.recipes import wide_deep

pytestmark = pytest.mark.slow

# Keras and ONNX Runtime sum the gates in another order; seen: under 1e-6 for models this small.
ATOL = 1e-5


@dataclasses.dataclass(frozen=True)
class Case:
    units: tuple[int, ...]
    is_bidirectional: bool = False
    num_outputs: int = 2
    mask_zero: bool = True


CASES = {
    "one LSTM": Case((6,)),
    "two LSTMs": Case((6, 5)),
    "two bidirectional": Case((6, 5), is_bidirectional=True),
    "three labels": Case((6, 5), num_outputs=3),
    "without a mask": Case((6, 5), mask_zero=False),
}


def build_model(case: Case) -> keras.Model:
    def body(token_ids, words):
        hidden = words(token_ids)
        for layer, units in enumerate(case.units, start=1):
            lstm = layers.LSTM(units, return_sequences=layer < len(case.units))
            hidden = (layers.Bidirectional(lstm) if case.is_bidirectional else lstm)(hidden)
        return hidden

    return build(body, case.num_outputs, case.mask_zero)


@pytest.fixture(scope="module", params=list(CASES))
def converted(request) -> tuple[Case, keras.Model, onnx.ModelProto]:
    case = CASES[request.param]
    model = build_model(case)
    return case, model, convert_model(model)


def test_float32_graph_equals_keras(converted):
    case, model, graph = converted
    session = open_session(graph)

    for batch in (pad(ROWS), pad(ROWS[:1]), pad([[], []]), pad([[5], [6]])):
        expected = run_keras(model, batch)
        found = run_onnx(session, batch)
        np.testing.assert_allclose(found, expected, rtol=0, atol=ATOL)
        assert found.shape == (len(batch), case.num_outputs)
    assert np.ptp(run_keras(model, pad(ROWS))[:, 0]) > 0.01  # a constant would prove nothing


def test_row_alone_equals_row_in_a_batch(converted):
    case, _, graph = converted
    # Where there is no mask padding counts, and only rows of one length may share a batch.
    rows = ROWS if case.mask_zero else [[5, 6], [7, 8], [9, 5]]
    session = open_session(graph)

    together = run_onnx(session, pad(rows))

    alone = np.vstack([run_onnx(session, pad([row])) for row in rows])
    np.testing.assert_allclose(together, alone, rtol=0, atol=ATOL)


def test_census_has_one_fused_node_a_layer_and_no_loop(converted):
    case, model, graph = converted

    for precision, op_type in (("float32", "LSTM"), ("int8", "DynamicQuantizeLSTM")):
        finished = optimize_model(graph)
        if precision == "int8":
            finished = optimize_model(quantize_model(finished))
        census = check_nodes(finished, count_fused_layers(model))
        assert count_fused_layers(model)["LSTM"] == census[op_type]
        assert census[op_type] == len(case.units)
        assert {"Loop", "Scan", "If"} & set(census) == set()
        check_graph(finished.SerializeToString())  # the handler takes it


def test_optimized_graph_computes_the_same(converted):
    _, _, graph = converted
    batch = pad(ROWS)

    found = run_onnx(open_session(optimize_model(graph)), batch)

    expected = run_onnx(open_session(graph), batch)
    np.testing.assert_allclose(found, expected, rtol=0, atol=ATOL)


def test_input_and_output_are_named_and_open(converted):
    case, _, graph = converted

    (token_ids,), (outputs,) = graph.graph.input, graph.graph.output

    assert token_ids.name == "token_ids"
    assert [dim.dim_param for dim in token_ids.type.tensor_type.shape.dim] == ["batch", "length"]
    assert outputs.name == "outputs"
    shape = outputs.type.tensor_type.shape.dim
    assert (shape[0].dim_param, shape[1].dim_value) == ("batch", case.num_outputs)


def build_tables() -> keras.Model:
    """Layers whose names look alike; one is called twice, one reads computed ids, one is frozen."""

    def body(token_ids, words):
        names = ("words_1", "words_2", "word")
        others = [layers.Embedding(16, 16, name=name, trainable=name != "word") for name in names]
        hidden = [layer(token_ids) for layer in others]
        hidden += [others[0](token_ids // 2), words(token_ids % 3)]
        return layers.GlobalAveragePooling1D()(layers.Concatenate()(hidden))

    return build(body, mask_zero=False)


def test_tables_have_the_names_of_their_layers():
    model = build_tables()
    tables = [layer for layer in model.layers if isinstance(layer, layers.Embedding)]

    graph = optimize_model(convert_model(model)).graph

    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    read = {node.input[0] for node in graph.node if node.op_type == "Gather"}
    assert read == {"word/table", "words/table", "words_1/table", "words_2/table"}
    for layer in tables:
        np.testing.assert_array_equal(found[f"{layer.name}/table"], layer.get_weights()[0])


def test_tables_of_one_content_are_one_by_the_first_name():
    model = build_tables()
    model.get_layer("words_2").set_weights(model.get_layer("word").get_weights())

    graph = optimize_model(convert_model(model)).graph

    read = {node.input[0] for node in graph.node if node.op_type == "Gather"}
    assert read == {"words/table", "words_1/table", "words_2/table"}


def test_only_the_tables_that_hold_weights_keep_8_bits():
    graph = optimize_model(convert_model(build_tables()))

    quantized = quantize_model(graph, embedding_bits=4, weight_tables=("words_2",))

    tables = [numpy_helper.to_array(tensor) for tensor in quantized.graph.initializer]
    # (rows, 1) of vectors, (1, columns) of weights. `words` is narrow; `words_1` is looked up twice
    # and stored once.
    scales = sorted(table.shape for table in tables if table.ndim == 2 and 1 in table.shape)
    assert scales == [(1, 4), (1, 16), (16, 1), (16, 1)]


def test_model_that_becomes_a_loop_is_refused():
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    hidden = layers.Embedding(16, 4)(token_ids)
    hidden = layers.RNN(layers.GRUCell(4))(hidden)
    model = keras.Model(token_ids, layers.Dense(2, activation="softmax")(hidden))

    with pytest.raises(ExportError, match="no bundle may have .*Loop"):
        check_nodes(convert_model(model), count_fused_layers(model))


@pytest.mark.parametrize(
    ("num_layers", "counted", "wanted", "named"),
    [
        ({"LSTM": 1, "Other": 1}, "0 fused Other nodes", "1", "Other"),
        ({"LSTM": 2, "Other": 0}, "1 fused LSTM nodes", "2", "LSTM"),
        (
            {"LSTM": 1, "Other": 0},
            "1 fused LSTM nodes, 0 fused Other nodes",
            "1, 0",
            "LSTM or Other",
        ),
    ],
)
def test_loop_beside_a_fused_lstm_is_refused(monkeypatch, num_layers, counted, wanted, named):
    kinds = [SimpleNamespace(NAME=name, NODE_TYPES=(name,)) for name in num_layers]
    monkeypatch.setattr(verify, "FUSED_KINDS", kinds)
    graph = onnx.ModelProto()
    graph.graph.node.add(op_type="LSTM")
    graph.graph.node.add(op_type="Loop")

    with pytest.raises(ExportError) as caught:
        check_nodes(graph, num_layers)

    assert str(caught.value) == (
        f"the graph has {counted}, wanted {wanted}; no bundle may have Loop. "
        f"Use {named} layers with their default activations."
    )


@pytest.mark.parametrize("num_labels", [2, 3])
def test_default_recipe_becomes_few_nodes_and_equals_keras(num_labels):
    keras.utils.set_random_seed(1)
    objective = single_label(num_labels)
    model = wide_deep.build_model(SETTINGS, VOCAB_SIZE, objective)
    random = np.random.default_rng(0)
    texts = [random.integers(1, 12, length).tolist() for length in (*LENGTHS, SETTINGS.max_length)]
    set_known(model, random_tables(objective.num_logits, texts))

    graph = optimize_model(convert_model(model))

    session = open_session(graph)
    for batch in [pad(texts), *(pad([text]) for text in texts)]:
        expected, found = run_keras(model, batch), run_onnx(session, batch)
        np.testing.assert_allclose(found, expected, rtol=0, atol=ATOL)
    assert np.ptp(run_keras(model, pad(texts))[:, 0]) > 0.01  # a constant would prove nothing
    assert len(graph.graph.node) <= 97  # 216 without the passes, before the exit and the start
    check_graph(graph.SerializeToString())
    for bits in (4, 8):
        check_graph(optimize_model(quantize_model(graph, embedding_bits=bits)).SerializeToString())


def test_letters_of_unknown_words_are_read_as_keras_reads_them():
    keras.utils.set_random_seed(1)
    model = wide_deep.build_model(READING_LETTERS, VOCAB_SIZE, single_label(3))
    random = np.random.default_rng(0)
    texts = [random.integers(1, 12, length).tolist() for length in LENGTHS]
    set_known(model, random_tables(3, texts))
    spelled = [[], ["good"], ["xx", "unseen"], ["wow"] * 9]
    rows = [join_row(ids, spelled[number % 4]) for number, ids in enumerate(texts)]
    session = open_session(optimize_model(convert_model(model)))

    together = session.run(None, feed(model, rows))[0]

    alone = np.vstack([session.run(None, feed(model, [row]))[0] for row in rows])
    expected = model(feed(model, rows), training=False).numpy()
    np.testing.assert_allclose(together, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(alone, expected, rtol=0, atol=1e-5)
    without = model(feed(model, texts), training=False).numpy()
    assert np.abs(expected - without).max() > 0.01
