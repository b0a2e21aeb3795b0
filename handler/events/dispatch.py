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

import time
from collections.abc import Callable
from typing import Any

from handler.errors import HandlerError, InvalidInput, name_failure
from handler.events.resources import Invocation, Resources
from handler.inference.exchange import Exchange

KNOWN_EVENTS = (
    "a direct call with text or texts, a list or Items of them (Step Functions), SQS, SNS, "
    "Kinesis, DynamoDB streams, S3 ObjectCreated, EventBridge"
)


def answer_event(event: object, context: Any, resources: Resources) -> Any:
    """Return the reply to one event, and tell the monitor of it.

    Raises:
        InvalidInput: An unknown event, or one that can never be processed.
        DeliveryError: Something failed that may pass: the caller tries again.
    """
    started = time.perf_counter()
    exchange = Exchange(getattr(context, "aws_request_id", ""), model=resources.model.name)
    try:
        return _dispatch(event, Invocation(context, resources, exchange))
    except HandlerError as error:
        exchange.problem = str(error)
        raise
    except Exception as error:
        exchange.problem = name_failure(error)
        raise
    finally:
        exchange.latency_ms = (time.perf_counter() - started) * 1000
        resources.model.monitor.observe(exchange)


def _dispatch(event: object, invocation: Invocation) -> Any:
    if isinstance(event, list):
        return _answer_items(event, invocation)
    if isinstance(event, dict):
        if "Records" in event:
            return _answer_records(event, invocation)
        if "detail-type" in event:
            from handler.events.eventbridge import answer_eventbridge

            invocation.exchange.operation = "eventbridge"
            return answer_eventbridge(event, invocation)
        if "Items" in event:
            return _answer_items(event["Items"], invocation)
        if "text" in event or "texts" in event:
            from handler.events.direct import answer_direct

            invocation.exchange.operation = "direct"
            return answer_direct(event, invocation)
    raise InvalidInput(f"unknown event; this function answers: {KNOWN_EVENTS}")


def _answer_items(items: object, invocation: Invocation) -> Any:
    from handler.events.direct import answer_items

    invocation.exchange.operation = "items"
    return answer_items(items, invocation)


def _answer_records(event: dict[str, Any], invocation: Invocation) -> Any:
    records = event["Records"]
    if not isinstance(records, list) or not records:
        raise InvalidInput("Records is not a list of one record or more", field="Records")
    sources = set()
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            raise InvalidInput(f"Records[{index}] is not an object", field=f"Records[{index}]")
        source = record.get("eventSource", record.get("EventSource"))  # SNS writes it so
        sources.add(source if isinstance(source, str) else "")
    source = sources.pop() if len(sources) == 1 else ""
    if source not in RECORDS:
        raise InvalidInput(f"records of an unknown source; this function answers: {KNOWN_EVENTS}")
    invocation.exchange.operation = source.removeprefix("aws:")
    return RECORDS[source](records, invocation)


def _answer_sqs(records: list[dict[str, Any]], invocation: Invocation) -> Any:
    from handler.events.sqs import answer_sqs

    return answer_sqs(records, invocation)


def _answer_sns(records: list[dict[str, Any]], invocation: Invocation) -> Any:
    from handler.events.sns import answer_sns

    return answer_sns(records, invocation)


def _answer_s3(records: list[dict[str, Any]], invocation: Invocation) -> Any:
    from handler.events.objects import answer_s3

    return answer_s3(records, invocation)


def _answer_kinesis(records: list[dict[str, Any]], invocation: Invocation) -> Any:
    from handler.events.streams import answer_kinesis

    return answer_kinesis(records, invocation)


def _answer_dynamodb(records: list[dict[str, Any]], invocation: Invocation) -> Any:
    from handler.events.streams import answer_dynamodb

    return answer_dynamodb(records, invocation)


# Each imports its module only when such an event comes: a cold start pays for one source.
RECORDS: dict[str, Callable[[list[dict[str, Any]], Invocation], Any]] = {
    "aws:sqs": _answer_sqs,
    "aws:sns": _answer_sns,
    "aws:s3": _answer_s3,
    "aws:kinesis": _answer_kinesis,
    "aws:dynamodb": _answer_dynamodb,
}
