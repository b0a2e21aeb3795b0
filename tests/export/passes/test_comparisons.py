"""Each pass says the same in fewer nodes, and leaves alone what is not quite its pattern."""

import pytest

from export.passes.comparisons import compare_integers
from tests.helpers.graph_cases import (
    LARGE,
    Case,
    assert_is_left_alone,
    assert_results_are_kept,
    integers,
    lookalikes,
)

CASES = {
    "compare_integers": Case(
        compare_integers,
        """(int64[B, L] x) => (bool[B, L] y) {
            number = Constant <value = float {7.0}> ()
            float_x = Cast <to = 1> (x)
            y = Greater (float_x, number)
        }""",
        {"Greater": 1},
        [{"x": LARGE}, {"x": integers(3, 8)}],
        almost=[("{7.0}", "{7.5}"), ("{7.0}", "{16777216.0}"), ("int64[B, L]", "double[B, L]")],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_pass_keeps_the_results(name):
    assert_results_are_kept(CASES[name])


@pytest.mark.parametrize(("name", "almost"), lookalikes(CASES))
def test_pass_leaves_alone_what_only_looks_alike(name, almost):
    assert_is_left_alone(CASES[name], almost)
