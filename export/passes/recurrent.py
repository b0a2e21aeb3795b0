"""Recurrent nodes, of every kind that is known: their lengths, states and directions."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, TensorProto

from export.graph import Graph
from export.layers import RECURRENT_NODE_TYPES
from export.passes.naming import INPUT


def recurrent_nodes(graph: Graph) -> list[NodeProto]:
    """Return the nodes that compute recurrent layers of known kinds."""
    return [node for node in graph.nodes if node.op_type in RECURRENT_NODE_TYPES]


def set_sequence_lens(graph: Graph) -> None:
    """Tell every recurrent node how long each text is: `sequence_lens`, the count of non-pad ids.

    Past a text's end ONNX Runtime writes zeros to `Y`, where Keras repeats the last state.
    """
    zero = graph.add_constant(np.array(0, np.int32), "pad_id")
    is_pad = graph.add_node("Equal", [INPUT, zero], "is_pad")
    is_token = graph.add_node("Not", [is_pad], "is_token")
    counted = graph.add_node("Cast", [is_token], "token_count", to=TensorProto.INT32)
    axes = graph.add_constant(np.array([1], np.int64), "length_axis")
    lengths = graph.add_node("ReduceSum", [counted, axes], "sequence_lens", keepdims=0)
    for node in recurrent_nodes(graph):
        while len(node.input) < 5:
            node.input.append("")
        node.input[4] = lengths


def pool_directly(graph: Graph) -> None:
    """Take the maximum over steps where a recurrent layer wrote them, before they are moved.

    Steps may be masked before: `joined * mask`, mask (rows, steps, 1).
    """
    moved = ("Transpose", "states", {"perm": [2, 0, 1, 3]})

    def replace(found: dict[str, str]) -> str | None:
        node, shape = graph.producer(found["states"]), graph.constant(found["shape"])
        if node is None or node.op_type not in RECURRENT_NODE_TYPES or shape is None:
            return None
        axis = graph.add_constant(np.array([0], np.int64), "step_axis")
        states = found["states"]
        if "mask" in found:
            mask = graph.add_node("Transpose", [found["mask"]], "mask_by_step", perm=[1, 0])
            axes = graph.add_constant(np.array([1, 3], np.int64), "mask_axes")
            mask = graph.add_node("Unsqueeze", [mask, axes], "mask_by_step")
            states = graph.add_node("Mul", [states, mask], "masked")
        highest = graph.add_node("ReduceMax", [states, axis], "highest", keepdims=0)
        by_row = graph.add_node("Transpose", [highest], "by_row", perm=[1, 0, 2])
        width = graph.add_constant(np.array([0, shape[-1]], np.int64), "joined_shape")
        return graph.add_node("Reshape", [by_row, width], "joined")

    joined = ("Reshape", moved, "shape")
    masked = ("Mul", joined, ("Unsqueeze", "mask", [2]))
    for pooled in (joined, masked):
        graph.rewrite(("ReduceMax", pooled, [1], {"keepdims": 0}), replace)
