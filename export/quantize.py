"""int8 weights: LSTM, embeddings (a scale per row) and large dense layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from export.graph import Graph, attribute
from export.passes import lstm_nodes

MICROSOFT = "com.microsoft"
# Weights up to +-64 where the whole range has 127: CPUs without VNNI add pairs of uint8 x int8
# products in 16 bits, and 2 x 255 x 127 does not fit. 2 x 255 x 64 = 32640 does, so every CPU
# computes the same.
REDUCED_RANGE = 64
FULL_RANGE = 127
# A dense layer of fewer weights stays float32: the nodes that would quantize its input take longer
# than the multiplication, and the whole layer is under 16 KB.
MIN_DENSE_WEIGHTS = 4096


def quantize_model(model: onnx.ModelProto, reduce_range: bool = True) -> onnx.ModelProto:
    """Return `model` with int8 weights; activations are quantized as they come."""
    graph = Graph(onnx.ModelProto.FromString(model.SerializeToString()))
    highest = REDUCED_RANGE if reduce_range else FULL_RANGE
    for node in graph.nodes:
        if node.op_type == "Gather" and _is_table(graph.constant(node.input[0])):
            _quantize_embedding(graph, node)
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


def _is_table(value: NDArray[Any] | None) -> bool:
    return value is not None and value.ndim == 2 and value.dtype == np.float32


def _quantize_embedding(graph: Graph, node: onnx.NodeProto) -> None:
    table = graph.weights(node.input[0])
    values, scales = quantize_rows(table)  # (rows, dim), (rows, 1)
    ids, output = node.input[1], node.output[0]
    rows = graph.add_node("Gather", [graph.add_constant(values, "embedding"), ids], "rows")
    steps = graph.add_node("Gather", [graph.add_constant(scales, "embedding_scales"), ids], "steps")
    floats = graph.add_node("Cast", [rows], "row_values", to=TensorProto.FLOAT)
    graph.redirect(output, graph.add_node("Mul", [floats, steps], "embedded"))


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
