"""What an execution is to do, and what the environment says: see `docs/outgrowing.md`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from handler.errors import InvalidInput, SettingsError
from handler.event_settings import Target, read_event_settings

DEFAULT_DAYS = 7.0
DAY_S = 86_400
# An execution is stopped where it stands when its time is over: a day is left for the scoring
# before people are asked, and for their labels to be filled in.
MAX_EXECUTION_S = 31_622_400
SPARE_DAYS = 1.0
FIELDS = ("prefix", "after", "days")


@dataclass(frozen=True)
class Settings:
    """What the environment says.

    Args:
        function: ARN of the alias that scores.
        source: Where objects come from.
        review: Where people are asked, and answer.
        text_column: Column or field that holds the text.
        days: That people may have in all before the execution's time is over.
    """

    function: str
    source: Target
    review: Target
    text_column: str
    days: float


@dataclass(frozen=True)
class Request:
    """What one execution is to do.

    Args:
        prefix: Of the keys, below the source's own.
        after: Objects up to this key are left out: an earlier execution had them.
        days: How long people have, for each round of labels.
    """

    prefix: str
    after: str
    days: float


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return what `MINNOW_*` variables ask for.

    Raises:
        SettingsError: One that is needed is not set, or cannot be used.
    """
    found = read_event_settings(environment)
    function = environment.get("MINNOW_FUNCTION", "")
    if not function:
        raise SettingsError("MINNOW_FUNCTION is not set, wanted the ARN of the function's alias")
    if found.object_source is None:
        raise SettingsError("MINNOW_OBJECT_SOURCE is not set, wanted s3://BUCKET/PREFIX/ of texts")
    if found.review is None or found.review.scheme != "s3":
        raise SettingsError(
            "MINNOW_REVIEW names no bucket, where people are asked: wanted s3://BUCKET/PREFIX/"
        )
    execution_s = environment.get("MINNOW_EXECUTION_S") or str(MAX_EXECUTION_S)
    days = int(execution_s) / DAY_S - SPARE_DAYS if re.fullmatch("[0-9]{1,8}", execution_s) else 0
    if days <= 0:
        raise SettingsError(
            f"MINNOW_EXECUTION_S is {execution_s!r}, wanted seconds, more than {DAY_S:g}: the "
            "ExecutionTimeout of the function's DurableConfig"
        )
    return Settings(function, found.object_source, found.review, found.text_column, days)


def read_request(event: object, most_days: float) -> Request:
    """Return what an event asks for; `most_days` is how long people may have.

    Raises:
        InvalidInput: A field is missing, wrong, or none that is known.
    """
    fields = event if isinstance(event, dict) else {}
    prefix, after = fields.get("prefix"), fields.get("after", "")
    if unknown := len(fields.keys() - {*FIELDS}):
        raise InvalidInput(f"{unknown} unknown fields, wanted {', '.join(FIELDS)}")
    if not isinstance(prefix, str):
        raise InvalidInput(
            'prefix: wanted the beginning of the objects\' keys, as in {"prefix": "2026/"}; "" is '
            "all of them",
            field="prefix",
        )
    if not isinstance(after, str):
        raise InvalidInput("after: wanted a key, as an earlier execution's `next`", field="after")
    days = fields.get("days", DEFAULT_DAYS)
    is_number = isinstance(days, int | float) and not isinstance(days, bool)
    if not is_number or not 1 / DAY_S <= days <= most_days:
        raise InvalidInput(
            f"days: wanted how long people have to answer, up to {most_days:g} and a second at "
            "least: ExecutionSeconds of durable.yaml, less a day",
            field="days",
        )
    return Request(prefix, after, float(days))
