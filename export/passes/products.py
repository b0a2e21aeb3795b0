"""Products of steps with a matrix as one MatMul."""

from __future__ import annotations

from export.graph import Graph


def multiply_directly(graph: Graph) -> None:
    """Multiply (batch, steps, channels) by a matrix as it is.

    `tf.tensordot`, by which Keras does so, makes rows of all steps before, and computes the shape
    that the rows go back to in five nodes.
    """
    sizes = ("Gather", ("Cast", ("Shape", "values")), [0, 1])
    rows = ("Reshape", "values", "row_shape")
    shape = ("Cast", ("Concat", sizes, "width"))

    def replace(found: dict[str, str]) -> str | None:
        matrix, row_shape = graph.constant(found["matrix"]), graph.constant(found["row_shape"])
        width = graph.constant(found["width"])
        if matrix is None or row_shape is None or width is None or matrix.ndim != 2:
            return None
        if row_shape.tolist() != [-1, matrix.shape[0]] or width.tolist() != [matrix.shape[1]]:
            return None
        return graph.add_node("MatMul", [found["values"], found["matrix"]], "product")

    graph.rewrite(("Reshape", ("MatMul", rows, "matrix"), shape), replace)
