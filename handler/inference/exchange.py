"""An exchange: one request or event, and what was answered, as the monitor sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from handler.inference.tasks import Selective

if TYPE_CHECKING:
    from handler.inference.classifier import Prediction
    from handler.inference.tasks import Task

COUNTS = ("texts", "truncated", "tokens", "unknown_tokens")


class Exchange:
    """What is worth knowing of one request or event, and of what was answered.

    Args:
        request_id: The client's own id, or the platform's.
        operation: The operation's name, or the event's source; "none" where nothing was found.
        model: Name of the model that was asked.
        version: Of the model, where it comes from a repository.
        method: Of HTTP; empty: this is an event.
        status: Of HTTP.
        records: Of an event.
        failed_records: Of these.
        latency_ms: From the parsed request to the finished answer.
        caller: Name of the API key.
        problem: Why it was refused or failed.
        labels: Predicted label -> number of texts.
        abstained: Texts that were not answered.
        trace_id: Of the caller's trace, where it has one.
        traceparent: Of HTTP, that of the caller's span, valid.
    """

    def __init__(self, request_id: str, operation: str = "none", model: str = "") -> None:
        # No dataclass: to make one takes longer than all that the first request adds to it.
        self.request_id = request_id
        self.operation = operation
        self.model = model
        self.version = ""
        self.method = ""
        self.status = 0
        self.records = 0
        self.failed_records = 0
        self.latency_ms = 0.0
        self.caller = ""
        self.problem = ""
        self.texts = 0
        self.truncated = 0
        self.tokens = 0
        self.unknown_tokens = 0
        self.labels: dict[str, int] = {}
        self.abstained = 0
        self.trace_id = ""
        self.traceparent = ""

    def count(self, task: Task, predictions: Sequence[Prediction]) -> None:
        """Add what was predicted."""
        self.texts += len(predictions)
        for prediction in predictions:
            self.truncated += prediction.truncated
            self.tokens += prediction.num_tokens
            self.unknown_tokens += prediction.num_tokens - prediction.known_tokens
            for label in task.predicted_labels(prediction.outputs):
                self.labels[label] = self.labels.get(label, 0) + 1
        if isinstance(task, Selective):
            self.abstained += sum(bool(task.why_abstained(one.outputs)) for one in predictions)

    def describe(self) -> dict[str, Any]:
        """Return the log line's fields."""
        line: dict[str, Any] = {"level": "info", "message": "request"}
        line |= {"request_id": self.request_id, "operation": self.operation, "model": self.model}
        if self.method:
            line |= {"method": self.method, "status": self.status}
            if self.status >= 500:  # 503 is a refusal: too much at a time, or the end is near
                line["level"] = "warning" if self.status == 503 else "error"
        else:
            line |= {"records": self.records, "failed_records": self.failed_records}
            line["level"] = "warning" if self.failed_records else "info"
            line["level"] = "error" if self.problem else line["level"]
            line["message"] = "event"
        line["latency_ms"] = round(self.latency_ms, 3)
        line |= {name: getattr(self, name) for name in COUNTS}
        for name in ("version", "labels", "abstained", "caller", "problem", "trace_id"):
            if value := getattr(self, name):
                line[name] = value
        return line
