"""int8 weights: how far they may be, and how the nodes read them."""

import zlib

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from export.graph import Graph
from export.layers.embedding import quantize_table
from export.layers.integers import FULL_RANGE, REDUCED_RANGE, quantize_rows
from export.quantize import quantize_model

EMBEDDING = """
<ir_version: 10, opset_import: ["" : 18]>
lookup (int32[batch, length] token_ids) => (float[batch, length, 4] outputs)
{
    embedded = Gather (table, token_ids)
    outputs = Identity (embedded)
}
"""
LSTM = """
<ir_version: 10, opset_import: ["" : 18]>
recurrent (float[length, batch, 3] inputs, int32[batch] lens)
    => (float[directions, batch, 2] outputs)
{
    all, outputs, cell = LSTM <hidden_size = 2, direction = "bidirectional">
        (inputs, w, r, b, lens)
}
"""
DENSE = """
<ir_version: 10, opset_import: ["" : 18]>
dense (float[batch, inputs] hidden) => (float[batch, columns] outputs)
{
    product = MatMul (hidden, weights)
    outputs = Identity (product)
}
"""


def make_model(graph: str, **weights: np.ndarray) -> onnx.ModelProto:
    model = onnx.parser.parse_model(graph)
    model.graph.initializer.extend(
        numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()
    )
    return model


def run(model: onnx.ModelProto, precise: bool = False, **inputs: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Products of 8 bits with 8 bits in full, also on CPUs without VNNI, which saturate otherwise.
    options.add_session_config_entry("session.x64quantprecision", "1" if precise else "0")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(["outputs"], inputs)[0]


def op_types(model: onnx.ModelProto) -> list[str]:
    return sorted(node.op_type for node in model.graph.node)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(4)


@pytest.mark.parametrize("highest", [FULL_RANGE, REDUCED_RANGE])
@pytest.mark.parametrize("axis", [0, -1])
def test_quantized_slices_are_within_half_a_step(random, highest, axis):
    weights = (random.normal(size=(20, 7)) * 10.0 ** random.integers(-4, 4, (20, 1))).astype("f4")

    values, scales = quantize_rows(weights, highest, axis)

    assert values.dtype == np.int8
    assert np.abs(values.astype(int)).max(axis=axis).tolist() == [highest] * weights.shape[axis - 1]
    # 1e-6: float32's rounding of the division and the product.
    assert (np.abs(values * scales - weights) <= scales * (0.5 + 1e-4)).all()


def test_row_of_zeros_stays_zero_with_scale_one():
    values, scales = quantize_rows(np.array([[0, 0], [1, -2]], np.float32))

    np.testing.assert_array_equal(values[0], [0, 0])
    np.testing.assert_array_equal(scales[:, 0], np.array([1, 2 / 127], np.float32))


def test_embedding_is_looked_up_within_half_a_step_of_its_row(random):
    table = random.normal(size=(6, 16)) * np.array([[0], [0.1], [1], [1], [1], [100]])
    model = make_model(EMBEDDING.replace("length, 4", "length, 16"), table=table)
    token_ids = np.array([[0, 1, 2], [5, 4, 0]], np.int32)

    quantized = quantize_model(model)

    found, expected = (run(m, token_ids=token_ids) for m in (quantized, model))
    half_steps = np.abs(table).max(axis=1)[token_ids][:, :, None] / 127 / 2
    assert op_types(quantized) == ["Cast", "Cast", "Gather", "Gather", "Identity", "Mul"]
    # 1.001: a scale is rounded up to float16's 11 bits.
    assert (np.abs(found - expected) <= half_steps * 1.001).all()
    np.testing.assert_array_equal(found[0, 0], np.zeros(16))


@pytest.mark.parametrize("columns", [16, 18, 32])
def test_embedding_of_4_bits_is_looked_up(random, columns):
    table = random.normal(size=(7, columns)).astype(np.float32)
    model = make_model(EMBEDDING.replace("length, 4", f"length, {columns}"), table=table)
    token_ids = np.array([[0, 1, 2, 3], [6, 5, 4, 0]], np.int32)

    quantized = quantize_model(model, embedding_bits=4)

    values, scales = quantize_table(table, bits=4)
    found = run(quantized, token_ids=token_ids)
    np.testing.assert_array_equal(found, (values * scales.astype(np.float32))[token_ids])
    (packed,) = (
        tensor for tensor in quantized.graph.initializer if tensor.name.startswith("embedding__")
    )
    assert len(numpy_helper.to_array(packed).tobytes()) == -(-table.size // 2)
    assert np.abs(values).max() <= 7
    # The step of the largest value is a seventh of it; clipping trades that for smaller steps.
    assert np.sqrt(np.mean((found - table[token_ids]) ** 2)) < np.abs(table).max() / 7 / 2


@pytest.mark.parametrize("columns", [1, 8, 17])
def test_embedding_that_is_narrow_or_of_odd_width_keeps_8_bits(random, columns):
    table = random.normal(size=(7, columns)).astype(np.float32)
    model = make_model(EMBEDDING.replace("length, 4", f"length, {columns}"), table=table)

    assert quantize_model(model, embedding_bits=4) == quantize_model(model)


@pytest.mark.parametrize("columns", [1, 2, 15])
def test_narrow_table_has_a_scale_for_each_column(random, columns):
    table = (random.normal(size=(50, columns)) * 10.0 ** np.arange(columns)).astype(np.float32)
    model = make_model(EMBEDDING.replace("length, 4", f"length, {columns}"), table=table)
    token_ids = np.arange(50, dtype=np.int32)[None]

    values, scales = quantize_table(table, bits=8, is_vectors=False)

    assert scales.shape == (1, columns)
    assert scales.dtype == np.float32
    assert (np.abs(values * scales - table) <= scales * 0.5001).all()
    found = run(quantize_model(model), token_ids=token_ids)
    np.testing.assert_array_equal(found, (values * scales)[token_ids])


def test_table_that_holds_weights_keeps_8_bits_however_wide(random):
    table = random.normal(size=(50, 40)).astype(np.float32)
    model = make_model(EMBEDDING.replace("length, 4", "length, 40"), table=table)
    (node,) = (node for node in model.graph.node if node.op_type == "Gather")
    node.input[0] = model.graph.initializer[0].name = "phrases/table"
    token_ids = np.arange(50, dtype=np.int32)[None]

    found = run(
        quantize_model(model, embedding_bits=4, weight_tables=("phrases",)), token_ids=token_ids
    )

    values, scales = quantize_table(table, bits=8, is_vectors=False)
    np.testing.assert_array_equal(found[0], values * scales)
    other = quantize_model(model, embedding_bits=4, weight_tables=("phrase",))
    assert np.abs(run(other, token_ids=token_ids) - found).max() > 0.01


def test_table_of_whole_numbers_stays_exact(random):
    table = random.integers(0, 256, size=(40, 1)).astype(np.float32)
    model = make_model(EMBEDDING.replace("length, 4", "length, 1"), table=table)

    quantized = quantize_model(model)

    (stored,) = (numpy_helper.to_array(tensor) for tensor in quantized.graph.initializer)
    assert stored.dtype == np.uint8
    found = run(quantized, token_ids=np.arange(40, dtype=np.int32)[None])
    np.testing.assert_array_equal(found[0], table)


def test_clipping_makes_the_error_of_4_bits_smaller(random):
    table = random.normal(size=(200, 64)).astype(np.float32)

    values, scales = quantize_table(table, bits=4)

    clipped = np.mean((values * scales.astype(np.float32) - table) ** 2)
    plain_values, plain_scales = quantize_rows(table, highest=7)
    plain = np.mean((plain_values * plain_scales - table) ** 2)
    assert clipped < 0.9 * plain


def test_small_weights_become_zero_and_deflate_better(random):
    table = random.normal(size=(400, 8)).astype(np.float32)
    model = make_model(EMBEDDING.replace("length, 4", "length, 8"), table=table)

    dense, sparse = (quantize_model(model, sparsity=share) for share in (0.0, 0.6))

    found, expected = (
        run(m, token_ids=np.arange(400, dtype=np.int32)[None])[0] for m in (sparse, dense)
    )
    small = np.abs(table) < np.quantile(np.abs(table), 0.6)
    assert small.mean() == pytest.approx(0.6, abs=0.001)
    np.testing.assert_array_equal(found, np.where(small, 0, expected))
    sizes = [len(zlib.compress(m.SerializeToString(), 9)) for m in (sparse, dense)]
    assert sizes[0] < 0.75 * sizes[1]


def make_lstm(random: np.random.Generator) -> onnx.ModelProto:
    return make_model(
        LSTM,
        w=random.normal(size=(2, 8, 3)) * np.arange(1, 9)[:, None],
        r=random.normal(size=(2, 8, 2)),
        b=random.normal(size=(2, 16)),
    )


def test_lstm_has_a_scale_for_each_unit_of_each_gate(random):
    model = make_lstm(random)

    graph = Graph(quantize_model(model))

    (node,) = graph.nodes
    w, w_scale, w_zero = (graph.constant(node.input[index]) for index in (1, 8, 9))
    r, r_scale, r_zero = (graph.constant(node.input[index]) for index in (2, 10, 11))
    assert node.op_type == "DynamicQuantizeLSTM"
    assert (w.shape, r.shape) == ((2, 3, 8), (2, 2, 8))
    assert w_scale.shape == r_scale.shape == w_zero.shape == r_zero.shape == (2, 8)
    assert not w_zero.any()
    assert not r_zero.any()
    original = numpy_helper.to_array(model.graph.initializer[0])
    rebuilt = (w * w_scale[:, None, :]).transpose(0, 2, 1)
    assert (np.abs(rebuilt - original) <= w_scale[:, :, None] * 0.5001).all()


@pytest.mark.parametrize("reduce_range", [True, False])
def test_quantized_lstm_computes_nearly_the_same(random, reduce_range):
    model = make_lstm(random)
    inputs = random.normal(size=(5, 3, 3)).astype(np.float32)
    lens = np.array([5, 1, 3], np.int32)

    quantized = quantize_model(model, reduce_range)

    found = run(quantized, precise=not reduce_range, inputs=inputs, lens=lens)
    expected = run(model, inputs=inputs, lens=lens)
    # Weights of up to 8 times a normal variable, 7 bits, five steps: a wrong scale gives 1.
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.15)


def test_large_dense_layer_is_quantized(random):
    model = make_model(DENSE, weights=random.normal(size=(128, 32)))
    hidden = random.uniform(-1, 1, size=(3, 128)).astype(np.float32)

    quantized = quantize_model(model)

    found, expected = (run(m, hidden=hidden) for m in (quantized, model))
    assert op_types(quantized) == ["DynamicQuantizeMatMul", "Identity"]
    # 128 products, each off by half a step of either side (1/64 and 1/255): about 0.2 in all.
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.5)


def test_small_dense_layer_stays_as_it_is(random):
    model = make_model(DENSE, weights=random.normal(size=(127, 32)))

    quantized = quantize_model(model)

    assert quantized.graph == model.graph


def test_the_model_given_is_not_changed(random):
    model = make_lstm(random)
    before = model.SerializeToString(deterministic=True)

    quantize_model(model)

    assert model.SerializeToString(deterministic=True) == before
