"""Changes to the float32 graph that tf2onnx writes; each leaves the results as they are."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from export.errors import ExportError
from export.graph import Graph, attribute

INPUT = "token_ids"
OUTPUT = "probabilities"
MIN_SPARSE_WEIGHTS = 1024  # of a tensor; the biases of an LSTM are smaller, and matter more


def lstm_nodes(graph: Graph) -> list[NodeProto]:
    return [node for node in graph.nodes if node.op_type == "LSTM"]


def gather_directly(graph: Graph) -> None:
    """Let each embedding Gather read its ids as they are.

    Keras wraps negative ids by `where(id < 0, id + rows, id)`, which tf2onnx writes as
    `Add(Mul(Cast(Less), Add(id, rows)), Mul(id, Cast(Not)))`: eight nodes for what ONNX's Gather
    does itself.
    """
    for node in graph.nodes:
        if node.op_type != "Gather" or graph.constant(node.input[0]) is None:
            continue
        source = _unwrapped(graph, node.input[1])
        if source is not None:
            node.input[1] = source


def _unwrapped(graph: Graph, name: str) -> str | None:
    total = graph.producer(name)
    if total is None or total.op_type != "Add":
        return None
    for product in map(graph.producer, total.input):
        if product is None or product.op_type != "Mul":
            return None
        for source, flag in (tuple(product.input), tuple(product.input)[::-1]):
            cast = graph.producer(flag)
            if cast is None or cast.op_type != "Cast":
                continue
            negated = graph.producer(cast.input[0])
            if negated is not None and negated.op_type == "Not":
                less = graph.producer(negated.input[0])
                if less is not None and less.op_type == "Less":
                    return str(source)
    return None


def drop_zero_states(graph: Graph) -> None:
    """Drop the initial states that are zeros of a computed shape: zeros are the default."""
    for node in lstm_nodes(graph):
        if len(node.input) <= 5:
            continue
        if not all(_is_zeros(graph, name) for name in node.input[5:7]):
            raise ExportError(
                f"{node.name}: the LSTM starts from a state that is not zero, which a stateless "
                "function cannot keep. Train without `initial_state` and `stateful`."
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
    """Tell every LSTM how long each text is, and take last states from `Y_h`.

    `sequence_lens` is the count of non-pad ids. Past a text's end ONNX Runtime writes zeros to
    `Y`, where Keras repeats the last state: `Y[-1]` would be zero for all but the longest text.
    """
    zero = graph.add_constant(np.array(0, np.int32), "pad_id")
    is_pad = graph.add_node("Equal", [INPUT, zero], "is_pad")
    is_token = graph.add_node("Not", [is_pad], "is_token")
    counted = graph.add_node("Cast", [is_token], "token_count", to=TensorProto.INT32)
    axes = graph.add_constant(np.array([1], np.int64), "length_axis")
    lengths = graph.add_node("ReduceSum", [counted, axes], "sequence_lens", keepdims=0)
    for node in lstm_nodes(graph):
        while len(node.input) < 5:
            node.input.append("")
        node.input[4] = lengths
        _read_last_state(graph, node)


def _read_last_state(graph: Graph, lstm: NodeProto) -> None:
    """Replace `Squeeze(Slice(Y, time=-1))` by the same direction of `Y_h`.

    Y is (time, directions, batch, units), Y_h is (directions, batch, units). The backward half
    of a bidirectional layer ends at time 0, which stays right.
    """
    axis = graph.add_constant(np.array([0], np.int64), "direction_axis")
    last = lstm.output[1]
    if attribute(lstm, "direction") == b"bidirectional":
        one = graph.add_constant(np.array([1], np.int64), "forward_end")
        last = graph.add_node("Slice", [last, axis, one, axis], "forward_state")
    for end in _last_steps(graph, lstm.output[0]):
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


def zero_small_weights(graph: Graph, sparsity: float) -> None:
    """Set the smallest `sparsity` (0 to 1) of every large tensor's weights to zero, in place.

    Magnitude pruning (Han et al., "Learning both Weights and Connections", NeurIPS 2015). It makes
    a zip smaller and nothing quicker: ONNX Runtime computes with the zeros as with any number.
    """
    for tensor in graph.proto.initializer:
        weights = numpy_helper.to_array(tensor)
        if weights.dtype != np.float32 or weights.ndim < 2 or weights.size < MIN_SPARSE_WEIGHTS:
            continue
        limit = np.quantile(np.abs(weights), sparsity)
        sparse = np.where(np.abs(weights) < limit, 0, weights).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(sparse, tensor.name))


def name_outputs(graph: Graph) -> None:
    """Name input, output and axes; make one sigmoid column two, so that all models look alike."""
    (output,) = graph.proto.output
    num_classes = output.type.tensor_type.shape.dim[-1].dim_value
    source = output.name
    if num_classes == 1:
        one = graph.add_constant(np.array(1, np.float32), "one")
        first = graph.add_node("Sub", [one, source], "first_class")
        source = graph.add_node("Concat", [first, source], "both_classes", axis=1)
        num_classes = 2
    graph.proto.node.append(helper.make_node("Identity", [source], [OUTPUT]))
    del graph.proto.output[:], graph.proto.input[:]
    graph.proto.input.append(
        helper.make_tensor_value_info(INPUT, TensorProto.INT32, ["batch", "length"])
    )
    graph.proto.output.append(
        helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", num_classes])
    )
