"""SQS, standard and FIFO: the reply names the messages that stay in the queue."""

from __future__ import annotations

from typing import Any

from handler.errors import InvalidInput
from handler.events.batch import process_records
from handler.events.body import refuse_pointer
from handler.events.fields import read_id
from handler.events.resources import Invocation, Resources
from handler.events.work import Record, Texts, Work, read_body
from handler.traces import read_sqs_trace


def answer_sqs(records: list[dict[str, Any]], invocation: Invocation) -> dict[str, Any]:
    """Return `{"batchItemFailures": [{"itemIdentifier": message_id}, ...]}`.

    As AWS Lambda Powertools does: every message is tried, and in a FIFO queue a group stops at
    its first failure. The event source mapping needs ReportBatchItemFailures.
    """
    batch = [
        _read_record(record, index, invocation.resources) for index, record in enumerate(records)
    ]
    outcome = process_records(batch, invocation)
    return {
        "batchItemFailures": [
            {"itemIdentifier": batch[index].record_id} for index in sorted(outcome.failures)
        ]
    }


def _read_record(record: dict[str, Any], index: int, resources: Resources) -> Record:
    # Without an id a message cannot be reported, and an id that SQS does not know makes it
    # redeliver the whole batch: refuse such an event before anything is sent.
    where = f"Records[{index}]"
    message_id = read_id(record, "messageId", where)
    source_arn = read_id(record, "eventSourceARN", where)
    resources.refuse_loop(source_arn)
    attributes = record.get("attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    group = attributes.get("MessageGroupId")
    is_fifo = source_arn.endswith(".fifo")

    def read() -> Work:
        if is_fifo and not (isinstance(group, str) and group):
            raise InvalidInput("attributes.MessageGroupId is missing", field="attributes")
        refuse_pointer(record.get("messageAttributes"))
        work = read_body(record.get("body"))
        if isinstance(work, Texts):
            resources.require_sink("SQS")
        return work

    # A standard queue can carry a group too (fair queues): it orders nothing there.
    group_id = str(group or "") if is_fifo else ""
    trace = read_sqs_trace(record)
    return Record(message_id, source_arn, read, group_id, attributes.get("SentTimestamp"), trace)
