"""The monitor: the one observer of what was asked and answered, over HTTP and by events.

It writes one line of JSON for each request and each event, and counts; of models with a profile it
also watches what texts and answers are like (`watch.py`). No user text, no address and no header
stands in any of it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from handler.inference.exchange import COUNTS, Exchange

if TYPE_CHECKING:
    from handler.hosts.telemetry import Telemetry
    from handler.inference.classifier import Prediction
    from handler.inference.prometheus import Prometheus
    from handler.inference.watch import Model, Watch

Write = Callable[[str], Any]
dump_line = json.JSONEncoder(separators=(",", ":")).encode

NAMESPACE = "Minnow"
HTTP_COUNTS = (*COUNTS, "client_errors", "server_errors")
EVENT_COUNTS = (*COUNTS, "records", "failed_records")


class Monitor:
    """Takes every exchange of a process, of all its models.

    Args:
        write: Takes the log, a line at a time; None: nothing is written.
        prometheus: Counts for `GET /metrics`.
        embeds_metrics: Lines are in CloudWatch's embedded format, which makes metrics of them.
        profile_every: Texts of a model with a profile after which a line says what they were like;
            0: nothing is kept of them.

    Attributes:
        telemetry: Gets the same, to send it elsewhere; None: nobody does.
    """

    def __init__(
        self,
        write: Write | None = None,
        *,
        prometheus: Prometheus | None = None,
        embeds_metrics: bool = False,
        profile_every: int = 0,
    ) -> None:
        self.prometheus = prometheus
        self.telemetry: Telemetry | None = None
        self._profile_every = profile_every
        self._watch: Watch | None = None
        self._write = write
        self._embeds_metrics = embeds_metrics

    def observe(self, exchange: Exchange) -> None:
        """Count one exchange and write its line."""
        if self.telemetry is not None:
            self.telemetry.observe(exchange)
        if self.prometheus is not None:
            self.prometheus.count(exchange)
        if self._write is not None and self._embeds_metrics:
            self._write(embed_metrics(exchange) + "\n")
        else:
            self.log({"timestamp": round(time.time(), 3), **exchange.describe()})
        if self._watch is not None:
            self._watch.tell_if_due()

    def count(
        self,
        exchange: Exchange,
        model: Model,
        texts: Sequence[str],
        predictions: Sequence[Prediction],
    ) -> None:
        """Add to an exchange what a model answered, and to what is seen of that model."""
        exchange.count(model.task, predictions)
        if model.manifest.profile is None or not self._profile_every:
            return
        watched = model.watched
        if watched is None or not watched.is_open:
            watched = model.watched = self._begin_watch().begin(model)
        if watched.add(texts, predictions) >= self._profile_every:
            self._begin_watch().tell(watched)

    def _begin_watch(self) -> Watch:
        if self._watch is None:
            from handler.inference.watch import Watch  # not for models without a profile

            counters = [one for one in (self.prometheus, self.telemetry) if one is not None]
            watch = Watch(self._profile_every, self._tell_profile, counters)
            if self._watch is None:  # no other thread was first while the module was read
                self._watch = watch
        return self._watch

    def finish(self) -> None:
        """Tell what was seen since the last time: the process ends."""
        if self._watch is not None:
            self._watch.tell()
        if self.telemetry is not None:
            self.telemetry.close()

    def forget(self) -> None:
        """Begin anew with what is seen: this process becomes a snapshot with many copies."""
        if self._watch is not None:
            self._watch.forget()

    def _tell_profile(self, line: dict[str, Any]) -> None:
        if self.telemetry is not None:
            self.telemetry.tell_drift(line)
        if self._write is not None and self._embeds_metrics:
            self._write(embed_profile(line) + "\n")
        else:
            self.log({"timestamp": line["until"], **line})

    def log(self, line: Mapping[str, Any]) -> None:
        """Write one line of JSON."""
        if self._write is not None:
            self._write(dump_line(line) + "\n")


def embed_metrics(exchange: Exchange) -> str:
    """Return a log line that CloudWatch also reads as metrics, by operation and in all."""
    line = exchange.describe()
    if exchange.method:
        line["client_errors"] = int(400 <= exchange.status < 500)
        line["server_errors"] = int(exchange.status >= 500)
    directive = HTTP_DIRECTIVE if exchange.method else EVENT_DIRECTIVE
    stamp = f'"_aws":{{"Timestamp":{int(time.time() * 1000)},"CloudWatchMetrics":{directive}}}'
    return f"{dump_line(line)[:-1]},{stamp}}}"


def embed_profile(line: Mapping[str, Any]) -> str:
    """Return a line about texts and answers that CloudWatch also reads as metrics: `drift`, 1 where
    there is any, and the largest index, of the function and of the model's version; of a window of
    few texts, whose index means nothing, no metric."""
    from handler.inference.drift import MIN_TEXTS  # not for models without a profile

    function = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
    if line["window"] < MIN_TEXTS:
        return dump_line({"function": function, "timestamp": line["until"], **line})
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [["function"], ["model", "version"]],
        "Metrics": [{"Name": name, "Unit": "None"} for name in ("drift", "drift_psi")],
    }
    stamp = {"Timestamp": int(line["until"] * 1000), "CloudWatchMetrics": [directive]}
    return dump_line({"function": function, **line, "_aws": stamp})


def _make_directive(counts: Sequence[str]) -> str:
    metrics = [{"Name": "latency_ms", "Unit": "Milliseconds"}]
    metrics += [{"Name": name, "Unit": "Count"} for name in counts]
    dimensions = [["model"], ["model", "operation"]]
    return dump_line([{"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics}])


# Most of a line never changes: encoded once, it costs a request 0.02 ms less.
HTTP_DIRECTIVE, EVENT_DIRECTIVE = _make_directive(HTTP_COUNTS), _make_directive(EVENT_COUNTS)
