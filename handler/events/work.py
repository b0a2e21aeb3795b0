"""What a record asks for, whichever envelopes it came in: texts to score, objects in S3, or
feedback to keep.

A bucket's notification reaches a function through SQS, SNS and EventBridge as often as directly,
and a topic through a queue: `read_body` takes envelopes off until there is work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from handler.errors import InvalidInput
from handler.events.body import open_body, refuse_pointer, refuse_pointer_object
from handler.events.fields import drop_nulls
from handler.events.pings import is_schedule
from handler.inference.requests import name_type

MAX_ENVELOPES = 4  # EventBridge to SNS to SQS is 3
CONTINUE = "minnow_continue"
OWN_SOURCE = "minnow"  # what `handler/sinks/eventbridge.py` writes


@dataclass(frozen=True)
class Texts:
    """Texts of one record, not yet checked; `sender_id` is the sender's own id, if any.

    `model` and `version` are what the record says, whatever it is: of a repository's models they
    name one. `record_id` is the source's own.
    """

    texts: list[object]
    sender_id: str | None = None
    field: str = "texts"
    model: object = None
    version: object = None
    record_id: str = ""

    @property
    def drawn_by(self) -> str:
        """The id that decides which of the versions behind an alias answers: who sends texts again
        under an id of its own is answered by the same one."""
        return self.record_id if self.sender_id is None else self.sender_id


@dataclass(frozen=True)
class ObjectRef:
    """An object as an event names it; `etag` and `version_id` are empty where it does not."""

    bucket: str
    key: str
    etag: str = ""
    version_id: str = ""


@dataclass(frozen=True)
class Objects:
    """Objects to score; `progress` is where an earlier invocation left the only one off."""

    objects: list[ObjectRef]
    progress: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Feedback:
    """What somebody says of a result, not yet checked (`handler/feedback.py`)."""

    document: dict[str, Any]


Work = Texts | Objects | Feedback


@dataclass(frozen=True)
class Record:
    """One unit of an event that succeeds or fails alone.

    Args:
        record_id: What the source calls it: message id, sequence number.
        source: ARN or name of the source; with `record_id` the same at every delivery.
        read: Returns the work, or raises InvalidInput.
        group: FIFO group: after a failure its later records are left alone.
        sent: When the source took it, as it says so; None: it does not.
        traceparent: Of the sender's trace, valid; empty: none.
    """

    record_id: str
    source: str
    read: Callable[[], Work]
    group: str = ""
    sent: object = None
    traceparent: str = ""


def read_body(body: object, depth: int = 0) -> Work:
    """Return the work in a message's body: a JSON object, or plain text.

    Raises:
        InvalidInput: No work in it; says what was wanted, never what stood there.
    """
    if not isinstance(body, str):
        raise InvalidInput(f"the body is {name_type(body)}, wanted a string", field="body")
    content = open_body(body)
    return (
        Texts([content], field="body")
        if isinstance(content, str)
        else read_document(content, depth)
    )


def read_document(document: dict[str, Any], depth: int = 0) -> Work:
    """Return the work in a JSON object: ours, or an envelope of S3, SNS or EventBridge."""
    if depth > MAX_ENVELOPES:
        raise InvalidInput(f"more than {MAX_ENVELOPES} envelopes, one in the other")
    found, document = document, drop_nulls(document)
    if CONTINUE in document and depth == 0:  # from the function's own queue, not from a topic
        return _read_continuation(document[CONTINUE])
    if "text" in document or "texts" in document:
        return read_texts(document)
    if is_feedback(document):
        return Feedback(document)
    if document.get("Event") == "s3:TestEvent":  # sent once, when notifications are configured
        return Objects([])
    if "Records" in document:
        return Objects(read_s3_records(document["Records"]))
    if document.get("Type") == "Notification" and "TopicArn" in document:
        refuse_pointer(document.get("MessageAttributes"))
        return read_body(document.get("Message"), depth + 1)
    if "detail-type" in document:
        return read_event(document, depth + 1)
    return _read_other(document, is_null="text" in found or "texts" in found)


def is_feedback(document: dict[str, Any]) -> bool:
    """Say whether an object without texts speaks of a result; what we have kept of one is none."""
    return "result_id" in document and "label" in document and "feedback_id" not in document


def _read_other(document: dict[str, Any], is_null: bool) -> Work:
    """Return no work where there is none to do; else raise, with what the object is."""
    refuse_pointer_object(document)
    if is_null:
        raise InvalidInput("text is null, wanted a string", field="text")
    if "logEvents" in document:  # of a subscription of CloudWatch Logs
        if document.get("messageType") == "CONTROL_MESSAGE":
            return Objects([])
        raise InvalidInput(
            "the record is a batch of log lines (CloudWatch Logs), wanted texts: a line can be "
            "anything, so send those that are texts"
        )
    raise InvalidInput('the object has none of the fields "text" and "texts"', field="text")


def read_event(event: dict[str, Any], depth: int = 0) -> Work:
    """Return the work in an EventBridge event; S3's names a key as it is, not URL-encoded."""
    if event.get("source") == OWN_SOURCE:
        raise InvalidInput(
            "the event is one of our own results: leave source minnow out of the rule's pattern"
        )
    if is_schedule(event):
        return Objects([])
    detail = event.get("detail")
    if not isinstance(detail, dict):
        raise InvalidInput("detail is not an object", field="detail")
    if event.get("source") != "aws.s3":
        return read_document(detail, depth + 1)
    if event.get("detail-type") != "Object Created":
        raise InvalidInput('the detail-type of an S3 event is not "Object Created"')
    bucket, entry = _object(detail, "bucket"), _object(detail, "object")
    return Objects(
        [
            ObjectRef(
                _string(bucket, "name"),
                _string(entry, "key"),
                _string(entry, "etag", ""),
                _string(entry, "version-id", ""),
            )
        ]
    )


def read_s3_records(records: object) -> list[ObjectRef]:
    """Return the objects of S3's own notification, keys URL-decoded once."""
    if not isinstance(records, list) or not records:
        raise InvalidInput("Records is not a list of one record or more", field="Records")
    return [_read_s3_record(record) for record in records]


def _read_s3_record(record: object) -> ObjectRef:
    if not isinstance(record, dict) or record.get("eventSource") != "aws:s3":
        raise InvalidInput("a record within the body is not of aws:s3", field="Records")
    if not _string(record, "eventName").startswith(("ObjectCreated:", "s3:ObjectCreated:")):
        raise InvalidInput("eventName is not ObjectCreated: subscribe to s3:ObjectCreated:* only")
    s3 = _object(record, "s3")
    bucket, entry = _object(s3, "bucket"), _object(s3, "object")
    return ObjectRef(
        _string(bucket, "name"),
        unquote_plus(_string(entry, "key")),
        _string(entry, "eTag", ""),
        _string(entry, "versionId", ""),
    )


def _read_continuation(progress: object) -> Objects:
    if not isinstance(progress, dict):
        raise InvalidInput(f"{CONTINUE} is not an object", field=CONTINUE)
    reference = ObjectRef(
        *(_string(progress, name) for name in ("bucket", "key", "etag", "version_id"))
    )
    return Objects([reference], progress)


def read_texts(document: dict[str, Any]) -> Texts:
    """Return the texts of `{"text": ...}` or `{"texts": [...]}`, with the `id` beside them."""
    document = drop_nulls(document)
    if ("text" in document) == ("texts" in document):
        raise InvalidInput('wanted one of the fields "text" and "texts"', field="texts")
    sender_id = document.get("id")
    if sender_id is not None and (
        isinstance(sender_id, bool) or not isinstance(sender_id, str | int)
    ):
        raise InvalidInput(f"id is {name_type(sender_id)}, wanted a string", field="id")
    name = None if sender_id is None else str(sender_id)
    asked = document.get("model"), document.get("version")
    if "text" in document:
        return Texts([document["text"]], name, "text", *asked)
    texts = document["texts"]
    if not isinstance(texts, list):
        raise InvalidInput(f"texts is {name_type(texts)}, wanted a list", field="texts")
    return Texts(texts, name, "texts", *asked)


def _object(parent: dict[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    if not isinstance(value, dict):
        raise InvalidInput(f"{name} is {name_type(value)}, wanted an object", field=name)
    return value


def _string(parent: dict[str, Any], name: str, default: str | None = None) -> str:
    value = parent.get(name)
    value = default if value is None else value
    if not isinstance(value, str):
        raise InvalidInput(f"{name} is {name_type(value)}, wanted a string", field=name)
    return value
