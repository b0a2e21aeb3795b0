"""Each pass says the same in fewer nodes, and leaves alone what is not quite its pattern."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper, parser

from export import passes
from export.graph import Graph

HEADER = '<ir_version: 9, opset_import: ["" : 18]> tiny '
RANDOM = np.random.default_rng(1)
WIDTH = 5  # of a frame
STEPS, CHANNELS, FILTERS, KERNEL = 6, 3, 4, 4  # of the convolution
UNITS = 3


def constants(*names_and_values: object) -> dict[str, np.ndarray]:
    names, values = names_and_values[::2], names_and_values[1::2]
    return {str(name): np.array(value) for name, value in zip(names, values, strict=True)}


@dataclass(frozen=True)
class Case:
    """A graph, what a pass must leave of it, and inputs on which both must agree.

    Args:
        almost: (old, new) text that makes the graph one that the pass must leave alone, or other
            constants that do.
    """

    change: Callable[[Graph], None]
    text: str
    left: dict[str, int]
    inputs: list[dict[str, np.ndarray]]
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    almost: list[tuple[str, str] | dict[str, np.ndarray]] = field(default_factory=list)
    atol: float = 0.0

    def build(self, almost: tuple[str, str] | dict[str, np.ndarray] | None = None) -> Graph:
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


def token_ids(*lengths: int) -> np.ndarray:
    """Rows of these lengths, padded; one column at least."""
    rows = np.zeros((len(lengths), max(1, *lengths)), np.int32)
    for row, length in zip(rows, lengths, strict=True):
        row[:length] = RANDOM.integers(1, 6, length)
    return rows


LARGE = np.array([[2**24 + 1, -(2**24) - 1, 2**40 + 1, 7, 8, -7, 0]])
MASK = """
    zero = Constant <value = int32 {0}> ()
    is_token = Greater (token_ids, zero)
    mask = Cast <to = 1> (is_token)
"""
CASES = {
    "compare_integers": Case(
        passes.compare_integers,
        """(int64[B, L] x) => (bool[B, L] y) {
            number = Constant <value = float {7.0}> ()
            float_x = Cast <to = 1> (x)
            y = Greater (float_x, number)
        }""",
        {"Greater": 1},
        [{"x": LARGE}, {"x": integers(3, 8)}],
        almost=[("{7.0}", "{7.5}"), ("{7.0}", "{16777216.0}"), ("int64[B, L]", "double[B, L]")],
    ),
    "use_where": Case(
        passes.use_where,
        """(bool[B, L] c, bool[B, L] d, int64[B, L] a, int64[B, L] b) => (int64[B, L] y) {
            yes = Cast <to = 7> (c)
            not_c = Not (c)
            no = Cast <to = 7> (not_c)
            first = Mul (yes, a)
            second = Mul (b, no)
            y = Add (second, first)
        }""",
        {"Where": 1},
        [
            {
                "c": integers(2, 6) > 0,
                "d": integers(2, 6) > 0,
                "a": integers(2, 6),
                "b": LARGE[:, :6],
            }
        ],
        almost=[("Not (c)", "Not (d)"), ("Cast <to = 7> (not_c)", "Cast <to = 7> (c)")],
    ),
    "use_where for a mask": Case(
        passes.use_where,
        """(int32[B, 4] token_ids, float[B, 2, 3] a, float[B, 2, 1] m) => (float[B, 2, 3] y) {"""
        + MASK
        + """
            shape = Constant <value = int64[3] {-1, 2, 2}> ()
            pairs = Reshape (mask, shape)
            axis = Constant <value = int64[1] {2}> ()
            flag = ReduceMax <keepdims = 1> (pairs, axis)
            kept = Mul (a, flag)
            one = Constant <value = float {1.0}> ()
            low = Constant <value = float {-1.5}> ()
            rest = Sub (one, flag)
            filled = Mul (low, rest)
            y = Add (kept, filled)
        }""",
        {"Greater": 1, "Reshape": 1, "ReduceMax": 1, "Where": 1, "Cast": 2},
        [{"token_ids": token_ids(0, 1, 4, 3), "a": floats(4, 2, 3), "m": floats(4, 2, 1)}],
        almost=[
            ("Sub (one, flag)", "Sub (low, flag)"),
            ("Sub (one, flag)", "Sub (one, m)"),
            ("is_token = Greater (token_ids, zero)", "is_token = Add (token_ids, zero)"),
        ],
    ),
    "use_mod": Case(
        passes.use_mod,
        """(int64[B, L] x) => (int64[B, L] y) {
            seven = Constant <value = int64 {7}> ()
            eight = Constant <value = int64 {8}> ()
            quotient = Div (x, seven)
            whole = Mul (quotient, seven)
            y = Sub (x, whole)
        }""",
        {"Mod": 1},
        [{"x": np.abs(LARGE)}, {"x": integers(3, 8, low=0, high=2**62)}],
        almost=[("Mul (quotient, seven)", "Mul (quotient, eight)")],
    ),
    "gather_directly": Case(
        passes.gather_directly,
        """(int64[B, L] x, float[M, 2] other) => (float[B, L, 2] y) {
            zero = Constant <value = int64 {0}> ()
            is_negative = Less (x, zero)
            wrapped = Add (x, height)
            ids = Where (is_negative, wrapped, x)
            y = Gather <axis = 0> (table, ids)
        }""",
        {"Gather": 1},
        [{"x": integers(3, 6, low=-5, high=5), "other": floats(5, 2)}],
        constants("table", floats(5, 2), "height", 5),
        almost=[constants("height", 4), ("(table, ids)", "(other, ids)"), ("Less", "Greater")],
    ),
    "gather_directly, of open height": Case(
        passes.gather_directly,
        """(int64[B, L] x, float[M, 2] table, float[M, 2] other) => (float[B, L, 2] y) {
            zero = Constant <value = int64 {0}> ()
            first = Constant <value = int64[1] {0}> ()
            second = Constant <value = int64[1] {1}> ()
            is_negative = Less (x, zero)
            shape = Shape (table)
            sizes = Cast <to = 7> (shape)
            rows = Slice (sizes, first, second, first)
            height = Squeeze (rows, first)
            wrapped = Add (x, height)
            ids = Where (is_negative, wrapped, x)
            y = Gather <axis = 0> (table, ids)
        }""",
        {"Gather": 1},
        [{"x": integers(3, 6, low=-5, high=5), "table": floats(5, 2), "other": floats(5, 2)}],
        almost=[("Shape (table)", "Shape (other)")],
    ),
    "sort_directly": Case(
        passes.sort_directly,
        """(int64[B, L] x, int64[B, L] other) => (int64[B, L] y) {
            one = Constant <value = int64 {1}> ()
            zeroth = Constant <value = int64[1] {0}> ()
            first = Constant <value = int64[1] {1}> ()
            second = Constant <value = int64[1] {2}> ()
            opposite = Neg (x)
            negated = Sub (opposite, one)
            shape = Shape (negated)
            sizes = Cast <to = 6> (shape)
            columns = Slice (sizes, first, second, zeroth)
            scalar = Squeeze (columns, zeroth)
            width = Cast <to = 7> (scalar)
            count = Unsqueeze (width, zeroth)
            numbers = Cast <to = 1> (negated)
            largest, order = TopK <sorted = 1> (numbers, count)
            whole = Cast <to = 7> (largest)
            positive = Neg (whole)
            y = Sub (positive, one)
        }""",
        {"Shape": 1, "TopK": 1},
        [{"x": integers(*shape), "other": integers(*shape)} for shape in ((3, 9), (1, 1), (2, 40))],
        almost=[("Shape (negated)", "Shape (other)"), ("Sub (positive, one)", "Sub (whole, one)")],
    ),
    "frame_directly": Case(
        passes.frame_directly,
        """(int32[B, L] x) => (int32[B, F, W] y) {
            zero = Constant <value = int32 {0}> ()
            one = Constant <value = int32 {1}> ()
            zeroth = Constant <value = int64[1] {0}> ()
            cuts = Constant <value = int64[3] {1, 1, 0}> ()
            from = Constant <value = int32[2] {0, 0}> ()
            axes = Constant <value = int32[2] {0, 1}> ()
            stride = Constant <value = int32[2] {1, 1}> ()
            single = Constant <value = int32[1] {1}> ()
            scalar = Constant <value = int64[0] {}> ()
            shape = Shape (x)
            sizes = Cast <to = 6> (shape)
            rows, columns, rest = Split <axis = 0> (sizes, cuts)
            length = Reshape (columns, scalar)
            whole = Div (length, width)
            used = Mul (whole, width)
            used_1d = Unsqueeze (used, zeroth)
            ends = Concat <axis = 0> (rows, used_1d, rest)
            cropped = Slice (x, from, ends, axes, stride)
            whole_1d = Unsqueeze (whole, zeroth)
            part = Concat <axis = 0> (whole_1d, widths)
            parts = Concat <axis = 0> (rows, part, rest)
            part_shape = Cast <to = 7> (parts)
            split = Reshape (cropped, part_shape)
            spare = Sub (length, step)
            steps = Div (spare, step)
            last = Add (one, steps)
            count = Max (zero, last)
            numbers = Range (zero, count, one)
            counted = Unsqueeze (count, zeroth)
            column = Concat <axis = 0> (counted, single)
            column_shape = Cast <to = 7> (column)
            order = Reshape (numbers, column_shape)
            frames = Gather <axis = 1> (split, order)
            frame = Concat <axis = 0> (counted, widths)
            all = Concat <axis = 0> (rows, frame, rest)
            frame_shape = Cast <to = 7> (all)
            y = Reshape (frames, frame_shape)
        }""",
        {"Shape": 1, "Div": 1, "Mul": 1, "Slice": 1, "Reshape": 1},
        [
            {"x": integers(rows, columns, dtype=np.int32)}
            for rows, columns in ((1, WIDTH), (3, WIDTH + 1), (2, 4 * WIDTH - 1), (1, 4 * WIDTH))
        ],
        {name: np.array(WIDTH, np.int32) for name in ("width", "step")}
        | {"widths": np.array([WIDTH], np.int32)},
        almost=[{"step": np.array(WIDTH - 1, np.int32)}],
    ),
    "unfold_directly": Case(
        passes.unfold_directly,
        """(int32[B, S, W] x, float[R, 2] rows) => (float[B, S, 2] y) {
            one = Constant <value = int32 {1}> ()
            zero = Constant <value = int32 {0}> ()
            from = Constant <value = int64[3] {0, 0, 0}> ()
            to = Constant <value = int64[3] {2147483647, 2147483647, 1}> ()
            axes = Constant <value = int64[3] {0, 1, 2}> ()
            first = Constant <value = int64[1] {1}> ()
            second = Constant <value = int64[1] {2}> ()
            slice = Slice (x, from, to, axes)
            column = Squeeze (slice, second)
            shape = Shape (column)
            each = ConstantOfShape <value = int32[1] {1}> (shape)
            down = CumSum <exclusive = 0, reverse = 0> (each, zero)
            text = Sub (down, one)
            width = ReduceSum <keepdims = 1> (each, first)
            before = Mul (text, width)
            along = CumSum <exclusive = 0, reverse = 0> (each, one)
            sum = Add (before, along)
            place = Sub (sum, one)
            y = Gather <axis = 0> (rows, place)
        }""",
        {"Shape": 2, "Concat": 1, "Reshape": 1},
        [
            {"x": integers(texts, frames, 4, dtype=np.int32), "rows": floats(texts * frames, 2)}
            for texts, frames in ((1, 1), (1, 4), (3, 2))
        ],
        almost=[("int32[1] {1}", "int32[1] {2}"), ("Sub (sum, one)", "Sub (sum, zero)")],
    ),
    "convolve_by_gemm": Case(
        passes.convolve_by_gemm,
        f"""(float[B, {STEPS}, {CHANNELS}] x) => (float[B, S, {FILTERS}] y) {{
            height = Constant <value = int64[1] {{-3}}> ()
            second = Constant <value = int64[1] {{2}}> ()
            tall = Unsqueeze (x, height)
            image = Transpose <perm = [0, 3, 1, 2]> (tall)
            conv = Conv <kernel_shape = [1, {KERNEL}], strides = [1, 2], pads = [0, 1, 0, 2],
                dilations = [1, 1], group = 1> (image, weights)
            flat = Squeeze (conv, second)
            shifted = Add (flat, bias)
            relu = Relu (shifted)
            y = Transpose <perm = [0, 2, 1]> (relu)
        }}""",
        {"Pad": 1, "Gather": 1, "Reshape": 2, "Gemm": 1, "Relu": 1},
        [{"x": floats(batch, STEPS, CHANNELS)} for batch in (1, 3)],
        constants("weights", floats(FILTERS, CHANNELS, 1, KERNEL), "bias", floats(1, FILTERS, 1)),
        almost=[
            (f"float[B, {STEPS}, {CHANNELS}] x", "float[B, L, C] x"),
            ("dilations = [1, 1]", "dilations = [1, 2]"),
            {"bias": floats(1, 1, 1)},
        ],
        atol=1e-5,  # the products of a window are summed in another order
    ),
    "join_directions": Case(
        passes.join_directions,
        f"""(float[T, B, 2] x) => (float[B, T, {2 * UNITS}] y) {{
            zeroth = Constant <value = int64[1] {{0}}> ()
            first = Constant <value = int64[1] {{1}}> ()
            second = Constant <value = int64[1] {{2}}> ()
            states, h, c = LSTM <direction = "bidirectional", hidden_size = {UNITS}> (x, w, r)
            left = Slice (states, zeroth, first, first)
            forward = Squeeze (left, first)
            right = Slice (states, first, second, first)
            backward = Squeeze (right, first)
            both = Concat <axis = 2> (forward, backward)
            y = Transpose <perm = [1, 0, 2]> (both)
        }}""",
        {"LSTM": 1, "Transpose": 1, "Reshape": 1},
        [{"x": floats(time, batch, 2)} for time, batch in ((1, 1), (5, 3))],
        constants("w", floats(2, 4 * UNITS, 2), "r", floats(2, 4 * UNITS, UNITS)),
        almost=[("(forward, backward)", "(backward, forward)")],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_pass_keeps_the_results(name):
    case = CASES[name]
    graph = case.build()
    expected = [run(graph, inputs) for inputs in case.inputs]

    case.change(graph)

    graph.tidy()
    onnx.checker.check_model(graph.model)
    for inputs, before in zip(case.inputs, expected, strict=True):
        for found, wanted in zip(run(graph, inputs), before, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=0, atol=case.atol)
    assert census(graph) == case.left


@pytest.mark.parametrize(
    ("name", "almost"),
    [(name, almost) for name, case in CASES.items() for almost in case.almost],
)
def test_pass_leaves_alone_what_only_looks_alike(name, almost):
    graph = CASES[name].build(almost)
    graph.tidy()
    before = census(graph)

    CASES[name].change(graph)

    graph.tidy()
    assert census(graph) == before


def test_remainder_of_a_negative_number_is_that_of_keras():
    graph = CASES["use_mod"].build()
    numbers = integers(2, 20, low=-30, high=30)

    passes.use_mod(graph)

    graph.tidy()
    np.testing.assert_array_equal(run(graph, {"x": numbers})[0], numbers % 7)


def test_equal_constants_are_stored_once_if_shared():
    graph = CASES["use_mod"].build()
    table = integers(3, 4)

    names = [graph.add_constant(part, "table", True) for part in (table, table.copy(), table + 1)]

    assert names[0] == names[1] != names[2]
    assert [tensor.name for tensor in graph.proto.initializer] == [names[0], names[2]]
    assert graph.add_constant(table.astype(np.uint64), "table", True) not in names
    assert graph.add_constant(table, "table") not in names
