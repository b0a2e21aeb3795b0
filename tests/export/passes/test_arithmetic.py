"""Each pass says the same in fewer nodes, and leaves alone what is not quite its pattern."""

import numpy as np
import pytest

from export.passes.arithmetic import use_mod, use_where
from tests.helpers.graph_cases import (
    LARGE,
    RANDOM,
    Case,
    assert_is_left_alone,
    assert_results_are_kept,
    floats,
    integers,
    lookalikes,
    run,
)


def token_ids(*lengths: int) -> np.ndarray:
    """Rows of these lengths, padded; one column at least."""
    rows = np.zeros((len(lengths), max(1, *lengths)), np.int32)
    for row, length in zip(rows, lengths, strict=True):
        row[:length] = RANDOM.integers(1, 6, length)
    return rows


MASK = """
    zero = Constant <value = int32 {0}> ()
    is_token = Greater (token_ids, zero)
    mask = Cast <to = 1> (is_token)
"""

CASES = {
    "use_where": Case(
        use_where,
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
        use_where,
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
        use_mod,
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
}


@pytest.mark.parametrize("name", CASES)
def test_pass_keeps_the_results(name):
    assert_results_are_kept(CASES[name])


@pytest.mark.parametrize(("name", "almost"), lookalikes(CASES))
def test_pass_leaves_alone_what_only_looks_alike(name, almost):
    assert_is_left_alone(CASES[name], almost)


def test_remainder_of_a_negative_number_is_that_of_keras():
    graph = CASES["use_mod"].build()
    numbers = integers(2, 20, low=-30, high=30)

    use_mod(graph)

    graph.tidy()
    np.testing.assert_array_equal(run(graph, {"x": numbers})[0], numbers % 7)
