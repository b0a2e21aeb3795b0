"""int8 weights: LSTM, embeddings (a scale for each row, 4 bits if wanted), large dense layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from export.graph import Graph, attribute
from export.passes import lstm_nodes, zero_small_weights

MICROSOFT = "com.microsoft"
# Weights up to +-64 where the whole range has 127: CPUs without VNNI add pairs of uint8 x int8
# products in 16 bits, and 2 x 255 x 127 does not fit. 2 x 255 x 64 = 32640 does, so every CPU
# computes the same.
REDUCED_RANGE = 64
FULL_RANGE = 127
# A dense layer of fewer weights stays float32: the nodes that would quantize its input take longer
# than the multiplication, and the whole layer is under 16 KB.
MIN_DENSE_WEIGHTS = 4096
# A table of fewer columns holds weights, not vectors: 8 bits, and a scale for each column. So does
# the table of phrases, by the name of its layer, however many labels there are.
# A scale for each row would be an eighth of such a table or more, and 4 bits cost the default
# recipe's table of phrases half a point of accuracy on IMDB.
MIN_VECTOR = 16
WEIGHTS = "wide_weights"
SMALLEST_FLOAT16 = 6.2e-5  # below it float16 loses precision
# Shares of the largest value that 4 bits may reach up to.
CLIP_RATIOS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4)
MIDDLE = 8  # values of 4 bits are stored as 1 to 15


def quantize_model(
    model: onnx.ModelProto,
    reduce_range: bool = True,
    embedding_bits: int = 8,
    sparsity: float = 0.0,
) -> onnx.ModelProto:
    """Return `model` with int8 weights; activations are quantized as they come.

    Args:
        reduce_range: LSTM and dense weights within 7 bits.
        embedding_bits: 8 or 4, of the tables.
        sparsity: Share of the weights that become zero.
    """
    graph = Graph(onnx.ModelProto.FromString(model.SerializeToString()))
    highest = REDUCED_RANGE if reduce_range else FULL_RANGE
    if sparsity:
        zero_small_weights(graph, sparsity)
    for node in graph.nodes:
        if node.op_type == "Gather" and _is_table(graph.constant(node.input[0])):
            _quantize_embedding(graph, node, embedding_bits)
        elif node.op_type == "MatMul":
            _quantize_dense(graph, node, highest)
    for node in lstm_nodes(graph):
        _quantize_lstm(graph, node, highest)
    graph.model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    graph.tidy()
    return graph.model


def quantize_rows(
    weights: NDArray[np.float32], highest: int = FULL_RANGE, axis: int = -1
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return (int8 values, float32 scales), symmetric, one scale for each slice along `axis`.

    values * scales is at most half a step (scale / 2) from `weights`. A slice of zeros gets
    scale 1.
    """
    largest = np.abs(weights).max(axis=axis, keepdims=True)
    scales = np.where(largest > 0, largest / highest, 1).astype(np.float32)
    values = np.clip(np.rint(weights / scales), -highest, highest).astype(np.int8)
    return values, scales


def holds_vectors(name: str, columns: int) -> bool:
    """Say whether the table `name` holds word vectors, and not weights."""
    return columns >= MIN_VECTOR and WEIGHTS not in name


def quantize_table(
    table: NDArray[np.float32], bits: int, is_vectors: bool = True
) -> tuple[NDArray[np.int8], NDArray[np.floating[Any]]]:
    """Return (int8 values, scales) of an embedding table, `bits` of each value in use.

    Vectors get a scale for each row, float16, shape (rows, 1); weights one for each column,
    float32, shape (1, columns). With 8 bits values * scales is at most half a step from `table`;
    with 4 bits large values may be clipped, where that makes the squared error smaller.
    """
    axis = 1 if is_vectors else 0
    highest = 2 ** (bits - 1) - 1
    largest = np.abs(table).max(axis=axis, keepdims=True)
    best_error = np.full(largest.shape, np.inf)
    best = np.ones_like(largest)
    for ratio in CLIP_RATIOS if bits == 4 else (1.0,):
        scales = np.where(largest > 0, largest * ratio / highest, 1)
        if is_vectors:  # rounded up, so that the largest value needs no clipping
            scales = np.maximum(scales * (1 + 2**-11), SMALLEST_FLOAT16).astype(np.float16)
        scales = scales.astype(np.float32)
        values = np.clip(np.rint(table / scales), -highest, highest)
        error = np.mean((values * scales - table) ** 2, axis=axis, keepdims=True)
        best = np.where(error < best_error, scales, best)
        best_error = np.minimum(error, best_error)
    values = np.clip(np.rint(table / best), -highest, highest).astype(np.int8)
    return values, best.astype(np.float16 if is_vectors else np.float32)


def _is_table(value: NDArray[Any] | None) -> bool:
    return value is not None and value.ndim == 2 and value.dtype == np.float32


def _is_whole(table: NDArray[np.float32]) -> bool:
    return bool(((table >= 0) & (table <= 255) & (table == np.rint(table))).all())


def _quantize_embedding(graph: Graph, node: onnx.NodeProto, bits: int) -> None:
    """Let `node` look up integers and multiply what it found by their scales.

    Whole numbers up to 255 stay what they are; vectors that cannot be halved stay at 8 bits.
    """
    table = graph.weights(node.input[0])
    columns = table.shape[1]
    ids, output = node.input[1], node.output[0]
    if _is_whole(table):
        whole = graph.add_constant(table.astype(np.uint8), "numbers", is_shared=True)
        found = graph.add_node("Gather", [whole, ids], "rows")
        graph.redirect(output, graph.add_node("Cast", [found], "number", to=TensorProto.FLOAT))
        return
    is_vectors = holds_vectors(node.input[0], columns)
    bits = 8 if columns % 2 or not is_vectors else bits
    values, scales = quantize_table(table, bits, is_vectors)
    if bits == 8:
        found = graph.add_node("Gather", [graph.add_constant(values, "embedding"), ids], "rows")
    else:
        found = _look_up_nibbles(graph, values, ids)
    floats = graph.add_node("Cast", [found], "row_values", to=TensorProto.FLOAT)
    if bits == 4:
        middle = graph.add_constant(np.array(MIDDLE, np.float32), "middle")
        floats = graph.add_node("Sub", [floats, middle], "centred")
    steps = graph.add_constant(scales, "embedding_scales")
    if len(scales) == len(table):
        halves = graph.add_node("Gather", [steps, ids], "half_steps")
        steps = graph.add_node("Cast", [halves], "steps", to=TensorProto.FLOAT)
    graph.redirect(output, graph.add_node("Mul", [floats, steps], "embedded"))


def _look_up_nibbles(graph: Graph, values: NDArray[np.int8], ids: str) -> str:
    """Return values + MIDDLE; the first half of a row is stored in the low four bits.

    As quick as com.microsoft's GatherBlockQuantized (39 and 46 us of CPU time for 250 ids of 32
    columns; int8: 27), and every ONNX runtime has these operators.
    """
    low, high = np.hsplit((values + MIDDLE).astype(np.uint8), 2)
    packed = graph.add_constant(low | high << 4, "embedding")
    both = graph.add_node("Gather", [packed, ids], "packed_rows")
    halves = [_low_nibble(graph, both), _high_nibble(graph, both)]
    return graph.add_node("Concat", halves, "rows", axis=-1)


def _low_nibble(graph: Graph, packed: str) -> str:
    mask = graph.add_constant(np.array(15, np.uint8), "low_bits")
    return graph.add_node("BitwiseAnd", [packed, mask], "low")


def _high_nibble(graph: Graph, packed: str) -> str:
    shift = graph.add_constant(np.array(4, np.uint8), "shift")
    return graph.add_node("BitShift", [packed, shift], "high", direction="RIGHT")


def _quantize_dense(graph: Graph, node: onnx.NodeProto, highest: int) -> None:
    weights = graph.constant(node.input[1])
    if weights is None or weights.ndim != 2 or weights.size < MIN_DENSE_WEIGHTS:
        return
    values, scales = quantize_rows(weights, highest, axis=0)  # a scale for each output
    inputs = [
        node.input[0],
        graph.add_constant(values, "dense"),
        graph.add_constant(scales[0], "dense_scales"),
        graph.add_constant(np.zeros(len(scales[0]), np.int8), "dense_zero_points"),
    ]
    output = graph.add_node("DynamicQuantizeMatMul", inputs, "dense_output", domain=MICROSOFT)
    graph.redirect(node.output[0], output)


def _quantize_lstm(graph: Graph, node: onnx.NodeProto, highest: int) -> None:
    """Replace LSTM by ONNX Runtime's DynamicQuantizeLSTM, a scale for each gate's unit.

    W and R go from (directions, 4 units, inputs) to int8 (directions, inputs, 4 units).
    """
    quantized = []
    for name in node.input[1:3]:
        weights = graph.weights(name)
        values, scales = quantize_rows(weights, highest, axis=2)
        quantized.append(
            (
                graph.add_constant(values.transpose(0, 2, 1), "lstm_weights"),
                graph.add_constant(scales[:, :, 0], "lstm_scales"),
                graph.add_constant(np.zeros(scales.shape[:2], np.int8), "lstm_zero_points"),
            )
        )
    (w, w_scale, w_zero), (r, r_scale, r_zero) = quantized
    bias = node.input[3]
    lengths = node.input[4] if len(node.input) > 4 else ""
    inputs = [node.input[0], w, r, bias, lengths, "", "", "", w_scale, w_zero, r_scale, r_zero]
    replacement = helper.make_node(
        "DynamicQuantizeLSTM",
        inputs,
        list(node.output),
        node.name,
        domain=MICROSOFT,
        direction=attribute(node, "direction"),
        hidden_size=attribute(node, "hidden_size"),
        activations=attribute(node, "activations"),
    )
    graph.proto.node.remove(node)
    graph.proto.node.append(replacement)
