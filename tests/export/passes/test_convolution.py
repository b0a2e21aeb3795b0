"""Each pass says the same in fewer nodes, and leaves alone what is not quite its pattern."""

import pytest

from export.passes.convolution import convolve_by_gemm
from tests.helpers.graph_cases import (
    Case,
    assert_is_left_alone,
    assert_results_are_kept,
    constants,
    floats,
    lookalikes,
)

STEPS, CHANNELS, FILTERS, KERNEL = 6, 3, 4, 4  # of the convolution
CASES = {
    "convolve_by_gemm": Case(
        convolve_by_gemm,
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
}


@pytest.mark.parametrize("name", CASES)
def test_pass_keeps_the_results(name):
    assert_results_are_kept(CASES[name])


@pytest.mark.parametrize(("name", "almost"), lookalikes(CASES))
def test_pass_leaves_alone_what_only_looks_alike(name, almost):
    assert_is_left_alone(CASES[name], almost)
