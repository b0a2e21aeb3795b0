"""Feedback: what somebody says was right, of a result that the model gave.

`{"result_id": ..., "label": ...}` over HTTP or in an event is checked against the model's task, and
what is kept of it goes to the sink of MINNOW_FEEDBACK. It never holds a text: `minnow feedback`
joins it with results and texts by their ids.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from handler.errors import InvalidInput
from handler.inference.checks import find_hidden
from handler.inference.models import Model
from handler.inference.requests import is_number, name_type, read_model_name
from handler.inference.tasks import MAX_LABEL_CHARACTERS, MAX_LABELS
from handler.sinks.sink import Result

FIELDS = ("result_id", "label", "index", "predicted", "new_label", "model", "version")
RESULT_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")  # 32 hex digits, or an x-request-id
MAX_INDEX = 1_000_000
LARGEST = 1e30  # of a number; training takes none beyond it either
NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")  # of a model, a version or an alias

FindModel = Callable[[str | None], Model]


def check_feedback(
    given: Mapping[str, Any], find_model: FindModel, place: str = ""
) -> dict[str, Any]:
    """Return what is kept of a feedback.

    Args:
        given: As it was sent; fields that are not known are not looked at.
        find_model: Returns the model of a name, the default one of None; raises InvalidInput.
        place: What stands before the names of fields in errors, such as "[3].".

    Raises:
        InvalidInput: A field has a wrong value, or the label does not fit the model's task.
    """
    result_id = given.get("result_id")
    if not isinstance(result_id, str) or not RESULT_ID.fullmatch(result_id):
        raise InvalidInput(
            f"{place}result_id is no id of a result: wanted that of a result, or the x-request-id "
            "of an answer, of 1 to 128 letters, digits and ._:/+=@-",
            field=f"{place}result_id",
        )
    kept: dict[str, Any] = {"result_id": result_id, "index": _read_index(given, place)}
    name, version = read_model_name(given)
    for field, value in (("model", name), ("version", version)):
        if value is not None and not NAME.fullmatch(value):
            raise InvalidInput(f"{place}{field} is no name", field=f"{place}{field}")
    is_new = given.get("new_label") or False
    if not isinstance(is_new, bool):
        raise InvalidInput(
            f"{place}new_label is {name_type(is_new)}, wanted true or false",
            field=f"{place}new_label",
        )
    check = _Check(find_model(name), f"{place}label")
    kept["label"] = check.read(given.get("label"), allows_new=is_new)
    if given.get("predicted") is not None:
        # An older version may have had other labels: its form is enough.
        check.field = f"{place}predicted"
        kept["predicted"] = check.read(given["predicted"], allows_new=True)
    if is_new and not check.knows(kept["label"]):
        kept["new_label"] = True
    if name is not None:
        kept["model"] = name
    if version is not None:
        kept["version"] = version
    return kept


def _read_index(given: Mapping[str, Any], place: str) -> int:
    index = given.get("index")
    index = 0 if index is None else index
    # 1.0, as some clients write it, is a place too.
    if not is_number(index) or not 0 <= index <= MAX_INDEX or index != int(index):
        raise InvalidInput(
            f"{place}index: wanted the place of the text among those of its request, 0 for the "
            "first",
            field=f"{place}index",
        )
    return int(index)


def make_result(
    kept: Mapping[str, Any],
    source: str,
    record_id: str,
    sent: object = None,
    caller: str = "",
    group: str = "",
) -> Result:
    """Return what is sent for a feedback: the same id for the same record and content.

    Args:
        kept: As `check_feedback` gives it.
        source: "http", or ARN or name of an event's source.
        record_id: Of the request or record.
        sent: When the source took it, as it says so; None: now.
        caller: Name of the API key.
        group: FIFO group of the source.
    """
    content = json.dumps(kept, sort_keys=True)
    parts = "\n".join(("feedback", source, record_id, content))
    feedback_id = hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    document = {"feedback_id": feedback_id, **kept, "source": source}
    if caller:
        document["caller"] = caller
    document["time"] = format_time(sent)
    return Result(feedback_id, document, group)


def format_time(sent: object) -> str:
    """Return a time of a source as ISO 8601 in UTC; now, where it says none.

    SQS has "1753000000000" (milliseconds), streams 1753000000.5 (seconds), SNS and EventBridge
    "2026-07-20T08:26:40Z".
    """
    moment = read_time(sent) or datetime.fromtimestamp(time.time(), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_time(sent: object) -> datetime | None:
    """Return a time as `format_time` is given it, in UTC unless it names a zone; None for none."""
    try:
        if isinstance(sent, str) and not (sent.isascii() and sent.isdigit()):
            moment = datetime.fromisoformat(sent)
            return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
        if isinstance(sent, str):
            return datetime.fromtimestamp(int(sent) / 1000, UTC)
        if is_number(sent):
            return datetime.fromtimestamp(float(sent), UTC)  # type: ignore[arg-type]
    except (ValueError, OverflowError, OSError):  # an event written by hand
        pass
    return None


class _Check:
    """Reads labels as a model's task has them; errors name `field`, never what stood there."""

    def __init__(self, model: Model, field: str) -> None:
        described = model.describe_task()
        self.field = field
        self.kind = described["task"]
        self.labels = frozenset(described.get("labels", ()))

    def read(self, value: object, allows_new: bool) -> Any:
        if self.kind == "regression":
            if not is_number(value) or not -LARGEST <= value <= LARGEST:  # type: ignore[operator]
                raise self._refuse(f"is {name_type(value)}, wanted a number that float32 holds")
            return value
        if self.kind != "multi-label":
            return self._read_one(value, allows_new)
        if not isinstance(value, list):
            raise self._refuse(f"is {name_type(value)}, wanted an array: the text's labels")
        if len(value) > MAX_LABELS:
            raise self._refuse(f"has {len(value)} labels, wanted {MAX_LABELS} at most")
        labels = [self._read_one(label, allows_new) for label in value]
        if len(set(labels)) < len(labels):
            raise self._refuse("names a label twice")
        return labels

    def knows(self, label: Any) -> bool:
        """Say whether the model can answer so."""
        if self.kind == "regression":
            return True
        return self.labels.issuperset(label if isinstance(label, list) else [label])

    def _read_one(self, value: object, allows_new: bool) -> str:
        if self.kind == "ordinal":
            value = self._find_equal(value)
        if not isinstance(value, str):
            raise self._refuse(f"is {name_type(value)}, wanted a label, which is a string")
        if value in self.labels:
            return value
        if not allows_new:
            raise self._refuse(
                f"is none of the model's {len(self.labels)} labels; where a new one is meant, send "
                '"new_label": true beside it'
            )
        if not value.strip() or value != value.strip() or len(value) > MAX_LABEL_CHARACTERS:
            raise self._refuse(
                f"has {len(value)} characters, wanted a label of 1 to {MAX_LABEL_CHARACTERS} "
                "without blanks around"
            )
        if find_hidden(value):
            raise self._refuse("holds a character that does not show or reorders others")
        if self.kind == "ordinal" and not _is_number_text(value):
            raise self._refuse("is no number, as all labels of this model are")
        return value

    def _find_equal(self, value: object) -> object:
        """Return the label that is the same number: 4 and "4.0" -> "4"; another number as text."""
        number: Any = value
        if isinstance(value, str):
            number = float(value) if _is_number_text(value) else None
        if not is_number(number):
            return value
        return next((one for one in self.labels if float(one) == number), str(value))

    def _refuse(self, what: str) -> InvalidInput:
        return InvalidInput(f"{self.field} {what}", field=self.field)


def _is_number_text(text: str) -> bool:
    try:
        return "_" not in text and abs(float(text)) <= LARGEST
    except ValueError:
        return False
