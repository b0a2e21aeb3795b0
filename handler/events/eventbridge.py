"""EventBridge: a detail with texts, an archive's replay of it, or S3's Object Created."""

from __future__ import annotations

from typing import Any

from handler.events.batch import process_records, raise_first
from handler.events.fields import read_id, read_string
from handler.events.resources import Invocation
from handler.events.work import Record, read_event


def answer_eventbridge(event: dict[str, Any], invocation: Invocation) -> Any:
    """Return the result; a replayed event has its first id, and so its first result id.

    Raises:
        HandlerError: The event failed: EventBridge delivers it again, then to its dead letters.
    """
    source = read_string(event, "source", "event")
    record = Record(
        read_id(event, "id", "event"),
        f"eventbridge:{source}",
        lambda: read_event(event),
        sent=event.get("time"),
    )
    outcome = process_records([record], invocation)
    raise_first(outcome)
    return outcome.answers[0]
