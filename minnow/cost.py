"""What a million requests cost on Lambda, from measured milliseconds. Not part of the function."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from minnow.errors import CommandError

MB_PER_GB = 1024
MILLION = 1_000_000
MONTH_S = 30 * 24 * 3600


@dataclass(frozen=True)
class Prices:
    """US dollars: US East (N. Virginia), x86_64, first tier, no free tier, as found in 2026.

    `docs/operations.md` names where each was found. They change and differ by region.

    Args:
        gb_second: Memory times billed duration; the start of an environment is billed too.
        million_invocations: Invocations.
        million_http: HTTP API requests, metered in steps of 512 KB; 0 for a Function URL or events.
        gb_logs: Log data taken in by CloudWatch.
        snapshot_gb_second: SnapStart's snapshot of each published version: memory times its life.
        restored_gb: SnapStart's restores: memory, each time.
        million_children: Express executions of Step Functions.
        child_gb_second: Their memory times duration.
    """

    gb_second: float = 0.0000166667
    million_invocations: float = 0.20
    million_http: float = 1.00
    gb_logs: float = 0.50
    snapshot_gb_second: float = 0.0000015046
    restored_gb: float = 0.0001397998
    million_children: float = 1.00
    child_gb_second: float = 0.00001667


@dataclass(frozen=True)
class Measurement:
    """Milliseconds of one memory size.

    Args:
        warm_ms: One request of a warm function.
        cold_ms: The first reply of a fresh one, its start included.
    """

    memory_mb: int
    warm_ms: float
    cold_ms: float


@dataclass(frozen=True)
class Cost:
    """US dollars for a million requests; `total` is the sum of the five before it.

    Args:
        snapshot_month: Comes on top with SnapStart, requests or none: keeping one version's
            snapshot for 30 days.
    """

    memory_mb: int
    warm_ms: float
    cold_ms: float
    compute: float
    restores: float
    invocations: float
    http: float
    logs: float
    total: float
    snapshot_month: float


def estimate_cost(
    measured: Measurement,
    prices: Prices,
    *,
    cold_share: float = 0.01,
    snapstart: bool = False,
    log_bytes: int = 600,
) -> Cost:
    """Return what a million requests cost.

    Args:
        measured: Milliseconds, from `make bench-cold` or from CloudWatch's Duration.
        prices: What AWS asks.
        cold_share: Part of the requests that start an environment, 0 to 1.
        snapstart: A cold request restores a snapshot, and is billed for that and for the check of
            the golden text, about one warm request, in place of the start.
        log_bytes: Log data of one request: Lambda's three platform lines and the access log's one.

    Raises:
        ValueError: `cold_share` is not between 0 and 1, or a duration is not positive.
    """
    if not 0 <= cold_share <= 1:
        raise ValueError(f"cold share is {cold_share}, wanted a number from 0 to 1")
    check_measurement(measured)
    # Lambda bills whole milliseconds, each request rounded up.
    warm_ms, cold_ms = math.ceil(measured.warm_ms), math.ceil(measured.cold_ms)
    if snapstart:
        cold_ms = 2 * warm_ms
    billed_ms = (1 - cold_share) * warm_ms + cold_share * cold_ms
    memory_gb = measured.memory_mb / MB_PER_GB
    costs = {
        "compute": MILLION * billed_ms / 1000 * memory_gb * prices.gb_second,
        "restores": MILLION * cold_share * memory_gb * prices.restored_gb if snapstart else 0.0,
        "invocations": prices.million_invocations,
        "http": prices.million_http,
        "logs": MILLION * log_bytes / 1e9 * prices.gb_logs,
    }
    return Cost(
        measured.memory_mb,
        measured.warm_ms,
        measured.cold_ms,
        **costs,
        total=sum(costs.values()),
        snapshot_month=memory_gb * MONTH_S * prices.snapshot_gb_second if snapstart else 0.0,
    )


def parse_measurement(text: str) -> Measurement:
    """Return "1769:3.1:190" as 1769 MB, 3.1 ms warm, 190 ms cold.

    Raises:
        ValueError: Not three numbers above 0 with colons between.
    """
    try:
        memory, warm, cold = text.split(":")
        return check_measurement(Measurement(int(memory), float(warm), float(cold)))
    except ValueError:
        raise ValueError(
            f"{text!r} is no measurement, wanted MEMORY_MB:WARM_MS:COLD_MS, each above 0, such as "
            "1769:3.1:190"
        ) from None


def check_measurement(measured: Measurement) -> Measurement:
    """Return `measured`; raise ValueError unless all of it is finite and above 0."""
    for value in (measured.memory_mb, measured.warm_ms, measured.cold_ms):
        if not 0 < value < math.inf:
            raise ValueError(f"{value} is not a finite number above 0")
    return measured


def read_benchmark(path: Path) -> list[Measurement]:
    """Return the medians of `make bench-cold`'s JSON for `POST /predict`, by memory size.

    Raises:
        CommandError: Not such a file, or nothing of the kind is in it.
    """
    try:
        measured = summarize_rows(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        wanted = "the JSON file of `make bench-cold`"
        raise CommandError(f"{path}: {error}; wanted {wanted}") from None
    return measured


def summarize_rows(rows: Any) -> list[Measurement]:
    """Return the medians of minnow's rows for `POST /predict`, by memory size.

    Raises:
        ValueError: Not rows of measurements, or none of them is one of those.
    """
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("not a list of objects")
    groups: dict[int, list[Measurement]] = {}
    for number, row in enumerate(rows, start=1):
        if (row.get("contestant"), row.get("event")) != ("minnow", "predict"):
            continue
        try:
            memory, warm, first = (row[name] for name in ("memory_mb", "warm_ms", "first_ms"))
            one = check_measurement(Measurement(int(memory), float(warm), float(first)))
        except (KeyError, TypeError, ValueError):
            raise ValueError(
                f"row {number} lacks memory_mb, warm_ms or first_ms, each a number above 0"
            ) from None
        groups.setdefault(one.memory_mb, []).append(one)
    if not groups:
        raise ValueError("no row is of minnow's predictions")
    return [
        Measurement(
            memory, median(one.warm_ms for one in ones), median(one.cold_ms for one in ones)
        )
        for memory, ones in sorted(groups.items())
    ]


def describe_costs(costs: list[Cost], prices: Prices, cold_share: float) -> str:
    """Return a table in US dollars for a million requests, with what it assumes."""
    lines = [
        f"US dollars for {MILLION:,} requests, {cold_share:.1%} of them cold. Assumed: "
        f"{prices.gb_second} a GB-second, {prices.million_invocations} a million invocations, "
        f"{prices.million_http} a million HTTP API requests, {prices.gb_logs} a GB of logs; no "
        "free tier, no data transfer.",
        f"{'MB':>6}{'warm ms':>9}{'cold ms':>9}{'compute':>9}{'restored':>10}{'invoked':>9}"
        f"{'HTTP':>7}{'logs':>7}{'total':>8}",
    ]
    lines += [
        f"{c.memory_mb:6}{c.warm_ms:9.1f}{c.cold_ms:9.0f}{c.compute:9.3f}{c.restores:10.2f}"
        f"{c.invocations:9.2f}{c.http:7.2f}{c.logs:7.2f}{c.total:8.2f}"
        for c in costs
    ]
    if any(c.snapshot_month for c in costs):
        kept = ", ".join(f"{c.snapshot_month:.2f} at {c.memory_mb} MB" for c in costs)
        lines.append(
            f"SnapStart, at {prices.restored_gb} a GB restored and {prices.snapshot_gb_second} a "
            f"GB-second kept: each published version costs, a month, {kept}."
        )
    return "\n".join(lines)
