"""One-dimensional convolutions as one product of matrices."""

from __future__ import annotations

import numpy as np

from export.graph import Graph, attribute


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
