"""What the log tells of two versions of a model, read line by line.

What holds no object is passed over; an object that cannot be read, or whose fields are not what
they are in Minnow's lines, is counted.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from handler.inference.watch import MESSAGE as PROFILE
from minnow.compare.statistics import Tally
from minnow.log_lines import find_object, read_lines

MAX_NUMBER = 1e100  # whose square, times all texts, is one still


class Requests:
    """What a version's own lines tell.

    Attributes:
        latencies_ms: Of requests over HTTP that were answered.
        errors: Of requests over HTTP: those that failed by the service's fault, as "error".
        labels: By label, of all texts, those of events too.
        first, last: Seconds since 1970; inf and -inf: no line has a time.
    """

    def __init__(self) -> None:
        self.latencies_ms = array("d")
        self.errors = Tally()
        self.labels = Tally()
        self.first, self.last = math.inf, -math.inf


class Pairs:
    """What the lines of the shadow tell.

    Attributes:
        task: Kind of the task; empty: there was no line.
        texts: By name: "agreed", "score_shift", "score_difference", and by (label) "+label" and
            "-label" the texts that gained or lost it.
        latency_ratios: Latency of the candidate, as a part of the other one's, of each line of a
            server, where both run in turns.
        dropped: Requests that the shadow did not run.
    """

    def __init__(self) -> None:
        self.task = ""
        self.texts = Tally()
        self.latency_ratios = array("d")
        self.dropped = 0


class Evidence:
    """All that the log tells of two versions of one model.

    Attributes:
        requests: Of either, by version.
        histograms: Feature -> version -> bin -> texts, of the monitor's profiles.
    """

    def __init__(self, versions: Sequence[str]) -> None:
        self.requests = {version: Requests() for version in versions}
        self.pairs = Pairs()
        self.histograms: dict[str, dict[str, dict[str, float]]] = {}


class Log:
    """Reads lines, and keeps what they tell by model.

    Args:
        live, candidate: Versions.
        model: The only one that is kept; empty: all.

    Attributes:
        num_lines: That held an object.
        num_broken: Of these, that could not be read.
    """

    def __init__(self, live: str, candidate: str, model: str = "") -> None:
        self.evidence: dict[str, Evidence] = {}
        self.num_lines = self.num_broken = 0
        self._versions = (live, candidate)
        self._model = model

    def read(self, lines: Iterable[str]) -> None:
        """Add what lines tell."""
        for line in lines:
            try:
                if (found := find_object(line)) is None:
                    continue
                self._add(found)
            except (ValueError, TypeError, KeyError, AttributeError):
                self.num_broken += 1
            self.num_lines += 1

    def _add(self, line: dict[str, Any]) -> None:
        model, version = line.get("model"), line.get("version")
        if not isinstance(model, str) or version not in self._versions:
            return
        if self._model and model != self._model:
            return
        if not model.isprintable():  # it may be shown
            raise ValueError("no name")
        add = self._find_reader(line)
        if add is not None:
            evidence = self.evidence.get(model) or Evidence(self._versions)
            add(evidence, line)
            self.evidence[model] = evidence

    def _find_reader(
        self, line: dict[str, Any]
    ) -> Callable[[Evidence, dict[str, Any]], None] | None:
        if line.get("message") == PROFILE:
            return _add_profile
        if line.get("message") in ("request", "event"):
            return _add_request
        is_pair = (line["version"], line.get("shadow")) == self._versions
        if line.get("message") == "shadow" and is_pair and "problem" not in line:
            return _add_pair
        return None


def read_logs(log: Log, paths: Sequence[str]) -> None:
    """Add what files, also .gz, tell, and standard input, which is "-"; raises what `read_lines`
    raises."""
    for path in paths:
        log.read(read_lines(path))


def _add_request(evidence: Evidence, line: dict[str, Any]) -> None:
    found = evidence.requests[line["version"]]
    texts, latency_ms = _count(line["texts"]), _number(line["latency_ms"])
    labels = {str(label): _count(count) for label, count in line.get("labels", {}).items()}
    when = _read_time(line)
    if "method" in line:
        is_failed = _count(line["status"]) >= 500
        if texts or is_failed:
            found.errors.add(1, {"error": float(is_failed)})
        if texts and not is_failed and latency_ms > 0:
            found.latencies_ms.append(latency_ms)
    if texts:  # also those without a label, or withheld: they are none of the others' labels
        found.labels.add(texts, labels)
    if when is not None:
        found.first, found.last = min(found.first, when), max(found.last, when)


def _add_pair(evidence: Evidence, line: dict[str, Any]) -> None:
    texts, pairs = _count(line["texts"]), evidence.pairs
    if not texts:
        raise ValueError("no texts")
    amounts = {
        "agreed": float(_count(line["agreed"])),
        "score_shift": texts * _number(line["score_shift"]),
        "score_difference": texts * _number(line["score_difference"]),
    }
    for label, others in line.get("changed", {}).items():
        for other, count in others.items():
            for name in (f"-{label}" if label else "", f"+{other}" if other else ""):
                if name:
                    amounts[name] = amounts.get(name, 0) + _count(count)
    latencies = _number(line["latency_ms"]), _number(line["shadow_latency_ms"])
    task, dropped = str(line["task"]), _count(line.get("dropped", 0))
    pairs.texts.add(texts, amounts)
    pairs.task = task
    pairs.dropped += dropped
    # Elsewhere the shadow ran behind the other, in smaller batches: that compares no versions.
    if min(latencies) > 0 and line.get("in_turns") is True:
        pairs.latency_ratios.append(latencies[1] / latencies[0])


def _add_profile(evidence: Evidence, line: dict[str, Any]) -> None:
    bins: dict[str, list[str]] = line["bins"]  # of labels; those of numbers are always the same
    for feature, found in line["histograms"].items():
        counts = [_count(number) for number in found]
        if not counts:
            raise ValueError("no histogram")
        of_version = evidence.histograms.setdefault(str(feature), {})
        sums = of_version.setdefault(line["version"], {})
        numbered = [f"{place} of {len(counts)}" for place in range(len(counts))]
        for name, number in zip(bins.get(feature, numbered), counts, strict=True):
            sums[str(name)] = sums.get(str(name), 0.0) + number


def _read_time(line: dict[str, Any]) -> float | None:
    if "timestamp" in line:
        return _number(line["timestamp"])
    embedded = line.get("_aws")
    return _number(embedded["Timestamp"]) / 1000 if isinstance(embedded, dict) else None


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("no number")
    if not -MAX_NUMBER <= value <= MAX_NUMBER:  # nor one that is none, or infinite
        raise ValueError("no number")
    return float(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise ValueError("no count")
    return value
