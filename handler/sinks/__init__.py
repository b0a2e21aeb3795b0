"""Where results go: one module a service, opened from a URL."""

from __future__ import annotations

from handler.errors import SettingsError
from handler.event_settings import Target
from handler.sinks.sink import Sink


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
    if target.scheme == "dynamodb":
        from handler.sinks.dynamodb import DynamoDBSink

        return DynamoDBSink(target)
    raise SettingsError(f"there is no sink for {target.scheme}://")
