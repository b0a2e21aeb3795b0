"""Recurrent layers as ONNX nodes: one for each call of a layer, both directions together.

The nodes of all kinds have the same inputs, X, W, R, B and `sequence_lens`, and the same first two
outputs: Y, the states of all steps, (steps, directions, batch, units), and Y_h, the last ones,
(directions, batch, units). `https://onnx.ai/onnx/operators` describes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from onnx import NodeProto

from export.errors import ExportError
from export.graph import Graph
from export.layers.integers import quantize_rows
from export.layers.kind import Quantization, Weights
from export.layers.stand_ins import describe_stand_in, find_stand_ins

ACTIVATIONS = {
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "relu": "Relu",
    "softsign": "Softsign",
    "softplus": "Softplus",
}
# How the directions of a Bidirectional become one: merge_mode -> a node, over their own axis.
MERGES = {"sum": "ReduceSum", "ave": "ReduceMean", "mul": "ReduceProd"}


def stand_in(layer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `LayerKind.stand_in` does.

    Raises:
        ExportError: The layer does what no node of ONNX does.
    """
    name, config = layer["name"], layer["config"]
    inner = config["layer"]["config"] if "layer" in config else config
    problem = ""
    calls = layer["inbound_nodes"]
    has_state = any(
        call["kwargs"].get("initial_state") is not None or len(call["args"]) > 1 for call in calls
    )
    if inner.get("stateful") or has_state:
        problem = "starts from a state that is not zero, which a stateless function cannot keep"
    elif inner.get("return_state"):
        problem = "returns its state beside what it writes"
    elif inner.get("go_backwards") and inner["return_sequences"] and "layer" not in config:
        problem = "writes its steps backwards"
    elif config.get("merge_mode", "concat") not in ("concat", *MERGES):
        problem = f"has the merge_mode {config['merge_mode']}"
    else:
        unknown = {inner["activation"], inner.get("recurrent_activation", "tanh")} - {*ACTIVATIONS}
        if unknown:
            problem = f"has the activation {sorted(map(str, unknown))[0]}"
    if problem:
        raise ExportError(f"{name}: the recurrent layer {problem}. Train without that.")
    is_concat = "layer" in config and config["merge_mode"] == "concat"
    shape = [None] * (1 + inner["return_sequences"]) + [inner["units"] * (1 + is_concat)]
    return describe_stand_in(layer, shape, [call["args"] for call in calls])


def directions_of(layer: keras.Layer) -> list[Any]:
    """Return the layer, or both layers of a Bidirectional."""
    if isinstance(layer, keras.layers.Bidirectional):
        return [layer.forward_layer, layer.backward_layer]
    return [layer]


def write_nodes(
    graph: Graph,
    layer: keras.Layer,
    op_type: str,
    order: Sequence[int],
    activations: Sequence[str],
    **attributes: Any,
) -> None:
    """Put a node of `op_type` in the place of each stand-in of `layer`.

    Args:
        order: Of ONNX's gates, by their numbers in Keras.
        activations: Names of the layer's fields, as the node reads them.
        attributes: Of the node, beside direction, size and activations.
    """
    each = directions_of(layer)
    first = each[0]
    hints = (f"{layer.name}/kernel", f"{layer.name}/recurrent_kernel", f"{layer.name}/bias")
    arrays = [
        np.stack(part) for part in zip(*(_read_gates(one, order) for one in each), strict=True)
    ]
    names = [ACTIVATIONS[getattr(first, field).__name__] for field in activations]
    for node in find_stand_ins(graph, layer.name):
        by_step = graph.add_node("Transpose", [node.input[2]], "by_step", perm=[1, 0, 2])
        weights = [graph.add_constant(*pair) for pair in zip(arrays, hints, strict=True)]
        states = graph.add_node(
            op_type,
            [by_step, *weights],
            layer.name,
            num_outputs=2,
            direction=_name_direction(each),
            hidden_size=first.units,
            activations=names * len(each),
            **attributes,
        )
        if not first.return_sequences:
            states = graph.last_output(states)
        merge = layer.merge_mode if len(each) > 1 else "concat"
        written = _lay_out(graph, states, first.return_sequences, merge, len(each) * first.units)
        graph.redirect(node.output[0], written)


def _name_direction(each: Sequence[Any]) -> str:
    if len(each) > 1:
        return "bidirectional"
    return "reverse" if each[0].go_backwards else "forward"


def _read_gates(direction: Any, order: Sequence[int]) -> list[Weights]:
    """Return the weights of one direction as ONNX wants them, float32.

    The kernel, (gates * units, inputs); the recurrent one, (gates * units, units); the biases,
    (2 * gates * units,), those of the kernel first.
    """
    units, cell = direction.units, direction.cell
    columns = np.concatenate([np.arange(units) + gate * units for gate in order])
    biases = np.zeros((2, len(columns)), np.float32)
    if direction.use_bias:
        own = np.asarray(cell.bias)
        biases[: 1 if own.ndim == 1 else 2] = own[..., columns]
    kernels = (np.asarray(cell.kernel), np.asarray(cell.recurrent_kernel))
    return [*(kernel.T[columns].astype(np.float32) for kernel in kernels), biases.ravel()]


def _lay_out(graph: Graph, states: str, has_steps: bool, merge: str, width: int) -> str:
    """Return the states as Keras lays them out, the directions side by side or joined."""
    perm = [2, 0, 1, 3] if has_steps else [1, 0, 2]
    moved = graph.add_node("Transpose", [states], "both_directions", perm=perm)
    if merge == "concat":
        zeros = [0] * (len(perm) - 2)
        shape = graph.add_constant(np.array([*zeros, width]), "joined_shape")
        return graph.add_node("Reshape", [moved, shape], "joined")
    axis = graph.add_constant(np.array([len(perm) - 2], np.int64), "direction_axis")
    return graph.add_node(MERGES[merge], [moved, axis], "merged", keepdims=0)


def store_as_integers(graph: Graph, node: NodeProto, quantization: Quantization) -> None:
    """Store the weights as int8, a scale for each gate's unit, that the graph turns into floats.

    ONNX Runtime has no kernel that computes such a layer with integers.
    """
    for index in (1, 2):
        weights = graph.weights(node.input[index])
        rows = weights.reshape(-1, weights.shape[-1])
        values, scales = quantize_rows(rows, quantization.highest, axis=1)
        inputs = [
            graph.add_constant(values, "recurrent_weights"),
            graph.add_constant(scales[:, 0], "recurrent_scales"),
        ]
        floats = graph.add_node("DequantizeLinear", inputs, "recurrent_rows", axis=0)
        shape = graph.add_constant(np.array(weights.shape), "recurrent_shape")
        node.input[index] = graph.add_node("Reshape", [floats, shape], "recurrent_weights")


def estimate_stored_bytes(
    name: str,
    shapes: Sequence[tuple[int, ...]],
    quantization: Quantization,
    num_rows: int | None,
) -> float:
    """Count int8 of each matrix with a float32 scale a column, and float32 biases."""
    return sum(
        int(np.prod(shape)) + 4 * shape[1] if len(shape) == 2 and shape[0] > 2 else 8 * shape[-1]
        for shape in shapes
    )
