"""`minnow cost`: from milliseconds to dollars."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from minnow.cost import (
    Measurement,
    Prices,
    describe_costs,
    estimate_cost,
    parse_measurement,
    read_benchmark,
)
from minnow.cost_rows import Plan, describe_rows, estimate_rows
from minnow.errors import CommandError
from minnow.options import Json, flag, option, read_share

PANEL = "Tools"
EXAMPLES = (
    "minnow cost --measured 1769:3.1:190",
    "minnow cost --measured 1769:3.1:190 --measured 512:9:400 --million-http 0",
    "minnow cost --benchmark build/cold_start.json --snapstart",
    "minnow cost --rows 1e9 --batch-rows 100 --measured 1769:240:430",
)
PRICES = "Prices in US dollars"
MAP = "Many rows, by Step Functions"


def read_measurement(text: str) -> Measurement:
    """Return one `--measured`; another text is wrong usage."""
    try:
        return parse_measurement(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def price(name: str, help_text: str) -> object:
    """Return the option of one price."""
    return option(name, "PRICE", help_text, min=0, rich_help_panel=PRICES)


Measured = Annotated[
    list[Measurement] | None,
    option(
        "--measured",
        "MB:WARM_MS:COLD_MS",
        "Memory size, milliseconds of a warm and of a cold request; repeat it for other sizes.",
        "those of --benchmark",
        parser=read_measurement,
    ),
]
Benchmark = Annotated[
    Path | None,
    option("--benchmark", "FILE", "JSON file of `make bench-cold`.", "those of --measured"),
]
ColdShare = Annotated[
    float, option("--cold-share", "SHARE", "Share of requests that are cold.", parser=read_share)
]
Snapstart = Annotated[bool, flag("--snapstart", "Cold requests restore a snapshot.")]
GbSecond = Annotated[float, price("--gb-second", "A GB of memory for a second.")]
MillionInvocations = Annotated[float, price("--million-invocations", "A million invocations.")]
MillionHttp = Annotated[
    float, price("--million-http", "A million HTTP requests; 0 for a Function URL or events.")
]
GbLogs = Annotated[float, price("--gb-logs", "A GB of logs.")]
SnapshotGbSecond = Annotated[
    float, price("--snapshot-gb-second", "A GB of a snapshot kept for a second.")
]
RestoredGb = Annotated[float, price("--restored-gb", "A GB of a snapshot restored.")]
MillionChildren = Annotated[
    float, price("--million-children", "A million Express executions, with --rows.")
]
ChildGbSecond = Annotated[
    float, price("--child-gb-second", "A GB of such executions for a second.")
]


def read_rows(text: str) -> int:
    """Return "1e9" as a whole number; another text is wrong usage."""
    try:
        number = float(text)
        if not 1 <= number <= 1e15 or number != int(number):
            raise ValueError
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no number of rows, such as 1e9") from None
    return int(number)


def plan_option(name: str, help_text: str) -> object:
    """Return one option of the plan for many rows."""
    return option(name, "N", help_text, min=1, rich_help_panel=MAP)


Rows = Annotated[
    int | None,
    option(
        "--rows",
        "N",
        "Rows to score by a Distributed Map, such as 1e9; WARM_MS is of a batch then.",
        "a million requests",
        parser=read_rows,
        rich_help_panel=MAP,
    ),
]
BatchRows = Annotated[int, plan_option("--batch-rows", "Rows of a child, MaxItemsPerBatch.")]
RowBytes = Annotated[int, plan_option("--row-bytes", "Bytes of a row as JSON, on average.")]
Children = Annotated[int, plan_option("--children", "Children at a time, MaxConcurrency.")]
Concurrency = Annotated[int, plan_option("--concurrency", "Environments of the function.")]
StartsPerS = Annotated[int, plan_option("--starts-per-s", "Children that start in a second.")]


def cost(
    measured: Measured = None,
    benchmark: Benchmark = None,
    cold_share: ColdShare = 0.01,
    snapstart: Snapstart = False,
    rows: Rows = None,
    batch_rows: BatchRows = Plan.batch_rows,
    row_bytes: RowBytes = Plan.row_bytes,
    children: Children = Plan.children,
    concurrency: Concurrency = Plan.concurrency,
    starts_per_s: StartsPerS = Plan.starts_per_s,
    gb_second: GbSecond = Prices.gb_second,
    million_invocations: MillionInvocations = Prices.million_invocations,
    million_http: MillionHttp = Prices.million_http,
    gb_logs: GbLogs = Prices.gb_logs,
    snapshot_gb_second: SnapshotGbSecond = Prices.snapshot_gb_second,
    restored_gb: RestoredGb = Prices.restored_gb,
    million_children: MillionChildren = Prices.million_children,
    child_gb_second: ChildGbSecond = Prices.child_gb_second,
    json_output: Json = False,
) -> None:
    """Estimate what a million requests cost on Lambda, or many rows by Step Functions."""
    if bool(measured) == (benchmark is not None):
        raise typer.BadParameter("wanted one of the two", param_hint="--measured or --benchmark")
    prices = Prices(
        *(gb_second, million_invocations, million_http, gb_logs, snapshot_gb_second, restored_gb),
        *(million_children, child_gb_second),
    )
    sizes = read_benchmark(benchmark) if benchmark is not None else measured or []
    if rows is not None:
        plan = Plan(rows, batch_rows, row_bytes, children, concurrency, starts_per_s)
        print_rows(plan, sizes, prices, json_output)
        return
    costs = [
        estimate_cost(size, prices, cold_share=cold_share, snapstart=snapstart) for size in sizes
    ]
    if json_output:
        found = [dataclasses.asdict(one) for one in costs]
        print(json.dumps({"prices": dataclasses.asdict(prices), "costs": found}))
    else:
        print(describe_costs(costs, prices, cold_share))


def print_rows(plan: Plan, sizes: list[Measurement], prices: Prices, json_output: bool) -> None:
    """Print what many rows cost."""
    try:
        costs = [estimate_rows(plan, size, prices) for size in sizes]
    except ValueError as error:
        raise CommandError(str(error)) from None
    if json_output:
        found = [dataclasses.asdict(one) for one in costs]
        assumed = {"plan": dataclasses.asdict(plan), "prices": dataclasses.asdict(prices)}
        print(json.dumps({**assumed, "costs": found}))
    else:
        print(describe_rows(costs, plan, prices))
