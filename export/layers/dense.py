"""Dense: reads a channel by each row of its kernel, writes one with each column.

Columns with an activation in between, such as those of a feed-forward layer, can be taken out; so
can those that are added to what another layer writes, together with that. All others stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from onnx import NodeProto

from export.graph import Graph
from export.layers.integers import MICROSOFT, quantize_rows
from export.layers.kind import Changes, Channels, Cut, Quantization, Weights, Wiring

NAME = "Dense"
NODE_TYPES: tuple[str, ...] = ("MatMul", "DynamicQuantizeMatMul")
READS_IDS = False
IS_RECURRENT = False
IS_FUSED = False
# A layer of fewer weights other than 0 stays float32: the nodes that would quantize its input take
# longer than the multiplication, and the whole layer is under 16 KB, once zeros are packed.
MIN_WEIGHTS = 4096
HIDDEN_ACTIVATIONS = ("relu", "gelu", "silu")


def matches(class_name: str, config: Mapping[str, Any]) -> bool:
    return class_name == NAME


def wire(wiring: Wiring, name: str, config: Mapping[str, Any], read: Channels) -> Channels:
    wiring.read(name, read)
    if config["activation"] not in HIDDEN_ACTIVATIONS and name not in wiring.holders:
        wiring.firm.add(name)
    return wiring.own(name, config["units"])


def resize(name: str, config: dict[str, Any], cut: Cut) -> None:
    config["units"] = cut.count(name)


def slice_weights(name: str, weights: Sequence[Weights], cut: Cut) -> list[Weights]:
    kernel, *bias = weights
    columns = cut.held(name)
    return [kernel[cut.stays(name)][:, columns], *(values[columns] for values in bias)]


def add_changes(
    name: str,
    weights: Sequence[Weights],
    slopes: Sequence[Weights],
    wiring: Wiring,
    changes: Changes,
) -> None:
    changes.add(wiring.reads[name], (weights[0] * slopes[0]).sum(axis=1))


def stand_in(layer: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return None: tf2onnx writes the layer."""
    return None


def find(graph: Graph, layer: keras.Layer) -> None:
    """Leave the graph as it is: tf2onnx writes one node of NODE_TYPES."""


def quantize(graph: Graph, node: NodeProto, quantization: Quantization) -> None:
    """Replace MatMul by ONNX Runtime's DynamicQuantizeMatMul, a scale for each output."""
    weights = graph.constant(node.input[1])
    if weights is None or not _is_quantized(weights.shape):
        return
    if np.count_nonzero(weights) < MIN_WEIGHTS:
        return
    values, scales = quantize_rows(weights, quantization.highest, axis=0)
    inputs = [
        node.input[0],
        graph.add_constant(values, "dense"),
        graph.add_constant(scales[0], "dense_scales"),
        graph.add_constant(np.zeros(len(scales[0]), np.int8), "dense_zero_points"),
    ]
    output = graph.add_node("DynamicQuantizeMatMul", inputs, "dense_output", domain=MICROSOFT)
    graph.redirect(node.output[0], output)


def estimate_bytes(
    name: str,
    shapes: Sequence[tuple[int, ...]],
    quantization: Quantization,
    num_rows: int | None,
) -> float:
    return sum(_matrix_bytes(shape) for shape in shapes)


def _matrix_bytes(shape: tuple[int, ...]) -> int:
    """Return the bytes as int8, with a float32 scale and a zero point a column, or as float32."""
    size = int(np.prod(shape))
    return size + 5 * shape[1] if _is_quantized(shape) else 4 * size


def _is_quantized(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and int(np.prod(shape)) >= MIN_WEIGHTS
