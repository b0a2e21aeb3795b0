"""Names by which the handler finds what it needs in a graph."""

from __future__ import annotations

from onnx import TensorProto, helper

from export.graph import Graph

INPUT = "token_ids"
OUTPUT = "outputs"


def name_outputs(graph: Graph) -> None:
    """Name input, output and axes, so that all models look alike to what serves them."""
    (output,) = graph.proto.output
    num_outputs = output.type.tensor_type.shape.dim[-1].dim_value
    graph.proto.node.append(helper.make_node("Identity", [output.name], [OUTPUT]))
    del graph.proto.output[:], graph.proto.input[:]
    graph.proto.input.append(
        helper.make_tensor_value_info(INPUT, TensorProto.INT32, ["batch", "length"])
    )
    graph.proto.output.append(
        helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", num_outputs])
    )
