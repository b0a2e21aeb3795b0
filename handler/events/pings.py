"""Events that ask for nothing: pings that keep a function warm, and schedules without an input."""

from __future__ import annotations

import re
from typing import Any

# Names that plugins and people give the flag, in small letters and without - and _.
WARM_FLAGS = ("warmup", "iswarmup", "warmer", "warm", "keepwarm", "prewarm", "ping")
WARM_SOURCE = re.compile("warm[-_]?up|keep[-_]?warm|warmer", re.IGNORECASE)  # as of the plugins
SCHEDULERS = ("aws.events", "aws.scheduler")
# An event with one of these asks for something, whatever else stands in it.
WORK_FIELDS = ("Records", "Items", "text", "texts", "requestContext", "body", "detail-type")


def is_ping(event: object) -> bool:
    """Say whether an event is a warm-up ping, or nothing at all: `{"warmup": true}`, null, {}."""
    if event is None or event == {}:
        return True
    if not isinstance(event, dict) or any(name in event for name in WORK_FIELDS):
        return False
    source = event.get("source")
    if isinstance(source, str) and WARM_SOURCE.search(source):
        return True
    return any(
        str(name).lower().replace("-", "").replace("_", "") in WARM_FLAGS
        and str(value).lower() in ("true", "1")
        for name, value in event.items()
    )


def is_schedule(event: dict[str, Any]) -> bool:
    """Say whether an event comes from a schedule that has no input of its own.

    A rule's detail is `{}`, that of EventBridge Scheduler the same in quotes.
    """
    if event.get("source") not in SCHEDULERS:
        return False
    if any(name in event for name in WORK_FIELDS if name != "detail-type"):
        return False
    detail = event.get("detail")
    return detail in ("", "{}") or is_ping(detail)
