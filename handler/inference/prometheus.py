"""Counters for Prometheus: what a server tells at `GET /metrics`."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from handler.inference.exchange import Exchange

# Upper bounds in milliseconds; a batch of 256 long texts takes about the last one.
BUCKETS_MS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
BOUNDS = (*(f"{bound / 1000:g}" for bound in BUCKETS_MS), "+Inf")
TOTALS = ("truncated_texts", "tokens", "unknown_tokens")
EXPECTED, SEEN = "expected", "seen"  # of the bins of a profile

Key = tuple[str, ...]  # the counter's name, then the values of its labels


class Counts(Protocol):
    """Numbers by key, of this process or of all processes of a server."""

    def add(self, key: Key, amount: float) -> None: ...

    def read(self) -> Mapping[Key, float]: ...


class OwnCounts:
    """The numbers of this process alone."""

    def __init__(self) -> None:
        self._counts: Counter[Key] = Counter()

    def add(self, key: Key, amount: float) -> None:
        """Add to one number."""
        self._counts[key] += amount  # type: ignore[assignment]  # sums of seconds are floats

    def read(self) -> Mapping[Key, float]:
        """Return all numbers, as they are now."""
        return dict(self._counts)


@dataclass
class Prometheus:
    """Counters since the start of the server, in Prometheus' text format."""

    models: list[Mapping[str, str]] = field(default_factory=list)
    counts: Counts = field(default_factory=OwnCounts)
    # What is seen of texts comes from whichever thread has answered them.
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, exchange: Exchange) -> None:
        """Count one exchange."""
        with self._lock:
            self._count(exchange)

    def _count(self, exchange: Exchange) -> None:
        add, name = self.counts.add, exchange.operation
        add(("requests", name, str(exchange.status)), 1)
        add(("latency", name, BOUNDS[bisect_left(BUCKETS_MS, exchange.latency_ms)]), 1)
        add(("seconds", name), exchange.latency_ms / 1000)
        for label, count in exchange.labels.items():
            add(("labels", exchange.model, label), count)
        if exchange.abstained:
            add(("abstained", exchange.model), exchange.abstained)
        if exchange.texts:
            add(("truncated_texts",), exchange.truncated)
            add(("tokens",), exchange.tokens)
            add(("unknown_tokens",), exchange.unknown_tokens)

    def expect(self, model: Key, counts: Mapping[Key, int]) -> None:
        """Take the profile of a model, (name, version), by (feature, bin)."""
        self._add_bins(EXPECTED, model, counts)

    def add_profile(self, model: Key, counts: Mapping[Key, int]) -> None:
        """Count texts and answers of a model as they are seen, by (feature, bin)."""
        self._add_bins(SEEN, model, counts)

    def _add_bins(self, name: str, model: Key, counts: Mapping[Key, int]) -> None:
        with self._lock:
            for bin_key, number in counts.items():
                self.counts.add((name, *model, *bin_key), number)

    def render(self) -> bytes:
        """Return the page that `GET /metrics` answers."""
        with self._lock:
            counts = self.counts.read()
        lines = ["# TYPE minnow_model_info gauge"]
        lines += [f"minnow_model_info{_labels(**model)} 1" for model in self.models]
        lines.append("# TYPE minnow_requests_total counter")
        for _, name, status in _select(counts, "requests"):
            count = int(counts["requests", name, status])
            lines.append(f"minnow_requests_total{_labels(operation=name, status=status)} {count}")
        lines.append("# TYPE minnow_request_duration_seconds histogram")
        for _, name in _select(counts, "seconds"):
            lines += _render_latency(counts, name)
        lines.append("# TYPE minnow_predictions_total counter")
        for _, model, label in _select(counts, "labels"):
            count = int(counts["labels", model, label])
            lines.append(f"minnow_predictions_total{_labels(model=model, label=label)} {count}")
        if abstained := _select(counts, "abstained"):
            lines.append("# TYPE minnow_abstained_texts_total counter")
        for _, model in abstained:
            count = int(counts["abstained", model])
            lines.append(f"minnow_abstained_texts_total{_labels(model=model)} {count}")
        lines += _render_profiles(counts)
        for name in TOTALS:
            lines += [f"# TYPE minnow_{name}_total counter"]
            lines += [f"minnow_{name}_total {int(counts.get((name,), 0))}"]
        return ("\n".join(lines) + "\n").encode()


def _select(counts: Mapping[Key, float], name: str) -> list[Key]:
    return [key for key in counts if key[0] == name]


def _render_profiles(counts: Mapping[Key, float]) -> list[str]:
    """Return what was seen of models' texts and answers, and the shares that were to be expected.

    Each process has told all of a profile, so that only the shares of their sum mean anything.
    """
    expected, seen = _select(counts, EXPECTED), _select(counts, SEEN)
    totals: Counter[Key] = Counter()
    for key in expected:
        totals[key[1:4]] += int(counts[key])
    lines = ["# TYPE minnow_profile_expected_share gauge"] if expected else []
    for key in expected:
        share = counts[key] / totals[key[1:4]]
        lines.append(f"minnow_profile_expected_share{_label_bin(key)} {share:.6g}")
    lines += ["# TYPE minnow_profile_texts_total counter"] if seen else []
    for key in seen:
        lines.append(f"minnow_profile_texts_total{_label_bin(key)} {int(counts[key])}")
    return lines


def _label_bin(key: Key) -> str:
    _, model, version, feature, name = key
    return _labels(model=model, version=version, feature=feature, bin=name)


def _render_latency(counts: Mapping[Key, float], name: str) -> list[str]:
    metric = "minnow_request_duration_seconds"
    lines = []
    count = 0
    for bound in BOUNDS:
        count += int(counts.get(("latency", name, bound), 0))
        lines.append(f"{metric}_bucket{_labels(operation=name, le=bound)} {count}")
    lines.append(f"{metric}_sum{_labels(operation=name)} {counts['seconds', name]:.6f}")
    return [*lines, f"{metric}_count{_labels(operation=name)} {count}"]


def _labels(**pairs: object) -> str:
    escaped = (
        (name, str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
        for name, value in pairs.items()
    )
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"
