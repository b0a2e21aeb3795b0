"""LSTM, alone or in a Bidirectional: reads channels, writes one with each hidden unit.

Taking out a unit takes its column in all four gates and its row of recurrent weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from onnx import NodeProto

from export.graph import Graph, attribute
from export.layers import recurrent
from export.layers.directions import (
    add_changes_of_directions,
    has_cell,
    resize_directions,
    slice_directions,
    wire_directions,
)
from export.layers.integers import MICROSOFT, quantize_rows
from export.layers.kind import Cut, Quantization, Weights

NAME = "LSTM"
NODE_TYPES: tuple[str, ...] = ("LSTM", "DynamicQuantizeLSTM")
READS_IDS = False
IS_RECURRENT = True
IS_FUSED = True
NUM_GATES = 4

wire = wire_directions
stand_in = recurrent.stand_in
resize = resize_directions
add_changes = add_changes_of_directions


def matches(class_name: str, config: Mapping[str, Any]) -> bool:
    return has_cell(NAME, class_name, config)


def slice_weights(name: str, weights: Sequence[Weights], cut: Cut) -> list[Weights]:
    return slice_directions(name, weights, cut, NUM_GATES)


def find(graph: Graph, layer: keras.Layer) -> None:
    """Write an LSTM node; Keras' gates are input, forget, cell, output, and ONNX has the output
    gate second."""
    fields = ("recurrent_activation", "activation", "activation")
    recurrent.write_nodes(graph, layer, "LSTM", (0, 3, 1, 2), fields)


def quantize(graph: Graph, node: NodeProto, quantization: Quantization) -> None:
    """Replace LSTM by ONNX Runtime's DynamicQuantizeLSTM, a scale for each gate's unit.

    W and R go from (directions, 4 units, inputs) to int8 (directions, inputs, 4 units).
    """
    quantized = []
    for name in node.input[1:3]:
        weights = graph.weights(name)
        values, scales = quantize_rows(weights, quantization.highest, axis=2)
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
    graph.replace_node(
        node,
        "DynamicQuantizeLSTM",
        inputs,
        domain=MICROSOFT,
        direction=attribute(node, "direction"),
        hidden_size=attribute(node, "hidden_size"),
        activations=attribute(node, "activations"),
    )


def estimate_bytes(
    name: str,
    shapes: Sequence[tuple[int, ...]],
    quantization: Quantization,
    num_rows: int | None,
) -> float:
    """Count int8, and for each column a float32 scale, a zero point and the bias, stored twice."""
    return sum(
        int(np.prod(shape)) + 5 * shape[1] if len(shape) == 2 else 8 * shape[0] for shape in shapes
    )
