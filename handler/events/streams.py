"""Kinesis and DynamoDB streams: the reply names sequence numbers; Lambda goes on at the lowest."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from handler.attributes import from_attribute
from handler.errors import InvalidInput
from handler.events.aggregates import is_aggregate, split_aggregate
from handler.events.batch import process_records
from handler.events.body import decode_bytes
from handler.events.fields import read_id, read_object
from handler.events.resources import Invocation
from handler.events.work import Feedback, Objects, Record, Work, read_body, read_document

TIMES = {"kinesis": "approximateArrivalTimestamp", "dynamodb": "ApproximateCreationDateTime"}


def answer_kinesis(records: list[dict[str, Any]], invocation: Invocation) -> dict[str, Any]:
    """Return `{"batchItemFailures": [{"itemIdentifier": sequence_number}, ...]}`.

    Of a record that the producer library has aggregated each part is scored and sent by itself,
    as `SEQUENCE_NUMBER:PART`; where one fails, the whole comes again.
    """
    batch: list[Record] = []
    sequence_numbers: list[str] = []
    wholes = _read_records(records, "kinesis", "sequenceNumber", _read_data)
    for index, record in enumerate(wholes):
        parts = _split(record, records[index]["kinesis"].get("data"))
        batch += parts
        sequence_numbers += [record.record_id] * len(parts)
    return _answer(batch, sequence_numbers, invocation, "Kinesis")


def answer_dynamodb(records: list[dict[str, Any]], invocation: Invocation) -> dict[str, Any]:
    """Return the sequence numbers that failed; a removed item has no text and is passed over."""
    batch = _read_records(records, "dynamodb", "SequenceNumber", _read_change)
    sequence_numbers = [record.record_id for record in batch]
    return _answer(batch, sequence_numbers, invocation, "DynamoDB stream")


def _read_records(
    records: list[dict[str, Any]], part: str, id_name: str, read: Callable[[dict[str, Any]], Work]
) -> list[Record]:
    """Return the records, each with the id that stands in its `part`."""
    batch = []
    time_name = TIMES[part]
    for index, record in enumerate(records):
        where = f"Records[{index}]"
        batch.append(
            Record(
                read_id(read_object(record, part, where), id_name, f"{where}.{part}"),
                read_id(record, "eventSourceARN", where),
                partial(read, record),
                sent=record[part].get(time_name),
            )
        )
    return batch


def _answer(
    batch: list[Record], sequence_numbers: list[str], invocation: Invocation, family: str
) -> dict[str, Any]:
    resources = invocation.resources
    resources.require_sink(family)
    for source in {record.source for record in batch}:
        resources.refuse_loop(source)
    outcome = process_records(batch, invocation)
    failed = dict.fromkeys(sequence_numbers[index] for index in sorted(outcome.failures))
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}


def _split(record: Record, data: object) -> list[Record]:
    """Return the records that the producer library has put into this one, or this one."""
    try:
        content = _decode(data)
        parts = split_aggregate(content) if is_aggregate(content) else []
    except InvalidInput:
        return [record]  # whose reading says why
    return [
        replace(record, record_id=f"{record.record_id}:{number}", read=partial(_read_bytes, part))
        for number, part in enumerate(parts)
    ] or [record]


def _read_data(record: dict[str, Any]) -> Work:
    content = _decode(record["kinesis"].get("data"))
    if is_aggregate(content):
        split_aggregate(content)  # raises: it could not be split
    return _read_bytes(content)


def _read_bytes(content: bytes) -> Work:
    return _only_texts(read_body(decode_bytes(content, "kinesis.data"), depth=1))


def _decode(data: object) -> bytes:
    try:
        return base64.b64decode(str(data), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput("kinesis.data is not base64", field="kinesis.data") from None


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
    work = _only_texts(read_document(document, depth=1))
    if isinstance(work, Feedback):  # its index and label may be numbers, which are texts so far
        return Feedback(
            {name: _read_number(image[name], work.document[name]) for name in work.document}
        )
    return work


def _read_number(attribute: dict[str, Any], value: Any) -> Any:
    try:
        return json.loads(value) if "N" in attribute else value
    except ValueError:
        return value


def _only_texts(work: Work) -> Work:
    if isinstance(work, Objects) and work.objects:
        raise InvalidInput("a stream's record holds texts; send objects through SQS or EventBridge")
    return work
