"""Each pass says the same in fewer nodes, and leaves alone what is not quite its pattern."""

import numpy as np
import pytest

from export.passes.frames import frame_directly, unfold_directly
from tests.helpers.graph_cases import (
    Case,
    assert_is_left_alone,
    assert_results_are_kept,
    floats,
    integers,
    lookalikes,
)

WIDTH = 5  # of a frame
CASES = {
    "frame_directly": Case(
        frame_directly,
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
        unfold_directly,
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
}


@pytest.mark.parametrize("name", CASES)
def test_pass_keeps_the_results(name):
    assert_results_are_kept(CASES[name])


@pytest.mark.parametrize(("name", "almost"), lookalikes(CASES))
def test_pass_leaves_alone_what_only_looks_alike(name, almost):
    assert_is_left_alone(CASES[name], almost)
