"""What many rows cost and how long they take in Step Functions' Distributed Map: a simulation.

Each child execution, an Express one, calls the function with a batch of rows. Second by second the
simulation counts environments and what they get done. Not part of the function.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from minnow.cost import MB_PER_GB, MILLION, Measurement, Prices, check_measurement

# Quotas of AWS, as its documentation had them in 2026; accounts can have others.
MAX_CHILDREN = 10_000  # of one Map Run, at a time
MAX_INPUT_BYTES = 256 << 10  # of one child execution, and so of its batch
MAX_FILE_BYTES = 10 * 10**9  # of one CSV or JSON file that a Map reads its items from
SCALING_PER_S = 100  # environments that a function may start: 1,000 in ten seconds
# A child beside the function's own time. Express executions are billed for 64 MB at least, in steps
# of 100 ms.
CHILD_OVERHEAD_MS = 50
CHILD_MB = 64
CHILD_STEP_MS = 100
LOG_BYTES = 600  # of one call: Lambda's three platform lines and the summary's one
MAX_S = 10**8  # three years: the simulation ends


@dataclass(frozen=True)
class Plan:
    """How rows are scored.

    Args:
        rows: In all.
        batch_rows: Of one child execution.
        row_bytes: Of one row as JSON, on average.
        children: That run at a time, as MaxConcurrency has it.
        concurrency: Environments that the account lets the function have.
        starts_per_s: Children that the Map starts in a second. AWS names no number.
    """

    rows: int
    batch_rows: int = 100
    row_bytes: int = 1000
    children: int = MAX_CHILDREN
    concurrency: int = 1000
    starts_per_s: int = 1000


@dataclass(frozen=True)
class RowsCost:
    """US dollars and hours for all rows; `total` is the sum of the four before it.

    Args:
        bound: What keeps it from being quicker: "environments", "children" or "starts".
        files: The fewest input files, of 10 GB at most, each of which is a Map Run's.
    """

    memory_mb: int
    warm_ms: float
    cold_ms: float
    calls: int
    files: int
    hours: float
    bound: str
    compute: float
    invocations: float
    children: float
    logs: float
    total: float


def check_plan(plan: Plan) -> None:
    """Raise ValueError for a plan that cannot run."""
    for name, value in vars(plan).items():
        if value < 1:
            raise ValueError(f"{name} is {value}, wanted 1 or more")
    if plan.children > MAX_CHILDREN:
        raise ValueError(f"{plan.children:,} children, a Map Run has {MAX_CHILDREN:,} at a time")
    if (size := plan.batch_rows * plan.row_bytes) > MAX_INPUT_BYTES:
        raise ValueError(
            f"a batch of {plan.batch_rows:,} rows of {plan.row_bytes:,} bytes has {size:,} bytes, "
            f"a child's input {MAX_INPUT_BYTES:,} at most: fewer --batch-rows"
        )


def simulate(plan: Plan, measured: Measurement) -> tuple[float, str, int]:
    """Return seconds until all rows are scored, what bounds them, and environments at the end.

    Args:
        measured: `warm_ms` of a request with `batch_rows` rows.
    """
    calls = math.ceil(plan.rows / plan.batch_rows)
    call_s = (math.ceil(measured.warm_ms) + CHILD_OVERHEAD_MS) / 1000
    most = min(plan.concurrency, plan.children, calls)
    done, environments, second = 0.0, 0, 0
    bound = "environments"
    while done < calls and second < MAX_S:
        started = min(SCALING_PER_S, most - environments)
        environments += started
        # An environment that has just started is not at work until it has.
        lost = started * min(measured.cold_ms / 1000, 1.0)
        able = (environments - lost) / call_s
        step = min(able, plan.starts_per_s)
        if step < able:
            bound = "starts"
        elif environments == most:
            bound = "children" if most == plan.children < plan.concurrency else "environments"
        second += 1
        if environments == most and not started:  # nothing changes from here on
            return second - 1 + (calls - done) / step, bound, environments
        done += step
    return second - max(done - calls, 0) / step, bound, environments


def estimate_rows(plan: Plan, measured: Measurement, prices: Prices) -> RowsCost:
    """Return what all rows cost, and how long they take; raises ValueError."""
    check_measurement(measured)
    check_plan(plan)
    seconds, bound, environments = simulate(plan, measured)
    calls = math.ceil(plan.rows / plan.batch_rows)
    warm_ms, cold_ms = math.ceil(measured.warm_ms), math.ceil(measured.cold_ms)
    billed_s = (calls * warm_ms + environments * cold_ms) / 1000
    child_ms = math.ceil((warm_ms + CHILD_OVERHEAD_MS) / CHILD_STEP_MS) * CHILD_STEP_MS
    child_gb_s = calls * child_ms / 1000 * CHILD_MB / MB_PER_GB
    costs = {
        "compute": billed_s * measured.memory_mb / MB_PER_GB * prices.gb_second,
        "invocations": calls / MILLION * prices.million_invocations,
        "children": calls / MILLION * prices.million_children + child_gb_s * prices.child_gb_second,
        "logs": calls * LOG_BYTES / 1e9 * prices.gb_logs,
    }
    return RowsCost(
        measured.memory_mb,
        measured.warm_ms,
        measured.cold_ms,
        calls,
        math.ceil(plan.rows * plan.row_bytes / MAX_FILE_BYTES),
        seconds / 3600,
        bound,
        **costs,
        total=sum(costs.values()),
    )


def describe_rows(costs: list[RowsCost], plan: Plan, prices: Prices) -> str:
    """Return a table of hours and US dollars, with what it assumes."""
    first = costs[0]
    lines = [
        f"US dollars and hours for {plan.rows:,} rows by Step Functions' Distributed Map: "
        f"{first.calls:,} Express children of {plan.batch_rows:,} rows ({plan.row_bytes:,} bytes a "
        f"row), out of {first.files:,} files of 10 GB or more smaller ones.",
        f"Assumed: at most {plan.children:,} children and {plan.concurrency:,} environments at a "
        f"time, {SCALING_PER_S} more environments and {plan.starts_per_s:,} children a second; a "
        f"child takes {CHILD_OVERHEAD_MS} ms beside the function; WARM_MS is of a whole batch. "
        f"{prices.gb_second} a GB-second, {prices.million_invocations} a million invocations, "
        f"{prices.million_children} a million children and {prices.child_gb_second} a GB-second of "
        f"{CHILD_MB} MB each, {prices.gb_logs} a GB of logs; no retries, no free tier, no S3 "
        "requests, no data transfer.",
        f"{'MB':>6}{'warm ms':>9}{'cold ms':>9}{'hours':>9}  {'bound by':<13}{'compute':>10}"
        f"{'invoked':>9}{'children':>10}{'logs':>8}{'total':>11}",
    ]
    lines += [
        f"{c.memory_mb:6}{c.warm_ms:9.1f}{c.cold_ms:9.0f}{c.hours:9.2f}  {c.bound:<13}"
        f"{c.compute:10.2f}{c.invocations:9.2f}{c.children:10.2f}{c.logs:8.2f}{c.total:11.2f}"
        for c in costs
    ]
    return "\n".join(lines)
