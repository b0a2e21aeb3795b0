"""Conv1D: reads a channel by each row of its kernels, writes one with each filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from onnx import NodeProto

from export.graph import Graph
from export.layers.kind import UNKNOWN, Changes, Channels, Cut, Quantization, Weights, Wiring

NAME = "Conv1D"
NODE_TYPES: tuple[str, ...] = ("Conv", "Gemm")
READS_IDS = False
IS_RECURRENT = False
IS_FUSED = False


def matches(class_name: str, config: Mapping[str, Any]) -> bool:
    return class_name == NAME


def wire(wiring: Wiring, name: str, config: Mapping[str, Any], read: Channels) -> Channels:
    if config["groups"] != 1:
        return UNKNOWN
    written = wiring.own(name, config["filters"])
    wiring.read(name, read)
    return written


def resize(name: str, config: dict[str, Any], cut: Cut) -> None:
    config["filters"] = cut.count(name)


def slice_weights(name: str, weights: Sequence[Weights], cut: Cut) -> list[Weights]:
    kernel, *bias = weights  # (kernel size, channels, filters), (filters,)
    filters, stays = cut.held(name), cut.stays(name)
    return [kernel[:, stays][:, :, filters], *(values[filters] for values in bias)]


def add_changes(
    name: str,
    weights: Sequence[Weights],
    slopes: Sequence[Weights],
    wiring: Wiring,
    changes: Changes,
) -> None:
    changes.add(wiring.reads[name], (weights[0] * slopes[0]).sum(axis=(0, 2)))


def stand_in(layer: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return None: tf2onnx writes the layer."""
    return None


def find(graph: Graph, layer: keras.Layer) -> None:
    """Leave the graph as it is: tf2onnx writes one node of NODE_TYPES."""


def quantize(graph: Graph, node: NodeProto, quantization: Quantization) -> None:
    """Leave the node as it is: the kernels of a text model are a few KB."""


def estimate_bytes(
    name: str,
    shapes: Sequence[tuple[int, ...]],
    quantization: Quantization,
    num_rows: int | None,
) -> float:
    return 4 * sum(int(np.prod(shape)) for shape in shapes)
