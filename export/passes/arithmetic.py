"""Choices and remainders in one node, where tf2onnx writes them as products and sums."""

from __future__ import annotations

from onnx import TensorProto

from export.graph import Graph
from export.passes.comparisons import COMPARISONS


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
