"""Where results go: one class a service, opened from a URL. A result sent twice is one result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from handler.event_settings import Target


@dataclass(frozen=True)
class Result:
    """One record's outcome.

    Args:
        result_id: Hash of source id and model: the same for every delivery of the same record.
        document: What is sent, ready for JSON.
        group: FIFO group of the source, so that the order lives on; empty: none.
    """

    result_id: str
    document: Mapping[str, Any]
    group: str = ""


class Sink(Protocol):
    """Sends results; `feeds` tells whether a source with this ARN would read them back."""

    overwrites: bool

    def send(self, results: Sequence[Result]) -> dict[str, str]:
        """Send all; return the ids of those that failed after retries, with the reason."""

    def feeds(self, source_arn: str) -> bool: ...


def open_sink(target: Target) -> Sink:
    """Return the sink of a URL, such as `sqs://results` or `s3://bucket/prefix/`."""
    if target.scheme == "sqs":
        from handler.sinks.sqs import SqsSink

        return SqsSink(target)
    if target.scheme == "s3":
        from handler.sinks.s3 import S3Sink

        return S3Sink(target)
    if target.scheme == "eventbridge":
        from handler.sinks.eventbridge import EventBridgeSink

        return EventBridgeSink(target)
    from handler.sinks.dynamodb import DynamoDBSink

    return DynamoDBSink(target)
