"""The monitor: the one observer of what was asked and answered, over HTTP and by events.

It writes one line of JSON for each request and each event, and counts. No user text, no address
and no header stands in either.
"""

from __future__ import annotations

import json
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from handler.inference.classifier import Prediction
from handler.inference.tasks import Task

# Upper bounds in milliseconds; a batch of 256 long texts takes about the last one.
BUCKETS_MS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
Write = Callable[[str], Any]
dump_line = json.JSONEncoder(separators=(",", ":")).encode

COUNTS = ("texts", "truncated", "tokens", "unknown_tokens")
HTTP_COUNTS = (*COUNTS, "client_errors", "server_errors")
EVENT_COUNTS = (*COUNTS, "records", "failed_records")


@dataclass
class Exchange:
    """What is worth knowing of one request or event, and of what was answered.

    Args:
        request_id: The client's own id, or the platform's.
        operation: The operation's name, or the event's source; "none" where nothing was found.
        model: Name of the model that was asked.
        method: Of HTTP; empty: this is an event.
        status: Of HTTP.
        records: Of an event.
        failed_records: Of these.
        latency_ms: From the parsed request to the finished answer.
        caller: Name of the API key.
        problem: Why it was refused or failed.
        labels: Predicted label -> number of texts.
    """

    request_id: str
    operation: str = "none"
    model: str = ""
    method: str = ""
    status: int = 0
    records: int = 0
    failed_records: int = 0
    latency_ms: float = 0.0
    caller: str = ""
    problem: str = ""
    texts: int = 0
    truncated: int = 0
    tokens: int = 0
    unknown_tokens: int = 0
    labels: dict[str, int] = field(default_factory=dict)

    def count(self, task: Task, predictions: Sequence[Prediction]) -> None:
        """Add what was predicted."""
        self.texts += len(predictions)
        for prediction in predictions:
            self.truncated += prediction.truncated
            self.tokens += prediction.num_tokens
            self.unknown_tokens += prediction.num_tokens - prediction.known_tokens
            for label in task.predicted_labels(prediction.outputs):
                self.labels[label] = self.labels.get(label, 0) + 1

    def describe(self) -> dict[str, Any]:
        """Return the log line's fields."""
        line: dict[str, Any] = {"level": "info", "message": "request"}
        line |= {"request_id": self.request_id, "operation": self.operation}
        if self.method:
            line |= {"method": self.method, "status": self.status}
            line["level"] = "error" if self.status >= 500 else "info"
        else:
            line |= {"records": self.records, "failed_records": self.failed_records}
            line["level"] = "warning" if self.failed_records else "info"
            line["level"] = "error" if self.problem else line["level"]
            line["message"] = "event"
        line["latency_ms"] = round(self.latency_ms, 3)
        line |= {name: getattr(self, name) for name in COUNTS}
        for name in ("labels", "caller", "problem"):
            if value := getattr(self, name):
                line[name] = value
        return line


class Monitor:
    """Takes every exchange of a process, of all its models.

    Args:
        write: Takes the log, a line at a time; None: nothing is written.
        prometheus: Counts for `GET /metrics`.
        embeds_metrics: Lines are in CloudWatch's embedded format, which makes metrics of them.
    """

    def __init__(
        self,
        write: Write | None = None,
        *,
        prometheus: Prometheus | None = None,
        embeds_metrics: bool = False,
    ) -> None:
        self.prometheus = prometheus
        self._write = write
        self._embeds_metrics = embeds_metrics

    def observe(self, exchange: Exchange) -> None:
        """Count one exchange and write its line."""
        if self.prometheus is not None:
            self.prometheus.count(exchange)
        if self._write is not None and self._embeds_metrics:
            self._write(embed_metrics(exchange) + "\n")
        else:
            self.log({"timestamp": round(time.time(), 3), **exchange.describe()})

    def log(self, line: Mapping[str, Any]) -> None:
        """Write one line of JSON."""
        if self._write is not None:
            self._write(dump_line(line) + "\n")


def embed_metrics(exchange: Exchange) -> str:
    """Return a log line that CloudWatch also reads as metrics, by operation and in all."""
    line = exchange.describe()
    line["model"] = exchange.model
    if exchange.method:
        line["client_errors"] = int(400 <= exchange.status < 500)
        line["server_errors"] = int(exchange.status >= 500)
    directive = HTTP_DIRECTIVE if exchange.method else EVENT_DIRECTIVE
    stamp = f'"_aws":{{"Timestamp":{int(time.time() * 1000)},"CloudWatchMetrics":{directive}}}'
    return f"{dump_line(line)[:-1]},{stamp}}}"


def _make_directive(counts: Sequence[str]) -> str:
    metrics = [{"Name": "latency_ms", "Unit": "Milliseconds"}]
    metrics += [{"Name": name, "Unit": "Count"} for name in counts]
    dimensions = [["model"], ["model", "operation"]]
    return dump_line([{"Namespace": "Minnow", "Dimensions": dimensions, "Metrics": metrics}])


# Most of a line never changes: encoded once, it costs a request 0.02 ms less.
HTTP_DIRECTIVE, EVENT_DIRECTIVE = _make_directive(HTTP_COUNTS), _make_directive(EVENT_COUNTS)


@dataclass
class Prometheus:
    """Counters since the start of this process, in Prometheus' text format."""

    models: list[Mapping[str, str]] = field(default_factory=list)
    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    latencies: dict[str, list[int]] = field(default_factory=dict)
    latency_sums: Counter[str] = field(default_factory=Counter)
    labels: Counter[tuple[str, str]] = field(default_factory=Counter)
    totals: Counter[str] = field(default_factory=Counter)

    def count(self, exchange: Exchange) -> None:
        """Count one exchange."""
        name = exchange.operation
        self.requests[name, exchange.status] += 1
        buckets = self.latencies.setdefault(name, [0] * (len(BUCKETS_MS) + 1))
        buckets[bisect_left(BUCKETS_MS, exchange.latency_ms)] += 1
        self.latency_sums[name] += exchange.latency_ms  # type: ignore[assignment]  # a float sum
        for label, count in exchange.labels.items():
            self.labels[exchange.model, label] += count
        self.totals["truncated_texts"] += exchange.truncated
        self.totals["tokens"] += exchange.tokens
        self.totals["unknown_tokens"] += exchange.unknown_tokens

    def render(self) -> bytes:
        """Return the page that `GET /metrics` answers."""
        lines = ["# TYPE minnow_model_info gauge"]
        lines += [f"minnow_model_info{_labels(**model)} 1" for model in self.models]
        lines.append("# TYPE minnow_requests_total counter")
        for (name, status), count in self.requests.items():
            lines.append(f"minnow_requests_total{_labels(operation=name, status=status)} {count}")
        lines.append("# TYPE minnow_request_duration_seconds histogram")
        for name in self.latencies:
            lines += self._render_latency(name)
        lines.append("# TYPE minnow_predictions_total counter")
        for (model, label), count in self.labels.items():
            lines.append(f"minnow_predictions_total{_labels(model=model, label=label)} {count}")
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
