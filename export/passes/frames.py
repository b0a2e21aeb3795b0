"""Cutting rows into frames, and finding the frames of each row again, by one Reshape each."""

from __future__ import annotations

import numpy as np
from onnx import numpy_helper

from export.graph import Graph, Pattern, attribute


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
