"""Constants of a graph."""

import numpy as np
import onnx

from export.graph import Graph


def test_equal_constants_are_stored_once_if_shared():
    graph = Graph(onnx.ModelProto())
    table = np.arange(12).reshape(3, 4)

    names = [graph.add_constant(part, "table", True) for part in (table, table.copy(), table + 1)]

    assert names[0] == names[1] != names[2]
    assert [tensor.name for tensor in graph.proto.initializer] == [names[0], names[2]]
    assert graph.add_constant(table.astype(np.uint64), "table", True) not in names
    assert graph.add_constant(table, "table") not in names


def test_redirect_reaches_what_an_inner_graph_reads():
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 18]>
        tied (float[2] x, bool c) => (float[2] y) {
            old = Neg (x)
            new = Abs (x)
            y = If (c) <
                then_branch = yes () => (float[2] a) { a = Relu (old) },
                else_branch = no () => (float[2] b) { b = Exp (old) }
            >
        }"""
    )
    graph = Graph(model)

    graph.redirect("old", "new")
    graph.tidy()

    assert [node.op_type for node in graph.nodes] == ["Abs", "If"]
    onnx.checker.check_model(model)
