"""Recurrent nodes, of every kind that is known: their lengths, states and directions."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, TensorProto

from export.errors import ExportError
from export.graph import Graph, attribute
from export.layers import RECURRENT_NODE_TYPES
from export.passes.naming import INPUT


def recurrent_nodes(graph: Graph) -> list[NodeProto]:
    """Return the nodes that compute recurrent layers of known kinds."""
    return [node for node in graph.nodes if node.op_type in RECURRENT_NODE_TYPES]


def drop_zero_states(graph: Graph) -> None:
    """Drop the initial states that are zeros of a computed shape: zeros are the default.

    Raises:
        ExportError: A layer starts from another state.
    """
    for node in recurrent_nodes(graph):
        if len(node.input) <= 5:
            continue
        if not all(_is_zeros(graph, name) for name in node.input[5:7]):
            raise ExportError(
                f"{node.name}: the {node.op_type} starts from a state that is not zero, which a "
                "stateless function cannot keep. Train without `initial_state` and `stateful`."
            )
        del node.input[5:]


def _is_zeros(graph: Graph, name: str) -> bool:
    value = graph.constant(name)
    if value is not None:
        return not value.any()
    node = graph.producer(name)
    if node is None:
        return name == ""
    if node.op_type in ("Unsqueeze", "Expand"):
        return _is_zeros(graph, node.input[0])
    return node.op_type == "Concat" and all(_is_zeros(graph, part) for part in node.input)


def set_sequence_lens(graph: Graph) -> None:
    """Tell every recurrent node how long each text is, and take last states from `Y_h`.

    `sequence_lens` is the count of non-pad ids. Past a text's end ONNX Runtime writes zeros to
    `Y`, where Keras repeats the last state: `Y[-1]` would be zero for all but the longest text.
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
        _read_last_state(graph, node)


def _read_last_state(graph: Graph, node: NodeProto) -> None:
    """Replace `Squeeze(Slice(Y, time=-1))` by the same direction of `Y_h`.

    Y is (time, directions, batch, units), Y_h is (directions, batch, units). The backward half
    of a bidirectional layer ends at time 0, which stays right.
    """
    axis = graph.add_constant(np.array([0], np.int64), "direction_axis")
    last = node.output[1]
    if attribute(node, "direction") == b"bidirectional":
        one = graph.add_constant(np.array([1], np.int64), "forward_end")
        last = graph.add_node("Slice", [last, axis, one, axis], "forward_state")
    for end in _last_steps(graph, node.output[0]):
        (squeeze,) = graph.consumers(end.output[0])
        state = graph.add_node("Squeeze", [last, axis], "last_state")
        graph.redirect(squeeze.output[0], state)


def _last_steps(graph: Graph, name: str) -> list[NodeProto]:
    """Return every `Slice(start=-1, axis=0)` below `name`, through Squeeze and direction Slice."""
    found = []
    for node in graph.consumers(name):
        if node.op_type == "Slice":
            start, axes = graph.constant(node.input[1]), graph.constant(node.input[3])
            if start is not None and axes is not None and (start[0], axes[0]) == (-1, 0):
                found.append(node)
            else:
                found += _last_steps(graph, node.output[0])
        elif node.op_type == "Squeeze":
            found += _last_steps(graph, node.output[0])
    return found


def join_directions(graph: Graph) -> None:
    """Lay forward and backward states side by side by one Transpose and one Reshape.

    Y is (time, directions, batch, units); tf2onnx cuts it in two and joins the halves again.
    """
    forward, backward = (
        ("Squeeze", ("Slice", "states", [index], [index + 1], [1]), [1]) for index in (0, 1)
    )
    joined = ("Concat", forward, backward, {"axis": 2})

    def join(found: dict[str, str], perm: list[int]) -> str | None:
        node = graph.producer(found["states"])
        if node is None or node.op_type not in RECURRENT_NODE_TYPES:
            return None
        moved = graph.add_node("Transpose", [found["states"]], "both_directions", perm=perm)
        width = 2 * attribute(node, "hidden_size")
        shape = graph.add_constant(np.array([0, 0, width], np.int64), "joined_shape")
        return graph.add_node("Reshape", [moved, shape], "joined")

    graph.rewrite(
        ("Transpose", joined, {"perm": [1, 0, 2]}), lambda found: join(found, [2, 0, 1, 3])
    )
    graph.rewrite(joined, lambda found: join(found, [0, 2, 1, 3]))


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
