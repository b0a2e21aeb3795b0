"""Counters for Prometheus: what a server tells at `GET /metrics`."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from handler.inference.exchange import Exchange

# Upper bounds in milliseconds; a batch of 256 long texts takes about the last one.
BUCKETS_MS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


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
