"""Looking around and replacing in an ONNX graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper, shape_inference

from export.errors import ExportError

# What a piece of a graph looks like: ("Type", input, ...) for a node's first output, "Type:1" for
# its second; a dict behind the inputs holds attributes that the node must have. An input is a
# pattern again, a number or a list for a constant, or "name" for any edge.
Pattern = Any
COMMUTATIVE = ("Add", "Mul", "Max")
MAX_CONSTANT = 16  # no pattern has a longer list; weights need not be compared


class Graph:
    """An ONNX graph with its edges at hand; every change goes through a method."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self._counter = 0
        self._told: dict[str, tuple[int, list[int]]] = {}

    @property
    def proto(self) -> GraphProto:
        return self.model.graph

    @property
    def nodes(self) -> list[NodeProto]:
        return list(self.proto.node)

    def producer(self, name: str) -> NodeProto | None:
        """Return the node that writes `name`; None for an input, an initializer or ""."""
        return next((node for node in self.proto.node if name and name in node.output), None)

    def last_output(self, name: str) -> str:
        """Return the last output of the node that writes `name`."""
        (node,) = (node for node in self.proto.node if name in node.output)
        return str(node.output[-1])

    def consumers(self, name: str) -> list[NodeProto]:
        return [node for node in self.proto.node if name in node.input]

    def constant(self, name: str) -> NDArray[Any] | None:
        """Return the value of an initializer or a Constant node, None for anything else.

        Of any shape and dtype, as it stands in the graph.
        """
        for tensor in self.proto.initializer:
            if tensor.name == name:
                return numpy_helper.to_array(tensor)
        node = self.producer(name)
        if node is not None and node.op_type == "Constant":
            return numpy_helper.to_array(attribute(node, "value"))
        return None

    def match(
        self, name: str, pattern: Pattern, found: dict[str, str] | None = None
    ) -> dict[str, str] | None:
        """Return the edges that the names in `pattern` stand for, None where it does not fit.

        The same name is the same edge wherever it stands.
        """
        found = found or {}
        if isinstance(pattern, str):
            return found | {pattern: name} if found.get(pattern, name) == name else None
        if not isinstance(pattern, tuple):
            value = self.constant(name)
            if value is None or value.size > MAX_CONSTANT or value.tolist() != pattern:
                return None
            return found
        op_type, _, index = pattern[0].partition(":")
        node = self.producer(name)
        if node is None or node.op_type != op_type or node.output[int(index or 0)] != name:
            return None
        wanted = pattern[-1] if isinstance(pattern[-1], dict) else {}
        if any(attribute(node, key) != value for key, value in wanted.items()):
            return None
        inputs = pattern[1 : -1 if wanted else None]
        orders = [node.input, node.input[::-1]] if op_type in COMMUTATIVE else [node.input]
        fits = (self._match_inputs(order, inputs, found) for order in orders)
        return next((fit for fit in fits if fit is not None), None)

    def _match_inputs(
        self, names: Sequence[str], patterns: Sequence[Pattern], found: dict[str, str]
    ) -> dict[str, str] | None:
        if len(names) != len(patterns):
            return None
        for name, pattern in zip(names, patterns, strict=True):
            fit = self.match(name, pattern, found)
            if fit is None:
                return None
            found = fit
        return found

    def rewrite(self, pattern: Pattern, replace: Callable[[dict[str, str]], str | None]) -> None:
        """Let what reads a fit of `pattern` read what `replace` makes of its edges instead.

        `replace` gets the edges by name and returns the new edge, or None to leave the old one.
        """
        for node in self.nodes:
            found = self.match(node.output[0], pattern)
            new = None if found is None else replace(found)
            if new is not None:
                self.redirect(node.output[0], new)

    def tell_type(self, name: str, kind: int, shape: list[int]) -> None:
        """Tell the element type and shape of an edge that ONNX cannot infer, as those that nodes of
        other domains write; 0 is an open dimension."""
        self._told[name] = (kind, shape)

    def infer_types(self) -> dict[str, tuple[int, list[int]]]:
        """Return (element type, shape) of each edge that ONNX can tell; 0 is an open dimension."""
        self.tidy()  # what comes before its inputs is not inferred
        written = {name for node in self.nodes for name in node.output}
        self.proto.value_info.extend(
            helper.make_tensor_value_info(name, kind, [size or None for size in shape])
            for name, (kind, shape) in self._told.items()
            if name in written
        )
        graph = shape_inference.infer_shapes(self.model).graph
        return {
            value.name: (
                value.type.tensor_type.elem_type,
                [dim.dim_value for dim in value.type.tensor_type.shape.dim],
            )
            for value in [*graph.value_info, *graph.input]
        }

    def weights(self, name: str) -> NDArray[np.float32]:
        """Return the value of a float32 initializer of any shape, which must be there.

        Raises:
            ExportError: It is computed in the graph.
        """
        value = self.constant(name)
        if value is None or value.dtype != np.float32:
            raise ExportError(f"{name}: is computed in the graph, wanted float32 weights")
        return value

    def add_constant(self, value: NDArray[Any], hint: str, is_shared: bool = False) -> str:
        """Return the name of a new initializer of this value, which has any shape and dtype.

        If shared, return the name of an equal one where there is one. Not all may be shared: ONNX
        Runtime replaces the weights and zero points of some nodes.
        """
        tensor = numpy_helper.from_array(np.asarray(value, order="C"), self._unique(hint))
        for other in self.proto.initializer if is_shared else ():
            same_kind = (other.data_type, other.dims) == (tensor.data_type, tensor.dims)
            if same_kind and other.raw_data == tensor.raw_data:
                return str(other.name)
        self.proto.initializer.append(tensor)
        return str(tensor.name)

    def set_constant(self, name: str, value: NDArray[Any]) -> None:
        """Give an initializer another value, which has any shape and dtype."""
        (initializer,) = (tensor for tensor in self.proto.initializer if tensor.name == name)
        initializer.CopyFrom(numpy_helper.from_array(value, name))

    def add_node(
        self,
        op_type: str,
        inputs: list[str],
        hint: str,
        domain: str = "",
        num_outputs: int = 1,
        **attributes: Any,
    ) -> str:
        """Add a node and return its first output's name."""
        outputs = [self._unique(hint) for _ in range(num_outputs)]
        node = helper.make_node(op_type, inputs, outputs, outputs[0], domain=domain, **attributes)
        self.proto.node.append(node)
        return outputs[0]

    def replace_node(
        self, node: NodeProto, op_type: str, inputs: list[str], domain: str = "", **attributes: Any
    ) -> None:
        """Put a node of another operator in the place of one: its name and outputs stay."""
        replacement = helper.make_node(
            op_type, inputs, list(node.output), node.name, domain=domain, **attributes
        )
        self.proto.node.remove(node)
        self.proto.node.append(replacement)

    def import_domain(self, domain: str) -> None:
        """Let the graph have nodes of a domain, in its first version."""
        if all(opset.domain != domain for opset in self.model.opset_import):
            self.model.opset_import.append(helper.make_opsetid(domain, 1))

    def redirect(self, old: str, new: str) -> None:
        """Let everything that reads `old` read `new`, the inner graphs of Loops included."""
        for node in _with_inner_nodes(self.proto.node):
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
            for source in _names_read(node):
                visit(source)
            needed.append(node)

        for name in sorted(outputs):
            visit(name)
        nodes = [NodeProto.FromString(node.SerializeToString()) for node in needed]
        used = {name for node in nodes for name in _names_read(node)}
        tensors = [tensor for tensor in self.proto.initializer if tensor.name in used]
        tensors = [type(tensor).FromString(tensor.SerializeToString()) for tensor in tensors]
        del self.proto.node[:], self.proto.initializer[:], self.proto.value_info[:]
        self.proto.node.extend(nodes)
        self.proto.initializer.extend(tensors)

    def _unique(self, hint: str) -> str:
        self._counter += 1
        return f"{hint}__{self._counter}"


def _names_read(node: NodeProto) -> Iterator[str]:
    """Yield the edges that `node` reads, those that its inner graphs (a Loop's) read included."""
    for each in _with_inner_nodes([node]):
        yield from each.input


def _with_inner_nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """Yield each node, and those of its inner graphs."""
    for node in nodes:
        yield node
        for item in node.attribute:
            yield from _with_inner_nodes(item.g.node)


def attribute(node: NodeProto, name: str) -> Any:
    """Return an attribute's value, None if it is not there."""
    for item in node.attribute:
        if item.name == name:
            return helper.get_attribute_value(item)
    return None
