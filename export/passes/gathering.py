"""Looking up rows and sorting, without the detours that Keras and tf2onnx take."""

from __future__ import annotations

import numpy as np

from export.graph import Graph, Pattern, attribute


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


def gather_column(graph: Graph) -> None:
    """Look up single numbers in a row of them, in place of columns of one that are squeezed."""

    def replace(found: dict[str, str]) -> str | None:
        table, axes = graph.constant(found["table"]), graph.constant(found["axes"])
        _, shape = types.get(found["rows"], (0, []))
        is_column = table is not None and table.ndim == 2 and table.shape[1] == 1
        if table is None or not is_column or axes is None or not shape:
            return None
        if [axis % (len(shape) + 1) for axis in axes.tolist()] != [len(shape)]:
            return None
        row = graph.add_constant(np.ravel(table), found["table"])
        return graph.add_node("Gather", [row, found["rows"]], "numbers")

    types = graph.infer_types()
    graph.rewrite(("Squeeze", ("Gather", "table", "rows"), "axes"), replace)


def mask_by_table(graph: Graph) -> None:
    """Let a table's row of padding be zeros, in place of zeros times what it gives for padding."""

    def replace(found: dict[str, str]) -> str | None:
        table = graph.constant(found["table"])
        if table is None or len(graph.consumers(found["table"])) > 1:
            return None
        graph.set_constant(found["table"], np.concatenate([np.zeros_like(table[:1]), table[1:]]))
        return graph.add_node("Gather", [found["table"], found["ids"]], "looked_up")

    mask = ("Unsqueeze", ("Cast", ("Greater", "ids", 0)), "axes")
    graph.rewrite(("Mul", ("Gather", "table", "ids"), mask), replace)


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


def _dimension(source: Pattern, start: Pattern, end: Pattern) -> Pattern:
    return ("Slice", ("Cast", ("Shape", source)), start, end, [0])
