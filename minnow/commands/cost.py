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
from minnow.options import Json, flag, option, read_share

PANEL = "Tools"
EXAMPLES = (
    "minnow cost --measured 1769:3.1:190",
    "minnow cost --measured 1769:3.1:190 --measured 512:9:400 --million-http 0",
    "minnow cost --benchmark build/cold_start.json --snapstart",
)
PRICES = "Prices in US dollars"


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


def cost(
    measured: Measured = None,
    benchmark: Benchmark = None,
    cold_share: ColdShare = 0.01,
    snapstart: Snapstart = False,
    gb_second: GbSecond = Prices.gb_second,
    million_invocations: MillionInvocations = Prices.million_invocations,
    million_http: MillionHttp = Prices.million_http,
    gb_logs: GbLogs = Prices.gb_logs,
    snapshot_gb_second: SnapshotGbSecond = Prices.snapshot_gb_second,
    restored_gb: RestoredGb = Prices.restored_gb,
    json_output: Json = False,
) -> None:
    """Estimate what a million requests cost on Lambda."""
    if bool(measured) == (benchmark is not None):
        raise typer.BadParameter("wanted one of the two", param_hint="--measured or --benchmark")
    prices = Prices(
        gb_second, million_invocations, million_http, gb_logs, snapshot_gb_second, restored_gb
    )
    sizes = read_benchmark(benchmark) if benchmark is not None else measured or []
    costs = [
        estimate_cost(size, prices, cold_share=cold_share, snapstart=snapstart) for size in sizes
    ]
    if json_output:
        rows = [dataclasses.asdict(one) for one in costs]
        print(json.dumps({"prices": dataclasses.asdict(prices), "costs": rows}))
    else:
        print(describe_costs(costs, prices, cold_share))
