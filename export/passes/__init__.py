"""Changes to the float32 graph that tf2onnx writes; each leaves the results as they are."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from export.errors import ExportError
from export.graph import Graph, Pattern, attribute

INPUT = "token_ids"
OUTPUT = "probabilities"
MIN_SPARSE_WEIGHTS = 1024  # of a tensor; the biases of an LSTM are smaller, and matter more
COMPARISONS = ("Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal")
INTEGERS: dict[int, type[np.integer]] = {
    TensorProto.INT32: np.int32,
    TensorProto.INT64: np.int64,
}


def simplify(graph: Graph) -> None:
    """Say in one node what tf2onnx says in many; the order counts where passes build on others."""
    compare_integers(graph)
    use_where(graph)
    use_mod(graph)
    gather_directly(graph)
    sort_directly(graph)
    frame_directly(graph)
    unfold_directly(graph)
    convolve_by_gemm(graph)
    join_directions(graph)


def lstm_nodes(graph: Graph) -> list[NodeProto]:
    return [node for node in graph.nodes if node.op_type == "LSTM"]


def compare_integers(graph: Graph) -> None:
    """Compare integers with whole numbers as integers; tf2onnx casts both to float32 first.

    The same for every integer: rounding to float32 keeps their order, and leaves numbers below
    2**24, one of which it is compared with, as they are.
    """
    types = graph.infer_types()
    for node in graph.nodes:
        if node.op_type not in COMPARISONS:
            continue
        found = graph.match(node.input[0], ("Cast", "source", {"to": TensorProto.FLOAT}))
        number = graph.constant(node.input[1])
        if found is None or number is None or number.dtype != np.float32:
            continue
        kind, _ = types.get(found["source"], (TensorProto.UNDEFINED, []))
        if kind not in INTEGERS:
            continue
        if (number == np.rint(number)).all() and (np.abs(number) < 2**24).all():
            node.input[0] = found["source"]
            node.input[1] = graph.add_constant(number.astype(INTEGERS[kind]), "whole_number")


def use_where(graph: Graph) -> None:
    """Choose by one Where what is chosen by multiplying both sides by 0 or 1 and adding.

    tf2onnx writes so for `where`; recipes do for a mask of floats.
    """

    def choose(found: dict[str, str]) -> str:
        return graph.add_node(
            "Where", [found["condition"], found["first"], found["second"]], "chosen"
        )

    def choose_by_flag(found: dict[str, str]) -> str | None:
        if not _is_flag(graph, found["flag"]):
            return None
        condition = graph.add_node("Cast", [found["flag"]], "condition", to=TensorProto.BOOL)
        return choose(found | {"condition": condition})

    yes, no = ("Cast", "condition"), ("Cast", ("Not", "condition"))
    graph.rewrite(("Add", ("Mul", yes, "first"), ("Mul", no, "second")), choose)
    rest = ("Mul", ("Sub", 1, "flag"), "second")
    graph.rewrite(("Add", rest, ("Mul", "flag", "first")), choose_by_flag)


def _is_flag(graph: Graph, name: str) -> bool:
    """Say whether `name` holds only zeros and ones, made of truth values."""
    node = graph.producer(name)
    if node is not None and node.op_type in ("Reshape", "Unsqueeze", "ReduceMax"):
        return _is_flag(graph, node.input[0])
    source = graph.producer(node.input[0]) if node is not None and node.op_type == "Cast" else None
    return source is not None and source.op_type in (*COMPARISONS, "And", "Or", "Not")


def use_mod(graph: Graph) -> None:
    """Take the remainder by one Mod; tf2onnx divides, multiplies and subtracts.

    Of negative numbers too, Mod is what Keras computes: the remainder of rounding down.
    """

    def replace(found: dict[str, str]) -> str | None:
        divisor = graph.constant(found["divisor"])
        if divisor is None or divisor.dtype.kind != "i":
            return None
        return graph.add_node("Mod", [found["number"], found["divisor"]], "remainder")

    graph.rewrite(
        ("Sub", "number", ("Mul", ("Div", "number", "divisor"), "divisor")),
        replace,
    )


def gather_directly(graph: Graph) -> None:
    """Let each Gather read its ids as they are: ONNX counts negative ones from the end itself.

    Keras does so by `where(id < 0, id + rows, id)`.
    """
    wrapped = ("Where", ("Less", "ids", 0), ("Add", "ids", "rows"), "ids")
    for node in graph.nodes:
        if node.op_type == "Gather" and not attribute(node, "axis"):
            found = graph.match(node.input[1], wrapped)
            if found and _is_height(graph, found["rows"], node.input[0]):
                node.input[1] = found["ids"]


def _is_height(graph: Graph, name: str, data: str) -> bool:
    """Say whether `name` is the number of rows of `data`."""
    rows, table = graph.constant(name), graph.constant(data)
    if rows is not None:
        return table is not None and rows.tolist() == len(table)
    found = graph.match(name, ("Squeeze", _dimension("data", [0], [1]), [0]))
    return found is not None and found["data"] == data


def _dimension(source: Pattern, start: Pattern, end: Pattern) -> Pattern:
    return ("Slice", ("Cast", ("Shape", source)), start, end, [0])


def sort_directly(graph: Graph) -> None:
    """Sort integers by one TopK of the smallest.

    Keras negates them, `-x - 1`, takes the largest, which tf2onnx does in float32, and negates
    those; the length comes by way of int32.
    """
    negated = ("Sub", ("Neg", "numbers"), 1)
    width = ("Unsqueeze", ("Cast", ("Squeeze", _dimension(negated, [1], [2]), [0])), [0])
    largest = ("TopK", ("Cast", negated), width, {"sorted": 1})

    def replace(found: dict[str, str]) -> str:
        length = graph.add_node("Shape", [found["numbers"]], "length", start=1, end=2)
        return graph.add_node(
            "TopK", [found["numbers"], length], "sorted", num_outputs=2, largest=0, sorted=1
        )

    graph.rewrite(("Sub", ("Neg", ("Cast", largest)), 1), replace)


def frame_directly(graph: Graph) -> None:
    """Cut rows into frames that do not overlap by one Reshape.

    `tf.signal.frame` computes three shapes in int32 and gathers the frames one after the other.
    """
    for node in graph.nodes:
        sizes = ("Concat", "rows", ("Concat", "num_frames", "width"), "rest")
        outer = graph.match(node.output[0], ("Reshape", "frames", ("Cast", sizes)))
        width = graph.constant(outer["width"]) if outer else None
        if width is None or width.size != 1:
            continue
        found = graph.match(node.output[0], _frames(int(width[0])))
        if found is None:
            continue
        step = graph.add_constant(width.astype(np.int64), "frame_width")
        length = graph.add_node("Shape", [found["values"]], "length", start=1, end=2)
        count = graph.add_node("Div", [length, step], "num_frames")
        used = graph.add_node("Mul", [count, step], "framed_length")
        zero, one = (graph.add_constant(np.array([n], np.int64), "axis") for n in (0, 1))
        whole = graph.add_node("Slice", [found["values"], zero, used, one], "framed")
        shape = graph.add_constant(np.array([0, -1, width[0]], np.int64), "frame_shape")
        graph.redirect(node.output[0], graph.add_node("Reshape", [whole, shape], "frames"))


def _frames(width: int) -> Pattern:
    """Return what tf2onnx writes for `tf.signal.frame(values, width, width)`, axis 1 of 2."""
    sizes = ("Cast", ("Shape", "values"))
    rows, columns, rest = ((f"Split:{index}", sizes, [1, 1, 0]) for index in range(3))
    length: Pattern = ("Reshape", columns, [])
    whole = ("Div", length, width)
    count = ("Max", 0, ("Add", 1, ("Div", ("Sub", length, width), width)))
    counted = ("Unsqueeze", count, [0])
    used = ("Concat", rows, ("Unsqueeze", ("Mul", whole, width), [0]), rest)
    cropped = ("Slice", "values", [0, 0], used, [0, 1], [1, 1])
    parts = ("Concat", rows, ("Concat", ("Unsqueeze", whole, [0]), [width]), rest)
    order = ("Reshape", ("Range", 0, count, 1), ("Cast", ("Concat", counted, [1])))
    gathered = ("Gather", ("Reshape", cropped, ("Cast", parts)), order, {"axis": 1})
    shape = ("Concat", rows, ("Concat", counted, [width]), rest)
    return ("Reshape", gathered, ("Cast", shape))


def unfold_directly(graph: Graph) -> None:
    """Find the rows of each text again by one Reshape.

    A model of open sizes gathers row `text * rows_a_text + row`, which is every row in its order.
    """
    everything = 2**31 - 1
    first = ("Slice", "frames", [0, 0, 0], [everything, everything, 1], [0, 1, 2])
    ones = ("ConstantOfShape", ("Shape", ("Squeeze", first, [2])))
    cumsum = {"exclusive": 0, "reverse": 0}
    before = ("Sub", ("CumSum", "ones", 0, cumsum), 1)
    width = ("ReduceSum", "ones", [1], {"keepdims": 1})
    place = ("Sub", ("Add", ("Mul", before, width), ("CumSum", "ones", 1, cumsum)), 1)

    def replace(found: dict[str, str]) -> str | None:
        source, node = graph.match(found["ones"], ones), graph.producer(found["ones"])
        value = attribute(node, "value") if node and source else None
        if source is None or value is None or numpy_helper.to_array(value) != 1:
            return None
        shape = [
            graph.add_node("Shape", [source["frames"]], "num_rows", end=2),
            graph.add_node("Shape", [found["rows"]], "row_shape", start=1),
        ]
        unfolded = graph.add_node("Concat", shape, "unfolded_shape", axis=0)
        return graph.add_node("Reshape", [found["rows"], unfolded], "unfolded")

    graph.rewrite(("Gather", "rows", place, {"axis": 0}), replace)


def convolve_by_gemm(graph: Graph) -> None:
    """Multiply all windows of a one-dimensional convolution by its weights at once.

    tf2onnx makes it a two-dimensional Conv, between two Transposes of all it reads and writes.
    Only where the length is fixed: the windows are gathered by constant indices.
    """
    types = graph.infer_types()
    image = ("Transpose", ("Unsqueeze", "values", [-3]), {"perm": [0, 3, 1, 2]})
    convolved = ("Add", ("Squeeze", "conv", [2]), "bias")

    def replace(found: dict[str, str]) -> str | None:
        inner = graph.match(found["conv"], ("Conv", image, "weights", {"group": 1}))
        conv = graph.producer(found["conv"])
        weights = graph.constant(inner["weights"]) if inner else None
        bias = graph.constant(found["bias"])
        if conv is None or inner is None or weights is None or bias is None:
            return None
        _, shape = types.get(inner["values"], (0, []))
        filters, channels, _, kernel = weights.shape
        dilations, pads = attribute(conv, "dilations"), attribute(conv, "pads")
        if len(shape) != 3 or not shape[1] or dilations != [1, 1] or pads is None:
            return None
        if bias.size != filters:
            return None
        _, left, _, right = pads
        stride = attribute(conv, "strides")[1]
        steps = (shape[1] + left + right - kernel) // stride + 1
        windows = stride * np.arange(steps)[:, None] + np.arange(kernel)

        def sizes(*sizes: int) -> str:
            return graph.add_constant(np.array(sizes, np.int64), "sizes")

        padded = graph.add_node("Pad", [inner["values"], sizes(0, left, 0, 0, right, 0)], "padded")
        inputs = [padded, graph.add_constant(windows, "windows")]
        read = graph.add_node("Gather", inputs, "windows", axis=1)
        rows = graph.add_node("Reshape", [read, sizes(-1, kernel * channels)], "window_rows")
        matrix = weights[:, :, 0].transpose(2, 1, 0).reshape(-1, filters)
        inputs = [
            rows,
            graph.add_constant(matrix, "convolution"),
            graph.add_constant(bias.ravel(), "convolution_bias"),
        ]
        result = graph.add_node("Relu", [graph.add_node("Gemm", inputs, "convolved")], "relu")
        return graph.add_node("Reshape", [result, sizes(-1, steps, filters)], "all_steps")

    graph.rewrite(("Transpose", ("Relu", convolved), {"perm": [0, 2, 1]}), replace)


def join_directions(graph: Graph) -> None:
    """Lay forward and backward states side by side by one Transpose and one Reshape.

    Y is (time, directions, batch, units); tf2onnx cuts it in two and joins the halves again.
    """
    forward, backward = (
        ("Squeeze", ("Slice", "states", [index], [index + 1], [1]), [1]) for index in (0, 1)
    )
    joined = ("Concat", forward, backward, {"axis": 2})

    def join(found: dict[str, str], perm: list[int]) -> str | None:
        lstm = graph.producer(found["states"])
        if lstm is None or lstm.op_type != "LSTM":
            return None
        moved = graph.add_node("Transpose", [found["states"]], "both_directions", perm=perm)
        width = 2 * attribute(lstm, "hidden_size")
        shape = graph.add_constant(np.array([0, 0, width], np.int64), "joined_shape")
        return graph.add_node("Reshape", [moved, shape], "joined")

    graph.rewrite(
        ("Transpose", joined, {"perm": [1, 0, 2]}), lambda found: join(found, [2, 0, 1, 3])
    )
    graph.rewrite(joined, lambda found: join(found, [0, 2, 1, 3]))


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
