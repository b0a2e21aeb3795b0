"""Kinesis and DynamoDB streams: the reply names sequence numbers; Lambda goes on at the lowest."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from functools import partial
from typing import Any

from handler.attributes import from_attribute
from handler.errors import InvalidInput
from handler.events.batch import Record, process_records
from handler.events.fields import read_id, read_object
from handler.events.resources import Invocation
from handler.events.work import Objects, Texts, Work, read_body, read_document


def answer_kinesis(records: list[dict[str, Any]], invocation: Invocation) -> dict[str, Any]:
    """Return `{"batchItemFailures": [{"itemIdentifier": sequence_number}, ...]}`."""
    batch = _read_records(records, "kinesis", "sequenceNumber", _read_data)
    return _answer(batch, invocation, "Kinesis")


def answer_dynamodb(records: list[dict[str, Any]], invocation: Invocation) -> dict[str, Any]:
    """Return the sequence numbers that failed; a removed item has no text and is passed over."""
    batch = _read_records(records, "dynamodb", "SequenceNumber", _read_change)
    return _answer(batch, invocation, "DynamoDB stream")


def _read_records(
    records: list[dict[str, Any]], part: str, id_name: str, read: Callable[[dict[str, Any]], Work]
) -> list[Record]:
    """Return the records, each with the id that stands in its `part`."""
    batch = []
    for index, record in enumerate(records):
        where = f"Records[{index}]"
        batch.append(
            Record(
                read_id(read_object(record, part, where), id_name, f"{where}.{part}"),
                read_id(record, "eventSourceARN", where),
                partial(read, record),
            )
        )
    return batch


def _answer(batch: list[Record], invocation: Invocation, family: str) -> dict[str, Any]:
    resources = invocation.resources
    resources.require_sink(family)
    for source in {record.source for record in batch}:
        resources.refuse_loop(source)
    outcome = process_records(batch, invocation)
    return {
        "batchItemFailures": [
            {"itemIdentifier": batch[index].record_id} for index in sorted(outcome.failures)
        ]
    }


def _read_data(record: dict[str, Any]) -> Work:
    return _only_texts(read_body(_decode(record["kinesis"].get("data")), depth=1))


def _decode(data: object) -> str:
    try:
        return base64.b64decode(str(data), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise InvalidInput("kinesis.data is not UTF-8 text in base64", field="data") from None


def _read_change(record: dict[str, Any]) -> Work:
    if record.get("eventName") == "REMOVE":
        return Objects([])
    image = record["dynamodb"].get("NewImage")
    if not isinstance(image, dict):
        raise InvalidInput(
            "dynamodb.NewImage is missing: set the stream's view type to NEW_IMAGE or "
            "NEW_AND_OLD_IMAGES",
            field="dynamodb.NewImage",
        )
    document = {name: from_attribute(value) for name, value in image.items()}
    return _only_texts(read_document(document, depth=1))


def _only_texts(work: Work) -> Work:
    if not isinstance(work, Texts):
        raise InvalidInput("a stream's record holds texts; send objects through SQS or EventBridge")
    return work
