"""SNS: raises when the message fails, so that SNS delivers it again, then to its dead letters."""

from __future__ import annotations

from functools import partial
from typing import Any

from handler.events.batch import process_records, raise_first
from handler.events.body import refuse_pointer
from handler.events.fields import read_id, read_object
from handler.events.resources import Invocation
from handler.events.work import Record, Work, read_body
from handler.traces import read_sns_trace


def answer_sns(records: list[dict[str, Any]], invocation: Invocation) -> dict[str, Any]:
    """Return `{"results": [...]}`, one for each record: for the function's own destination."""
    batch = []
    for index, record in enumerate(records):
        where = f"Records[{index}]"
        message = read_object(record, "Sns", where)
        batch.append(
            Record(
                read_id(message, "MessageId", f"{where}.Sns"),
                read_id(message, "TopicArn", f"{where}.Sns"),
                partial(_read, message),
                traceparent=read_sns_trace(message),
                sent=message.get("Timestamp"),
            )
        )
    outcome = process_records(batch, invocation)
    raise_first(outcome)
    return {"results": [outcome.answers[index] for index in range(len(batch))]}


def _read(message: dict[str, Any]) -> Work:
    refuse_pointer(message.get("MessageAttributes"))
    return read_body(message.get("Message"), depth=1)
