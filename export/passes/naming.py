"""Names by which the handler finds what it needs in a graph."""

from __future__ import annotations

from onnx import TensorProto, helper

from export.graph import Graph

INPUT, LETTERS = "token_ids", "letters"
OUTPUT = "outputs"


def name_outputs(graph: Graph) -> None:
    """Name inputs, output and axes, so that all models look alike to what serves them."""
    (output,) = graph.proto.output
    reads_letters = len(graph.proto.input) > 1
    num_outputs = output.type.tensor_type.shape.dim[-1].dim_value
    graph.proto.node.append(helper.make_node("Identity", [output.name], [OUTPUT]))
    del graph.proto.output[:], graph.proto.input[:]
    graph.proto.input.append(
        helper.make_tensor_value_info(INPUT, TensorProto.INT32, ["batch", "length"])
    )
    if reads_letters:
        shape = ["batch", "letters_length"]
        graph.proto.input.append(helper.make_tensor_value_info(LETTERS, TensorProto.INT32, shape))
    graph.proto.output.append(
        helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", num_outputs])
    )
