"""`minnow cost --rows`: hours and dollars of many rows by a Distributed Map."""

import json

import pytest

from minnow.cli import main
from minnow.cost import Measurement, Prices
from minnow.cost_rows import Plan, estimate_rows, simulate

# With the 50 ms of a child, a call takes a tenth of a second.
TENTH = Measurement(1024, 50, 500)


def test_an_environment_does_one_call_after_the_other():
    seconds, bound, environments = simulate(Plan(100_000, concurrency=1), TENTH)

    assert seconds == pytest.approx(1000 * 0.1, abs=1.0)  # and half a second of start
    assert (bound, environments) == ("environments", 1)


@pytest.mark.parametrize(
    ("plan", "seconds", "bound"),
    [
        (Plan(10**9, starts_per_s=100_000), 10**7 / 10_000, "environments"),
        (Plan(10**9, starts_per_s=1_000), 10**7 / 1_000, "starts"),
        (Plan(10**9, children=50, starts_per_s=100_000), 10**7 / 500, "children"),
        (Plan(10**9, concurrency=10_000, starts_per_s=10**6), 10**7 / 100_000, "environments"),
    ],
    ids=["account", "starts", "children", "large account"],
)
def test_what_there_is_least_of_bounds_the_time(plan, seconds, bound):
    found, told, _ = simulate(plan, TENTH)

    # All environments start within 10 s, or 100 s of the large account: less is done meanwhile.
    ramp = min(plan.concurrency, plan.children) / 100
    assert seconds <= found <= seconds + ramp + 1
    assert told == bound


def test_more_of_anything_is_never_slower():
    base = Plan(10**8)
    times = [
        simulate(Plan(10**8, concurrency=number, starts_per_s=10**6), TENTH)[0]
        for number in (10, 100, 1000, 5000)
    ]

    assert times == sorted(times, reverse=True)
    assert simulate(base, Measurement(1024, 200, 500))[0] >= simulate(base, TENTH)[0]


def test_a_billion_rows_are_billed_by_batch():
    prices = Prices(
        gb_second=0.00001,
        million_invocations=0.2,
        gb_logs=0.5,
        million_children=1.0,
        child_gb_second=0.00002,
    )

    cost = estimate_rows(Plan(10**9, concurrency=1000), TENTH, prices)

    assert (cost.calls, cost.files) == (10**7, 100)
    assert cost.compute == pytest.approx((10**7 * 0.05 + 1000 * 0.5) * 0.00001)
    assert cost.invocations == pytest.approx(2.0)
    assert cost.children == pytest.approx(10.0 + 10**7 * 0.1 / 16 * 0.00002)
    assert cost.logs == pytest.approx(10**7 * 600 / 1e9 * 0.5)
    assert cost.total == pytest.approx(cost.compute + cost.invocations + cost.children + cost.logs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--row-bytes", "9000"], "has 900,000 bytes, a child's input 262,144 at most"),
        (["--children", "10001"], "10,001 children, a Map Run has 10,000 at a time"),
    ],
    ids=["batch", "children"],
)
def test_what_step_functions_cannot_run_is_one_line(arguments, message, capsys):
    assert main(["cost", "--rows", "1e9", "--measured", "1769:240:430", *arguments]) == 1

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("rows", ["0", "many", "1.5", "1e99", "nan"])
def test_what_is_no_number_of_rows_is_refused(rows, capsys):
    assert main(["cost", "--rows", rows, "--measured", "1769:240:430"]) == 2

    assert f"'{rows}' is no number of rows, such as 1e9" in capsys.readouterr().err


def test_the_table_names_what_it_assumes(capsys):
    assert main(["cost", "--rows", "1e9", "--measured", "1769:240:430"]) == 0

    output = capsys.readouterr().out
    for assumed in ("10,000 children", "1,000 environments", "1,000 children a second", "no retr"):
        assert assumed in output


def test_the_object_has_plan_prices_and_costs(capsys):
    command = ["cost", "--rows", "1e6", "--batch-rows", "50", "--measured", "1769:240:430"]
    assert main([*command, "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert (found["plan"]["rows"], found["plan"]["batch_rows"]) == (1_000_000, 50)
    assert found["prices"]["million_children"] == 1.0
    assert [cost["calls"] for cost in found["costs"]] == [20_000]
