"""EventBridge Pipes: a bare list of records, as it were the `Records` of an event source mapping.

Pipes writes a Kinesis record flat, without the object `kinesis`, and wants a stream's failed
records by their `eventID`; a queue's by `messageId`, as the mapping does.
"""

from __future__ import annotations

from typing import Any

from handler.events.fields import AWS_ID

ID_PLACES = {
    "aws:kinesis": ("kinesis", "sequenceNumber"),
    "aws:dynamodb": ("dynamodb", "SequenceNumber"),
}


def is_record(item: object) -> bool:
    """Say whether an entry of a list is a source's record, not an item of Step Functions."""
    if not isinstance(item, dict) or "text" in item or "texts" in item:
        return False
    return isinstance(item.get("eventSource") or item.get("EventSource"), str)


def nest_record(record: object) -> object:
    """Return a record as an event source mapping has it: Kinesis' fields in `kinesis`."""
    if isinstance(record, dict) and record.get("eventSource") == "aws:kinesis":
        if record.get("kinesis") is None:
            return {**record, "kinesis": record}
    return record


def rename_failures(reply: Any, records: list[dict[str, Any]]) -> Any:
    """Return the reply with a stream's records by their `eventID`, where they have one."""
    names: dict[str, str] = {}
    for record in records:
        event_id = record.get("eventID")
        if record.get("eventSource") in ID_PLACES and isinstance(event_id, str):
            part, field = ID_PLACES[record["eventSource"]]
            if AWS_ID.fullmatch(event_id):
                names[record[part][field]] = event_id
    if not names:
        return reply
    identifiers = [failure["itemIdentifier"] for failure in reply["batchItemFailures"]]
    return {"batchItemFailures": [{"itemIdentifier": names.get(one, one)} for one in identifiers]}
