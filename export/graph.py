"""Looking around and replacing in an ONNX graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from export.errors import ExportError


class Graph:
    """An ONNX graph with its edges at hand; every change goes through a method."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self._counter = 0

    @property
    def proto(self) -> GraphProto:
        return self.model.graph

    @property
    def nodes(self) -> list[NodeProto]:
        return list(self.proto.node)

    def producer(self, name: str) -> NodeProto | None:
        """Return the node that writes `name`; None for an input, an initializer or ""."""
        return next((node for node in self.proto.node if name and name in node.output), None)

    def consumers(self, name: str) -> list[NodeProto]:
        return [node for node in self.proto.node if name in node.input]

    def constant(self, name: str) -> NDArray[Any] | None:
        """Return the value of an initializer or a Constant node, None for anything else."""
        for tensor in self.proto.initializer:
            if tensor.name == name:
                return numpy_helper.to_array(tensor)
        node = self.producer(name)
        if node is not None and node.op_type == "Constant":
            return numpy_helper.to_array(attribute(node, "value"))
        return None

    def weights(self, name: str) -> NDArray[np.float32]:
        """Return the value of a float32 initializer, which must be there."""
        value = self.constant(name)
        if value is None or value.dtype != np.float32:
            raise ExportError(f"{name}: is computed in the graph, wanted float32 weights")
        return value

    def add_constant(self, value: NDArray[Any], hint: str) -> str:
        name = self._unique(hint)
        self.proto.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add_node(
        self, op_type: str, inputs: list[str], hint: str, domain: str = "", **attributes: Any
    ) -> str:
        """Add a node of one output and return the output's name."""
        output = self._unique(hint)
        node = helper.make_node(op_type, inputs, [output], output, domain=domain, **attributes)
        self.proto.node.append(node)
        return output

    def redirect(self, old: str, new: str) -> None:
        """Let everything that reads `old` read `new`."""
        for node in self.proto.node:
            for index, name in enumerate(node.input):
                if name == old:
                    node.input[index] = new

    def tidy(self) -> None:
        """Drop what nothing reads, and put the nodes in an order that can be run."""
        outputs = {output.name for output in self.proto.output}
        needed: list[NodeProto] = []
        seen: set[str] = set()

        def visit(name: str) -> None:
            node = self.producer(name)
            if node is None or node.output[0] in seen:
                return
            seen.add(node.output[0])
            for source in node.input:
                visit(source)
            needed.append(node)

        for name in sorted(outputs):
            visit(name)
        nodes = [NodeProto.FromString(node.SerializeToString()) for node in needed]
        used = {name for node in nodes for name in node.input}
        tensors = [tensor for tensor in self.proto.initializer if tensor.name in used]
        tensors = [type(tensor).FromString(tensor.SerializeToString()) for tensor in tensors]
        del self.proto.node[:], self.proto.initializer[:], self.proto.value_info[:]
        self.proto.node.extend(nodes)
        self.proto.initializer.extend(tensors)

    def _unique(self, hint: str) -> str:
        self._counter += 1
        return f"{hint}__{self._counter}"


def attribute(node: NodeProto, name: str) -> Any:
    """Return an attribute's value, None if it is not there."""
    for item in node.attribute:
        if item.name == name:
            return helper.get_attribute_value(item)
    return None
