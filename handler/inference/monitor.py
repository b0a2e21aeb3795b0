"""One log line a request, and metrics: no user text, no address, no header in either."""

from __future__ import annotations

import json
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from handler.inference.classifier import Prediction

# Upper bounds in milliseconds; a batch of 256 long texts takes about the last one.
BUCKETS_MS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
Write = Callable[[str], Any]

# CloudWatch makes metrics of these in a line of the embedded format, properties of the rest.
EMF_METRICS = [
    {"Name": "latency_ms", "Unit": "Milliseconds"},
    *({"Name": n, "Unit": "Count"} for n in ("texts", "truncated", "tokens", "unknown_tokens")),
    *({"Name": n, "Unit": "Count"} for n in ("client_errors", "server_errors")),
]


@dataclass
class Exchange:
    """What is worth knowing of one request and its answer."""

    request_id: str
    operation: str
    method: str
    status: int
    latency_ms: float
    caller: str
    predictions: list[Prediction]
    problem: str = ""

    def describe(self) -> dict[str, Any]:
        """Return the log line's fields."""
        truncated = tokens = known_tokens = 0
        labels: dict[str, int] = {}
        for prediction in self.predictions:
            truncated += prediction.truncated
            tokens += prediction.num_tokens
            known_tokens += prediction.known_tokens
            labels[prediction.label] = labels.get(prediction.label, 0) + 1
        line: dict[str, Any] = {
            "level": "error" if self.status >= 500 else "info",
            "message": "request",
            "request_id": self.request_id,
            "operation": self.operation,
            "method": self.method,
            "status": self.status,
            "latency_ms": round(self.latency_ms, 3),
            "texts": len(self.predictions),
            "truncated": truncated,
            "tokens": tokens,
            "unknown_tokens": tokens - known_tokens,
        }
        if labels:
            line["labels"] = labels
        if self.caller:
            line["caller"] = self.caller
        if self.problem:
            line["problem"] = self.problem
        return line


def log_line(write: Write) -> Callable[[Exchange], None]:
    """Return a sink that writes one JSON object a line."""

    def sink(exchange: Exchange) -> None:
        write(dump_line({"timestamp": round(time.time(), 3), **exchange.describe()}) + "\n")

    return sink


def embedded_metrics(write: Write, model: str) -> Callable[[Exchange], None]:
    """Return a sink whose log line CloudWatch also reads as metrics, by operation and in all."""
    dimensions = [["model"], ["model", "operation"]]
    directive = {"Namespace": "Minnow", "Dimensions": dimensions, "Metrics": EMF_METRICS}
    # Most of the line never changes: encoded once, it costs a request 0.02 ms less.
    constant = dump_line([directive])

    def sink(exchange: Exchange) -> None:
        line = exchange.describe()
        line["model"] = model
        line["client_errors"] = int(400 <= exchange.status < 500)
        line["server_errors"] = int(exchange.status >= 500)
        stamp = f'"_aws":{{"Timestamp":{int(time.time() * 1000)},"CloudWatchMetrics":{constant}}}'
        write(f"{dump_line(line)[:-1]},{stamp}}}\n")

    return sink


@dataclass
class Prometheus:
    """Counters since the start of this process, in Prometheus' text format."""

    model: Mapping[str, str]
    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    latencies: dict[str, list[int]] = field(default_factory=dict)
    latency_sums: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    totals: Counter[str] = field(default_factory=Counter)

    def __call__(self, exchange: Exchange) -> None:
        """Count one exchange."""
        name = exchange.operation
        self.requests[name, exchange.status] += 1
        buckets = self.latencies.setdefault(name, [0] * (len(BUCKETS_MS) + 1))
        buckets[bisect_left(BUCKETS_MS, exchange.latency_ms)] += 1
        self.latency_sums[name] += exchange.latency_ms  # type: ignore[assignment]  # a float sum
        for prediction in exchange.predictions:
            self.labels[prediction.label] += 1
            self.totals["truncated_texts"] += prediction.truncated
            self.totals["tokens"] += prediction.num_tokens
            self.totals["unknown_tokens"] += prediction.num_tokens - prediction.known_tokens

    def render(self) -> bytes:
        lines = ["# TYPE minnow_model_info gauge", f"minnow_model_info{_labels(**self.model)} 1"]
        lines.append("# TYPE minnow_requests_total counter")
        for (name, status), count in self.requests.items():
            lines.append(f"minnow_requests_total{_labels(operation=name, status=status)} {count}")
        lines.append("# TYPE minnow_request_duration_seconds histogram")
        for name in self.latencies:
            lines += self._render_latency(name)
        lines.append("# TYPE minnow_predictions_total counter")
        for label, count in self.labels.items():
            lines.append(f"minnow_predictions_total{_labels(label=label)} {count}")
        for name in ("truncated_texts", "tokens", "unknown_tokens"):
            lines += [f"# TYPE minnow_{name}_total counter"]
            lines += [f"minnow_{name}_total {self.totals[name]}"]
        return ("\n".join(lines) + "\n").encode()

    def _render_latency(self, name: str) -> list[str]:
        metric = "minnow_request_duration_seconds"
        lines = []
        count = 0
        bounds = [*(f"{bound / 1000:g}" for bound in BUCKETS_MS), "+Inf"]
        for bound, in_bucket in zip(bounds, self.latencies[name], strict=True):
            count += in_bucket
            lines.append(f"{metric}_bucket{_labels(operation=name, le=bound)} {count}")
        lines.append(f"{metric}_sum{_labels(operation=name)} {self.latency_sums[name] / 1000:.6f}")
        return [*lines, f"{metric}_count{_labels(operation=name)} {count}"]


def _labels(**pairs: object) -> str:
    escaped = (
        (name, str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
        for name, value in pairs.items()
    )
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"


dump_line = json.JSONEncoder(separators=(",", ":")).encode
