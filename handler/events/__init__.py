"""Events that are not HTTP: told apart here, answered by one module a family.

    {"text": ...}, {"texts": [...]}, [...], {"Items": [...]}   direct.py
    Records of aws:sqs                                         sqs.py
    Records of aws:kinesis, aws:dynamodb                       streams.py
    Records of aws:sns                                         sns.py
    Records of aws:s3                                          objects.py
    {"detail-type": ..., "source": ..., "detail": ...}         eventbridge.py

Each turns its event into records; `batch.py` scores all their texts as one batch.
"""

from __future__ import annotations

from typing import Any

from handler.errors import InvalidInput
from handler.events.resources import Service

KNOWN_EVENTS = (
    "a direct call with text or texts, a list or Items of them (Step Functions), SQS, SNS, "
    "Kinesis, DynamoDB streams, S3 ObjectCreated, EventBridge"
)


def answer_event(event: object, context: Any, service: Service) -> Any:
    """Return the reply to one event.

    Raises:
        InvalidInput: An unknown event, or one that can never be processed.
        DeliveryError: Something failed that may pass: the caller tries again.
    """
    if isinstance(event, list):
        from handler.events.direct import answer_items

        return answer_items(event, service)
    if isinstance(event, dict):
        if "Records" in event:
            return _answer_records(event, context, service)
        if "detail-type" in event:
            from handler.events.eventbridge import answer_eventbridge

            return answer_eventbridge(event, context, service)
        if "Items" in event:
            from handler.events.direct import answer_items

            return answer_items(event["Items"], service)
        if "text" in event or "texts" in event:
            from handler.events.direct import answer_direct

            return answer_direct(event, service)
    raise InvalidInput(f"unknown event; this function answers: {KNOWN_EVENTS}")


def _answer_records(event: dict[str, Any], context: Any, service: Service) -> Any:
    records = event["Records"]
    if not isinstance(records, list) or not records:
        raise InvalidInput("Records is not a list of one record or more", field="Records")
    sources = set()
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            raise InvalidInput(f"Records[{index}] is not an object", field=f"Records[{index}]")
        source = record.get("eventSource", record.get("EventSource"))  # SNS writes it so
        sources.add(source if isinstance(source, str) else "")
    if sources == {"aws:sqs"}:
        from handler.events.sqs import answer_sqs

        return answer_sqs(records, context, service)
    if sources == {"aws:sns"}:
        from handler.events.sns import answer_sns

        return answer_sns(records, context, service)
    if sources == {"aws:s3"}:
        from handler.events.objects import answer_s3

        return answer_s3(event, context, service)
    if sources == {"aws:kinesis"}:
        from handler.events.streams import answer_kinesis

        return answer_kinesis(records, context, service)
    if sources == {"aws:dynamodb"}:
        from handler.events.streams import answer_dynamodb

        return answer_dynamodb(records, context, service)
    raise InvalidInput(f"records of an unknown source; this function answers: {KNOWN_EVENTS}")
