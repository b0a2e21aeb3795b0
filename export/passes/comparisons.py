"""Comparisons of integers as integers."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from export.graph import Graph

COMPARISONS = ("Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal")
INTEGERS: dict[int, type[np.integer]] = {
    TensorProto.INT32: np.int32,
    TensorProto.INT64: np.int64,
}


def compare_integers(graph: Graph) -> None:
    """Compare integers with whole numbers as integers; tf2onnx casts both to float32 first.

    The same for every integer: rounding to float32 keeps their order, and leaves numbers below
    2**24, one of which it is compared with, as they are.
    """
    types = graph.infer_types()
    for node in graph.nodes:
        if node.op_type not in COMPARISONS:
            continue
        found = graph.match(node.input[0], ("Cast", "source", {"to": TensorProto.FLOAT}))
        number = graph.constant(node.input[1])
        if found is None or number is None or number.dtype != np.float32:
            continue
        kind, _ = types.get(found["source"], (TensorProto.UNDEFINED, []))
        if kind not in INTEGERS:
            continue
        if (number == np.rint(number)).all() and (np.abs(number) < 2**24).all():
            node.input[0] = found["source"]
            node.input[1] = graph.add_constant(number.astype(INTEGERS[kind]), "whole_number")
