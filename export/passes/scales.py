"""Scales of integer weights, multiplied where there is least to multiply."""

from __future__ import annotations

from export.graph import Graph


def scale_late(graph: Graph) -> None:
    """Multiply columns by their scales after they have been summed.

    Sums of whole numbers are exact in float32 as long as they stay under 2**24: whatever the order,
    and whatever stands beside a row in its batch.
    """
    scaled = ("Mul", "values", "scales")
    types = graph.infer_types()

    def is_by_column(found: dict[str, str]) -> bool:
        scales = graph.constant(found["scales"])
        return scales is not None and scales.ndim == 2 and len(scales) == 1

    def sum_first(found: dict[str, str]) -> str | None:
        axes = graph.constant(found["axes"])
        _, shape = types.get(found["values"], (0, []))
        if not is_by_column(found) or axes is None or len(shape) < 2:
            return None
        if any(axis % len(shape) == len(shape) - 1 for axis in axes.tolist()):
            return None
        total = graph.add_node("ReduceSum", [found["values"], found["axes"]], "sums", keepdims=0)
        return graph.add_node("Mul", [total, found["scales"]], "scaled")

    def multiply_first(found: dict[str, str]) -> str | None:
        if not is_by_column(found):
            return None
        product = graph.add_node("MatMul", [found["weights"], found["values"]], "sums")
        return graph.add_node("Mul", [product, found["scales"]], "scaled")

    def add_first(found: dict[str, str]) -> str | None:
        if not is_by_column(found):
            return None
        total = graph.add_node("Add", [found["first"], found["second"]], "sums")
        return graph.add_node("Mul", [total, found["scales"]], "scaled")

    graph.rewrite(("ReduceSum", scaled, "axes", {"keepdims": 0}), sum_first)
    graph.rewrite(("MatMul", "weights", scaled), multiply_first)
    both = ("Mul", "first", "scales"), ("Mul", "second", "scales")
    graph.rewrite(("Add", *both), add_first)
