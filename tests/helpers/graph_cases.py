"""Graphs on which a pass is tried: what it must keep, and what it must leave alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper, parser

from export.graph import Graph

HEADER = '<ir_version: 9, opset_import: ["" : 18]> tiny '
RANDOM = np.random.default_rng(1)
# Another text (old, new) of the graph, or other constants.
Change = tuple[str, str] | dict[str, np.ndarray]
# Beyond the 24 bits in which float32 holds every integer.
LARGE = np.array([[2**24 + 1, -(2**24) - 1, 2**40 + 1, 7, 8, -7, 0]])


@dataclass(frozen=True)
class Case:
    """A graph, what a pass must leave of it, and inputs on which both must agree.

    Args:
        almost: Changes that make the graph one that the pass must leave alone.
    """

    change: Callable[[Graph], None]
    text: str
    left: dict[str, int]
    inputs: list[dict[str, np.ndarray]]
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    almost: list[Change] = field(default_factory=list)
    atol: float = 0.0

    def build(self, almost: Change | None = None) -> Graph:
        text = self.text
        if isinstance(almost, tuple):
            assert almost[0] in text
            text = text.replace(*almost)
        model = parser.parse_model(HEADER + text)
        values = self.constants | (almost if isinstance(almost, dict) else {})
        for name, value in values.items():
            model.graph.initializer.append(numpy_helper.from_array(value, name))
        # What reads a node is led elsewhere by a pass; the graph's output keeps its name.
        for node in model.graph.node:
            for names in (node.input, node.output):
                names[:] = ["result" if name == "y" else name for name in names]
        model.graph.node.add(op_type="Identity", input=["result"], output=["y"])
        onnx.checker.check_model(model)
        return Graph(model)


def assert_results_are_kept(case: Case) -> None:
    """Apply the pass; the results must stay, and the nodes become `case.left`."""
    graph = case.build()
    expected = [run(graph, inputs) for inputs in case.inputs]

    case.change(graph)

    graph.tidy()
    onnx.checker.check_model(graph.model)
    for inputs, before in zip(case.inputs, expected, strict=True):
        for found, wanted in zip(run(graph, inputs), before, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=0, atol=case.atol)
    assert census(graph) == case.left, census(graph)


def assert_is_left_alone(case: Case, almost: Change) -> None:
    """Apply the pass to what only looks alike; the nodes must stay."""
    graph = case.build(almost)
    graph.tidy()
    before = census(graph)

    case.change(graph)

    graph.tidy()
    assert census(graph) == before, census(graph)


def lookalikes(cases: Mapping[str, Case]) -> list[tuple[str, Change]]:
    """Return (case, change) for every graph that only looks alike."""
    return [(name, almost) for name, case in cases.items() for almost in case.almost]


def run(graph: Graph, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        graph.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)


def census(graph: Graph) -> dict[str, int]:
    kinds = (node.op_type for node in graph.nodes)
    return dict(Counter(kind for kind in kinds if kind not in ("Constant", "Identity")))


def integers(*shape: int, low: int = -9, high: int = 9, dtype: type = np.int64) -> np.ndarray:
    return RANDOM.integers(low, high, shape).astype(dtype)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def constants(*names_and_values: object) -> dict[str, np.ndarray]:
    names, values = names_and_values[::2], names_and_values[1::2]
    return {str(name): np.array(value) for name, value in zip(names, values, strict=True)}
