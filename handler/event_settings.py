"""What the environment may set for events; `docs/events.md` documents each variable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from handler.errors import SettingsError

SINKS = ("sqs", "s3", "eventbridge", "dynamodb")


class Target(NamedTuple):
    """A parsed URL of a queue, bucket, bus or table.

    Args:
        scheme: One of `SINKS`.
        name: Queue host or name, bucket, bus or table.
        path: Queue path or key prefix, without the first slash.
        options: The query, for example `key` of `dynamodb://results?key=id`.
    """

    scheme: str
    name: str
    path: str
    options: Mapping[str, str]


class EventSettings(NamedTuple):
    """Where results of events go, and how objects are read.

    Args:
        results: Where a record's result goes; None: it is returned, where the source allows that.
        review: Where texts go that the model did not answer, for people or a larger model; None:
            nowhere.
        feedback: Where feedback on results goes; None: it is not taken.
        object_results: Where a scored object goes; None: below `results`, if that is `s3://`.
        object_source: Where objects come from; given, it is compared with the two above at start.
        continuation_queue: The function's own queue, for objects that outlast one invocation.
        text_column: Column or field that holds the text.
        reserve_ms: Time left to the deadline at which an object is handed on: one block of rows,
            two requests to S3 and one to SQS take far less than the default.
        timeout_ms: How long an invocation may take whose context does not say; the default is the
            template's timeout.
        idempotency_table: DynamoDB table of Powertools' idempotency records, for sinks that
            cannot be overwritten; empty: no such table.
    """

    results: Target | None = None
    review: Target | None = None
    feedback: Target | None = None
    object_results: Target | None = None
    object_source: Target | None = None
    continuation_queue: Target | None = None
    text_column: str = "text"
    reserve_ms: int = 20_000
    timeout_ms: int = 120_000
    idempotency_table: str = ""


def read_event_settings(environment: Mapping[str, str]) -> EventSettings:
    """Return the settings that `MINNOW_*` variables ask for.

    Raises:
        SettingsError: A variable cannot be used, or the function would trigger itself; the text
            has its name, its value, what was wanted.
    """
    results = _target(environment, "MINNOW_RESULTS", SINKS)
    review = _target(environment, "MINNOW_REVIEW", SINKS)
    feedback = _read_feedback(environment)
    objects = _target(environment, "MINNOW_OBJECT_RESULTS", ("s3",))
    source = _target(environment, "MINNOW_OBJECT_SOURCE", ("s3",))
    if objects is None and results is not None and results.scheme == "s3":
        objects = results
    if source is not None and objects is not None and overlap(source, objects):
        raise SettingsError(
            f"MINNOW_OBJECT_SOURCE s3://{source.name}/{source.path} and the results' "
            f"s3://{objects.name}/{objects.path} overlap, so a result would trigger the function "
            "again: wanted another bucket, or two prefixes of which neither begins with the other"
        )
    for name, target, what in (
        ("MINNOW_REVIEW", review, "a text for review"),
        ("MINNOW_FEEDBACK", feedback, "a feedback"),
    ):
        if source is None or target is None or target.scheme != "s3":
            continue
        if overlap(source, target):
            raise SettingsError(
                f"MINNOW_OBJECT_SOURCE s3://{source.name}/{source.path} and {name} "
                f"s3://{target.name}/{target.path} overlap, so {what} would trigger the "
                "function: wanted another bucket, or two prefixes of which neither begins with the "
                "other"
            )
    return EventSettings(
        results=results,
        review=review,
        feedback=feedback,
        object_results=objects,
        object_source=source,
        continuation_queue=_target(environment, "MINNOW_CONTINUATION_QUEUE", ("sqs",)),
        text_column=environment.get("MINNOW_TEXT_COLUMN") or EventSettings().text_column,
        reserve_ms=_milliseconds(environment, "MINNOW_RESERVE_MS", EventSettings().reserve_ms),
        timeout_ms=_milliseconds(environment, "MINNOW_TIMEOUT_MS", EventSettings().timeout_ms),
        idempotency_table=environment.get("MINNOW_IDEMPOTENCY_TABLE", ""),
    )


def _read_feedback(environment: Mapping[str, str]) -> Target | None:
    """Return where feedback goes. It has an id of its own beside that of the result, and a bus's
    rules tell it from results by its detail type."""
    target = _target(environment, "MINNOW_FEEDBACK", SINKS)
    if target is None:
        return None
    if target.options.get("key") == "result_id":
        raise SettingsError(
            "MINNOW_FEEDBACK is a table with the key result_id, which is the result's, and several "
            "can speak of one: wanted a table with the key feedback_id"
        )
    own = {"key": "feedback_id", "detail_type": "Minnow Feedback"}
    return target._replace(options={**own, **target.options})


def parse_target(url: str, schemes: tuple[str, ...], name: str) -> Target:
    """Return the parts of `url`; `name` names it in errors.

    A prefix always ends with a slash, so that `in` is not also the start of `in-results`.

    Raises:
        SettingsError: It is no URL, has another scheme, or names nothing.
    """
    wanted = "one of " + ", ".join(f"{scheme}://NAME" for scheme in schemes)
    try:
        parts = urlsplit(url)
    except ValueError as error:  # brackets are for addresses of IPv6
        raise SettingsError(f"{name} is {url!r} ({error}), wanted {wanted}") from error
    path = parts.path.lstrip("/")
    if parts.scheme not in schemes or not parts.netloc:
        raise SettingsError(f"{name} is {url!r}, wanted {wanted}")
    if parts.scheme == "s3" and path and not path.endswith("/"):
        path += "/"
    return Target(parts.scheme, parts.netloc, path, dict(parse_qsl(parts.query)))


def overlap(left: Target, right: Target) -> bool:
    """Say whether one key could stand below both prefixes."""
    return left.name == right.name and (
        left.path.startswith(right.path) or right.path.startswith(left.path)
    )


def _milliseconds(environment: Mapping[str, str], name: str, default: int) -> int:
    value = environment.get(name) or str(default)
    if not re.fullmatch("[0-9]{1,9}", value):  # 9 digits are 11 days
        raise SettingsError(f"{name} is {value!r}, wanted a whole number of milliseconds")
    return int(value)


def _target(environment: Mapping[str, str], name: str, schemes: tuple[str, ...]) -> Target | None:
    url = environment.get(name, "")
    return parse_target(url, schemes, name) if url else None
