"""Each pass says the same in fewer nodes, and leaves alone what is not quite its pattern."""

import pytest

from export.passes.gathering import gather_directly, sort_directly
from tests.helpers.graph_cases import (
    Case,
    assert_is_left_alone,
    assert_results_are_kept,
    constants,
    floats,
    integers,
    lookalikes,
)

CASES = {
    "gather_directly": Case(
        gather_directly,
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
        gather_directly,
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
        sort_directly,
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
}


@pytest.mark.parametrize("name", CASES)
def test_pass_keeps_the_results(name):
    assert_results_are_kept(CASES[name])


@pytest.mark.parametrize(("name", "almost"), lookalikes(CASES))
def test_pass_leaves_alone_what_only_looks_alike(name, almost):
    assert_is_left_alone(CASES[name], almost)
