"""LayerNormalization over the last axis: reads channels, and writes the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from onnx import NodeProto

from export.graph import Graph
from export.layers.kind import Changes, Channels, Cut, Quantization, Weights, Wiring
from export.layers.stand_ins import describe_stand_in, find_stand_ins

NAME = "LayerNormalization"
NODE_TYPES: tuple[str, ...] = ("LayerNormalization", "SkipLayerNormalization")
READS_IDS = False
IS_RECURRENT = False
IS_FUSED = True


def matches(class_name: str, config: Mapping[str, Any]) -> bool:
    is_plain = class_name == NAME and config["scale"] and not config.get("rms_scaling")
    return is_plain and config["axis"] in (-1, [-1])


def wire(wiring: Wiring, name: str, config: Mapping[str, Any], read: Channels) -> Channels:
    wiring.read(name, read)
    return read


def resize(name: str, config: dict[str, Any], cut: Cut) -> None:
    """Leave the configuration as it is: it tells no size."""


def slice_weights(name: str, weights: Sequence[Weights], cut: Cut) -> list[Weights]:
    return [values[cut.stays(name)] for values in weights]


def add_changes(
    name: str,
    weights: Sequence[Weights],
    slopes: Sequence[Weights],
    wiring: Wiring,
    changes: Changes,
) -> None:
    """Add nothing: what a channel is worth is told by what reads it behind the layer."""


def stand_in(layer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `LayerKind.stand_in` does: tf2onnx writes a dozen nodes."""
    calls = [[*node["args"], *_values(node["kwargs"])][:1] for node in layer["inbound_nodes"]]
    return describe_stand_in(layer, calls[0][0]["config"]["shape"], calls)


def find(graph: Graph, layer: keras.Layer) -> None:
    """Write a LayerNormalization node."""
    scale = np.asarray(layer.gamma)
    shift = np.asarray(layer.beta) if layer.center else np.zeros_like(scale)
    for node in find_stand_ins(graph, layer.name):
        inputs = [
            node.input[2],
            graph.add_constant(scale, f"{layer.name}/scale"),
            graph.add_constant(shift, f"{layer.name}/shift"),
        ]
        written = graph.add_node(
            "LayerNormalization", inputs, layer.name, axis=-1, epsilon=layer.epsilon
        )
        graph.redirect(node.output[0], written)


def quantize(graph: Graph, node: NodeProto, quantization: Quantization) -> None:
    """Leave the node as it is: it has no matrix."""


def estimate_bytes(
    name: str,
    shapes: Sequence[tuple[int, ...]],
    quantization: Quantization,
    num_rows: int | None,
) -> float:
    return 4 * sum(int(np.prod(shape)) for shape in shapes)


def _values(kwargs: Mapping[str, Any]) -> list[Any]:
    return [value for value in kwargs.values() if value is not None]
