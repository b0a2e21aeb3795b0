"""What an operation is: one method of one path, how it is answered, and what is said of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from handler.errors import InvalidInput
from handler.http.messages import Request, Response
from handler.http.problems import native_error
from handler.inference.classifier import Prediction
from handler.inference.models import Model, Pending
from handler.inference.requests import MODEL_FIELDS, Source
from handler.inference.tasks import DEFAULT_OPTIONS, Options

# Yields texts that were checked, is sent the prediction of each, returns the response: the texts
# of several requests may be predicted together.
Asking = Generator[list[str], list[Prediction], Response]
Answer = Callable[[Model, Request], Response | Asking]


class Note(NamedTuple):
    """What `/openapi.json` says of one operation.

    Args:
        summary: One line.
        tag: The protocol's name.
        writes: Schema of the JSON answer; empty: text.
        reads: Schema of the JSON body, for a POST.
        example: Makes the example body of a text, for a POST.
        kind: Media type of an answer that is text.
        more_reads: Media type -> example body of a text, beside JSON.
        more_writes: Media type -> schema, beside JSON.
        statuses: Refusals that only this operation gives.
        status: Of the answer.
        answers: The example of the answer, where it is not computed from that of the body: what
            the operation does is not done for a document.
    """

    summary: str
    tag: str
    writes: str = ""
    reads: str = ""
    example: Callable[[str], Any] = str
    kind: str = "text/plain"
    more_reads: Mapping[str, Callable[[str], str]] = MappingProxyType({})
    more_writes: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    statuses: Sequence[int] = ()
    status: int = 200
    answers: Mapping[str, Any] | None = None


class Operation(NamedTuple):
    """One method of one path.

    Args:
        method: `GET` also answers HEAD.
        path: `{name}` and `{version}` are those of a model that is here, any other is a 404.
        name: In the OpenAPI document, the logs and the metrics.
        answer: What computes the response, or asks for predictions first; raises InvalidInput to
            refuse.
        note: What the OpenAPI document says; None: it says nothing.
        shape_error: How this protocol writes a refusal.
        is_open: Answers without a key too: probes, and pages that hold no secret.
        asks_all: Every model is asked, not only the one that the path names; the first to refuse
            refuses for all.
        tells_readiness: Refused once the process was told to end: a balancer sends no more.
        waits: It may wait for the repository of models: never on the event loop.
    """

    method: str
    path: str
    name: str
    answer: Answer
    note: Note | None = None
    shape_error: Callable[[InvalidInput], Response] = native_error
    is_open: bool = False
    asks_all: bool = False
    tells_readiness: bool = False
    waits: bool = False


class AskAnother(Exception):
    """The body names another model than the one that was asked: the operation is to ask that."""

    def __init__(self, model: Model | Pending) -> None:
        super().__init__()
        self.model = model


def choose_named(model: Model, request: Request, document: object) -> None:
    """Raise AskAnother where a request's fields `model` and `version` name another model."""
    if isinstance(document, dict) and not document.keys().isdisjoint(MODEL_FIELDS):
        found = model.find_named(document, request.exchange.request_id)
        if found is not model:
            raise AskAnother(found)


def predict(
    model: Model,
    request: Request,
    texts: Sequence[str],
    source: Source,
    options: Options = DEFAULT_OPTIONS,
) -> Generator[list[str], list[Prediction], list[Prediction]]:
    """Ask for the predictions, limits checked, and return them; they are counted as this request's.

    Args:
        texts: As they were read, unchecked.
        source: What the sender calls them.
        options: What the answer shall hold.
    """
    checked = model.check_request(texts, source, options)
    has_shadows = model.models is not None and bool(model.models.shadows)
    started = time.perf_counter() if has_shadows else 0.0
    predictions = yield checked
    passed_ms = (time.perf_counter() - started) * 1000 if has_shadows else 0.0
    model.monitor.count(request.exchange, model, checked, predictions)
    if has_shadows:
        from handler.inference.agreement import Answered  # only where there is one

        request.answered = Answered(model, checked, predictions, passed_ms)
    return predictions


def answer_alone(answer: Answer, model: Model, request: Request) -> Response:
    """Return an operation's response, predicting what it asks for."""
    asking = answer(model, request)
    if isinstance(asking, Response):
        return asking
    predictions = model.classifier.predict(next(asking))
    return finish_asking(asking, predictions)


def finish_asking(asking: Asking, predictions: list[Prediction]) -> Response:
    """Return the response of what asked for these predictions."""
    try:
        asking.send(predictions)
    except StopIteration as end:
        response: Response = end.value
        return response
    raise RuntimeError("an operation asked for predictions twice")
