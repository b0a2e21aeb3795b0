"""Each pass says the same in fewer nodes, and leaves alone what is not quite its pattern."""

import pytest

from export.passes.recurrent import join_directions
from tests.helpers.graph_cases import (
    Case,
    assert_is_left_alone,
    assert_results_are_kept,
    constants,
    floats,
    lookalikes,
)

UNITS = 3
CASES = {
    "join_directions": Case(
        join_directions,
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
    assert_results_are_kept(CASES[name])


@pytest.mark.parametrize(("name", "almost"), lookalikes(CASES))
def test_pass_leaves_alone_what_only_looks_alike(name, almost):
    assert_is_left_alone(CASES[name], almost)
