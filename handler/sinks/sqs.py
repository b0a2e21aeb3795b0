"""`sqs://NAME` or `sqs://sqs.REGION.amazonaws.com/ACCOUNT/NAME`: one message a result."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from handler.aws import is_resource, make_client
from handler.deadline import Deadline
from handler.event_settings import Target
from handler.sinks.sending import encode, send_batches
from handler.sinks.sink import Result
from handler.traces import NAME, write_xray

MAX_ENTRIES = 10  # SendMessageBatch


class SqsQueue:
    """A queue by its URL or, looked up once, by its name."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.name = (target.path or target.name).rsplit("/", 1)[-1]

    @cached_property
    def client(self) -> Any:
        return make_client("sqs")

    @cached_property
    def url(self) -> str:
        if self.target.path:
            return f"https://{self.target.name}/{self.target.path}"
        found: str = self.client.get_queue_url(QueueName=self.name)["QueueUrl"]
        return found

    def send_text(self, body: str) -> None:
        """Send one message."""
        self.client.send_message(QueueUrl=self.url, MessageBody=body)


class SqsSink:
    """Sends to a queue. A FIFO queue drops a result sent twice within five minutes; on a standard
    queue the reader tells by `result_id`."""

    overwrites = False

    def __init__(self, target: Target) -> None:
        self.queue = SqsQueue(target)
        self.is_fifo = self.queue.name.endswith(".fifo")

    def send(self, results: Sequence[Result], deadline: Deadline) -> dict[str, str]:
        return send_batches(results, self._send, deadline, MAX_ENTRIES)

    def feeds(self, source_arn: str) -> bool:
        return is_resource(source_arn, "sqs", self.queue.name)

    def _send(self, results: Sequence[Result]) -> dict[str, str]:
        entries = [self._entry(index, result) for index, result in enumerate(results)]
        reply = self.queue.client.send_message_batch(QueueUrl=self.queue.url, Entries=entries)
        return {
            results[int(failure["Id"])].result_id: failure["Code"]
            for failure in reply.get("Failed", [])
        }

    def _entry(self, index: int, result: Result) -> dict[str, Any]:
        entry: dict[str, Any] = {"Id": str(index), "MessageBody": encode(result)}
        if result.traceparent:
            entry["MessageAttributes"] = {NAME: _attribute(result.traceparent)}
            entry["MessageSystemAttributes"] = {
                "AWSTraceHeader": _attribute(write_xray(result.traceparent))
            }
        if self.is_fifo:
            entry["MessageGroupId"] = result.group or result.result_id
            entry["MessageDeduplicationId"] = result.result_id
        return entry


def _attribute(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}
