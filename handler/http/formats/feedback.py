"""`POST /feedback`: what was right of an answer; there where MINNOW_FEEDBACK is set."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from handler.deadline import start_deadline
from handler.errors import ArtefactError, DeliveryError, InvalidInput
from handler.event_settings import Target
from handler.feedback import FIELDS, MAX_INDEX, check_feedback, make_result
from handler.http.messages import (
    Refusal,
    Request,
    Response,
    json_response,
    parse_json,
    require_json,
)
from handler.http.operation import Note, Operation
from handler.http.schemas import (
    COUNT,
    FLAG,
    STRING,
    Schema,
    make_array,
    make_nullable,
    make_object,
    refer,
)
from handler.inference.models import Model, Models
from handler.inference.requests import check_known, name_type
from handler.inference.tasks import MAX_LABEL_CHARACTERS, MAX_LABELS
from handler.sinks import open_sink
from handler.sinks.sink import Result, Sink

PATH = "/feedback"
SEND_MS = 10_000  # a quarter of it is kept for the answer: clients and API Gateway wait no longer
MAX_MODELS = 16  # of one request, as of one event: each may have to be loaded
RESULT_ID: Schema = {
    "type": "string",
    "pattern": "^[A-Za-z0-9._:/+=@-]{1,128}$",
    "description": "Of a result of an event, or the x-request-id of an answer.",
}
NAME: Schema = {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"}
EXAMPLE_ID = "0b7f3c5e9a1d4e62b8c0f4a7d2e91536"


class Receiver:
    """Checks what came, and answers once all of it is in the sink.

    Args:
        target: Of `MINNOW_FEEDBACK`.
        max_entries: Of one request.
    """

    def __init__(self, target: Target, max_entries: int) -> None:
        self._target = target
        self._max_entries = max_entries
        self._sink: Sink | None = None
        self._connecting = threading.Lock()  # two clients made at once spoil boto3's session

    def answer(self, model: Model, request: Request) -> Response:
        """Return 202 with how many were taken.

        Raises:
            InvalidInput: One of them is none: nothing is taken.
            Refusal: 503, the sink, or a model's repository, does not answer.
        """
        require_json(request)
        entries = self._read(parse_json(request.body))
        find = _Finder(model)
        exchange = request.exchange
        results = []
        for index, (entry, place) in enumerate(entries):
            kept = check_feedback(entry, find, place)
            record_id = f"{exchange.request_id}\n{index}"
            results.append(make_result(kept, "http", record_id, caller=exchange.caller))
        if reasons := self._send(results):
            model.monitor.log(
                {
                    "level": "error",
                    "message": f"{len(reasons)} of {len(results)} feedback could not be sent: "
                    + ", ".join(sorted(set(reasons))),
                    "request_id": exchange.request_id,
                }
            )
            raise Refusal(
                503, "the feedback cannot be kept now: send all of it again", retry_after="10"
            )
        return json_response({"accepted": len(results)}, 202)

    def _read(self, document: object) -> list[tuple[dict[str, Any], str]]:
        """Return each entry with what stands before its fields in errors."""
        entries = document if isinstance(document, list) else [document]
        if not entries:
            raise InvalidInput("the array is empty, wanted 1 feedback or more")
        if len(entries) > self._max_entries:
            raise InvalidInput(
                f"the array has {len(entries)} feedback, the limit is {self._max_entries}: send "
                "several requests",
                limit=self._max_entries,
                received=len(entries),
                status=413,
            )
        found = []
        for index, entry in enumerate(entries):
            place = f"[{index}]" if isinstance(document, list) else ""
            if not isinstance(entry, dict):
                raise InvalidInput(
                    f"{place or 'the request'} is {name_type(entry)}, wanted a JSON object",
                    field=place,
                )
            check_known(entry, FIELDS, place)
            found.append((entry, f"{place}." if place else ""))
        return found

    def _send(self, results: Sequence[Result]) -> list[str]:
        """Send all; return why those failed that could not be sent."""
        if self._sink is not None:
            return self._send_to(self._sink, results)
        # While the sink does not answer each holds this for long: no queue of all that come.
        if not self._connecting.acquire(timeout=SEND_MS / 1000):
            return ["another request was waiting for it"] * len(results)
        try:
            sink = self._sink or open_sink(self._target)
            reasons = self._send_to(sink, results)
            if not reasons:
                self._sink = sink
            return reasons
        finally:
            self._connecting.release()

    def _send_to(self, sink: Sink, results: Sequence[Result]) -> list[str]:
        deadline = start_deadline(None, SEND_MS)
        reasons = list(sink.send(results, deadline).values())
        if deadline.abandoned:  # a call was left behind, with its connection
            self._sink = None
        return reasons


class _Finder:
    """Finds models by name, each once: as they serve now, whatever version gave the answer."""

    def __init__(self, model: Model) -> None:
        self._asked = model
        self._found: dict[str, Model] = {}

    def __call__(self, name: str | None) -> Model:
        models = self._asked.models
        if name is None or models is None:
            self._asked.refuse_stand_in()
            return self._asked
        if name not in self._found:
            if len(self._found) >= MAX_MODELS:
                raise InvalidInput(
                    f"the request names more than {MAX_MODELS} models, the limit", field="model"
                )
            try:
                self._found[name] = models.pin(name)
            except InvalidInput:
                raise InvalidInput("model: there is no such model here", field="model") from None
            except (ArtefactError, DeliveryError) as error:
                raise Refusal(
                    503, "the model cannot be loaded now; the log says why", retry_after="10"
                ) from error
        return self._found[name]


def make_operation(target: Target, models: Models, max_entries: int) -> Operation:
    """Return the operation, for the table of a service whose models these are.

    Args:
        target: Of `MINNOW_FEEDBACK`.
        max_entries: Of one request.
    """
    note = Note(
        "Tell what was right of an answer",
        "Minnow",
        writes="FeedbackAnswer",
        reads="FeedbackRequest",
        example=lambda text: {"result_id": EXAMPLE_ID, "label": _example_label(models.default)},
        status=202,
        answers={"accepted": 1},
    )
    receiver = Receiver(target, max_entries)
    return Operation("POST", PATH, "feedback", receiver.answer, note, waits=True)


def make_schemas(model: Model, max_entries: int) -> dict[str, Schema]:
    """Return the components by name."""
    return {
        "FeedbackRequest": {
            "anyOf": [
                refer("Feedback"),
                make_array(refer("Feedback"), minItems=1, maxItems=max_entries),
            ]
        },
        "Feedback": make_object(
            "result_id label",
            {
                "result_id": RESULT_ID,
                "label": {**_label(model), "description": "What was right."},
                "index": {
                    "type": ["integer", "null"],
                    "minimum": 0,
                    "maximum": MAX_INDEX,
                    "default": 0,
                    "description": "Place of the text among those of its request.",
                },
                "predicted": {
                    **make_nullable(_label(model)),
                    "description": "What the model answered, where no result of it is kept.",
                },
                "new_label": {
                    **FLAG,
                    "default": False,
                    "description": "The label is none of the model's, and is meant.",
                },
                "model": make_nullable(NAME),
                "version": {"anyOf": [NAME, {"type": ["integer", "null"], "minimum": 0}]},
            },
            closed=True,
        ),
        "FeedbackAnswer": make_object("accepted", {"accepted": COUNT}, closed=True),
    }


def _label(model: Model) -> Schema:
    """Return the schema of a label as the model's task has it; a new one, too."""
    described = model.describe_task()
    kind, labels = described["task"], list(described.get("labels", ()))
    if kind == "regression":
        return {"type": "number"}
    one: Schema = {**STRING, "minLength": 1, "maxLength": MAX_LABEL_CHARACTERS, "examples": labels}
    if kind == "ordinal":  # or its number
        one = {"anyOf": [one, {"type": "number"}]}
    return make_array(one, maxItems=MAX_LABELS) if kind == "multi-label" else one


def _example_label(model: Model) -> Any:
    described = model.describe_task()
    if described["task"] == "regression":
        return described["mean"]
    label = described["labels"][0]
    return [label] if described["task"] == "multi-label" else label
