"""Events that are not HTTP: told apart here, answered by one module a family.

    {"text": ...}, {"texts": [...]}, [...], {"Items": [...]}   direct.py
    {"result_id": ..., "label": ...}, also in all below        feedback.py
    Records of aws:sqs                                         sqs.py
    Records of aws:kinesis, aws:dynamodb                       streams.py
    Records of aws:sns                                         sns.py
    Records of aws:s3                                          objects.py
    {"detail-type": ..., "source": ..., "detail": ...}         eventbridge.py
    [{"eventSource": ...}, ...], the same records by Pipes     pipes.py
    {"warmup": true}, {}, null; a schedule without an input    pings.py
    anything else is refused by its name                       foreign.py

Each turns its event into records; `batch.py` scores all their texts as one batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from handler.errors import HandlerError, InvalidInput, name_failure
from handler.events.fields import drop_nulls
from handler.events.pings import is_ping, is_schedule
from handler.events.pipes import is_record, nest_record, rename_failures
from handler.events.resources import Invocation, Resources
from handler.inference.exchange import Exchange

KNOWN_EVENTS = (
    "a direct call with text or texts, or with feedback (result_id and label), a list or Items of "
    "texts (Step Functions), SQS, SNS, "
    "Kinesis, DynamoDB streams, S3 ObjectCreated, EventBridge and its Pipes; HTTP by API "
    "Gateway, a function URL or a load balancer"
)


def answer_event(event: object, context: Any, resources: Resources) -> Any:
    """Return the reply to one event, and tell the monitor of it.

    Raises:
        InvalidInput: An unknown event, or one that can never be processed.
        DeliveryError: Something failed that may pass: the caller tries again.
    """
    started = time.perf_counter()
    request_id = getattr(context, "aws_request_id", "")
    exchange = Exchange(request_id, model=resources.model.name)
    invocation = Invocation(context, resources, exchange)
    try:
        reply = _dispatch(event, invocation)
    except HandlerError as error:
        exchange.problem = str(error)
        raise
    except Exception as error:
        exchange.problem = name_failure(error)
        raise
    finally:
        invocation.close()
        for one in (exchange, *invocation.exchanges.values()):
            one.latency_ms = (time.perf_counter() - started) * 1000
            resources.models.monitor.observe(one)
    if resources.models.shadows:
        invocation.run_shadows()
    return reply


def _dispatch(event: object, invocation: Invocation) -> Any:
    if is_ping(event):
        return _answer_ping("ping", invocation)
    if isinstance(event, list):
        if any(is_record(item) for item in event):
            return _answer_pipe(event, invocation)
        return _answer_items(event, invocation)
    if isinstance(event, dict):
        fields = drop_nulls(event)
        if "Records" in fields:
            return _answer_records(fields["Records"], invocation)
        if fields.get("Event") == "s3:TestEvent":  # sent when a bucket's notification is set up
            return _answer_ping("s3", invocation)
        if is_schedule(fields):
            return _answer_ping("schedule", invocation)
        if "detail-type" in fields:
            from handler.events.eventbridge import answer_eventbridge

            invocation.exchange.operation = "eventbridge"
            return answer_eventbridge(fields, invocation)
        if "Items" in fields:
            return _answer_items(fields["Items"], invocation)
        if "text" in event or "texts" in event:
            from handler.events.direct import answer_direct

            invocation.exchange.operation = "direct"
            return answer_direct(event, invocation)
        if "result_id" in fields and "label" in fields:
            from handler.events.feedback import answer_feedback

            invocation.exchange.operation = "feedback"
            return answer_feedback(fields, invocation)
    from handler.events.foreign import name_event

    raise InvalidInput(f"{name_event(event)}; this function answers: {KNOWN_EVENTS}")


def _answer_ping(operation: str, invocation: Invocation) -> dict[str, Any]:
    invocation.exchange.operation = operation
    model = invocation.model
    return {"status": "ready", "model": model.description, "task": model.describe_task()}


def _answer_pipe(items: list[Any], invocation: Invocation) -> Any:
    records = [nest_record(item) for item in items]
    reply = _answer_records(records, invocation)
    return rename_failures(reply, [record for record in records if isinstance(record, dict)])


def _answer_items(items: object, invocation: Invocation) -> Any:
    from handler.events.direct import answer_items

    invocation.exchange.operation = "items"
    return answer_items(items, invocation)


def _answer_records(records: object, invocation: Invocation) -> Any:
    if not isinstance(records, list) or not records:
        raise InvalidInput("Records is not a list of one record or more", field="Records")
    found: list[dict[str, Any]] = []
    sources = set()
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            raise InvalidInput(f"Records[{index}] is not an object", field=f"Records[{index}]")
        found.append(drop_nulls(record))
        source = found[-1].get("eventSource", found[-1].get("EventSource"))  # SNS writes it so
        sources.add(source if isinstance(source, str) else "")
    if len(sources) > 1:
        raise InvalidInput(
            f"records of {len(sources)} sources in one event, wanted those of one: none of them "
            "was processed"
        )
    (source,) = sources
    if source not in RECORDS:
        from handler.events.foreign import name_source

        raise InvalidInput(f"{name_source(source)}; this function answers: {KNOWN_EVENTS}")
    invocation.exchange.operation = source.removeprefix("aws:")
    return RECORDS[source](found, invocation)


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
