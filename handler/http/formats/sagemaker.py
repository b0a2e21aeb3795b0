"""SageMaker's container contract: `GET /ping`, `POST /invocations`, and `POST /models/NAME/invoke`
of containers that have several models.

The body's form is told by Content-Type, the answer's by Accept (the body's own where it says
nothing):

    application/json        {"text"}, {"texts"} or {"instances"} -> the native answer
    application/jsonlines   a string or {"text"} a line          -> a prediction a line
    text/csv                the text is the row's first column   -> the cells of a scored file
    text/plain              the whole body is one text           -> the first of these cells
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

from handler.errors import InvalidInput
from handler.http.formats.vertex import read_instances, read_row
from handler.http.messages import (
    JSON,
    Refusal,
    Request,
    Response,
    decode_text,
    dump_json,
    json_response,
    parse_json,
)
from handler.http.negotiation import choose_type
from handler.http.operation import Asking, Note, Operation, choose_named, predict
from handler.http.schemas import STRING, Schema, make_object
from handler.inference.classifier import Prediction
from handler.inference.models import Model
from handler.inference.requests import (
    REQUEST_FIELDS,
    Source,
    name_texts,
    read_options,
    read_request,
)
from handler.inference.tasks import DEFAULT_OPTIONS, Options

JSON_LINES = "application/jsonlines"
CSV = "text/csv"
PLAIN = "text/plain"
csv.field_size_limit(2**31 - 1)  # of the whole process; a model limits its texts
# The texts, unchecked; the options; what the sender calls the texts.
Read = tuple[list[Any], Options, Source]
MAX_LINES = 10_000  # with the empty ones, each of which would take 40 bytes of memory for one
OTHER_NAMES = {"application/x-jsonlines": JSON_LINES, "application/jsonl": JSON_LINES, "": JSON}


def ping(model: Model, request: Request) -> Response:
    return json_response({"status": "ok"})


def invoke(model: Model, request: Request) -> Asking:
    given = OTHER_NAMES.get(request.content_type, request.content_type)
    if given not in READERS:
        raise Refusal(415, f"content-type: wanted one of {', '.join(READERS)}")
    wanted = choose_answer(request.headers.get("accept", ""), given)
    texts, options, source = READERS[given](model, request)
    predictions = yield from predict(model, request, texts, source, options)
    if wanted in CELL_WRITERS:
        body = CELL_WRITERS[wanted](model, predictions)
        return Response(200, body, f"{wanted}; charset=utf-8")
    answer = model.answer(texts, predictions, options)
    return Response(200, WRITERS[wanted](answer), wanted)


def choose_answer(accept: str, given: str) -> str:
    """Return the type of the answer: the body's own, `given`, where `accept` leaves the choice."""
    offered = [given, *(kind for kind in READERS if kind != given)]
    chosen = choose_type(accept, offered, OTHER_NAMES)
    if not chosen:
        raise Refusal(406, f"accept: wanted one of {', '.join(READERS)}")
    return chosen


def _read_json(model: Model, request: Request) -> Read:
    document = parse_json(request.body)
    choose_named(model, request, document)
    if not isinstance(document, dict) or document.get("instances") is None:
        if isinstance(document, dict):
            document.pop("instances", None)
        return *read_request(document), name_texts(document)
    texts, source = read_instances(document.pop("instances"))
    if document.get("text") is not None or document.get("texts") is not None:
        raise InvalidInput('wanted one of the fields "text", "texts" and "instances"')
    if not document.keys() <= set(REQUEST_FIELDS):
        raise InvalidInput(f"unknown field; the fields are: instances, {', '.join(REQUEST_FIELDS)}")
    return texts, read_options(document), source


def _read_json_lines(model: Model, request: Request) -> Read:
    body = request.body
    if body.count(b"\n") + body.count(b"\r") > MAX_LINES:
        raise _too_many_lines("lines")
    numbered = [(n, line) for n, line in enumerate(body.splitlines(), 1) if line.strip()]
    found = []
    for number, line in numbered[
        : model.limits.max_texts + 1
    ]:  # one too many is refused, whatever follows
        place = f"line {number}"
        found.append(read_row(parse_json(line, place), place))
    return [text for text, _ in found], DEFAULT_OPTIONS, _name_body(lambda index: found[index][1])


def _read_csv(model: Model, request: Request) -> Read:
    texts: list[str] = []
    try:
        rows = csv.reader(io.StringIO(decode_text(request.body), newline=""), strict=True)
        for number, row in enumerate(rows, 1):  # one by one, so that other threads come in between
            if number > MAX_LINES:
                raise _too_many_lines("rows")
            if row:
                texts.append(row[0])
            if len(texts) > model.limits.max_texts:
                break  # one too many is refused, whatever follows
    except csv.Error:  # its text may quote the row
        raise InvalidInput("the body is not CSV (RFC 4180)", status=400) from None
    return texts, DEFAULT_OPTIONS, _name_body(lambda index: f"row {index + 1}")


def _read_plain(model: Model, request: Request) -> Read:
    return [decode_text(request.body)], DEFAULT_OPTIONS, _name_body(lambda index: "the body")


def _too_many_lines(name: str) -> InvalidInput:
    return InvalidInput(
        f"the body has more than {MAX_LINES} {name}, empty ones counted",
        limit=MAX_LINES,
        received=MAX_LINES + 1,
        status=413,
    )


def _name_body(place: Callable[[int], str]) -> Source:
    return Source("the body", place)


def _write_csv(model: Model, predictions: Sequence[Prediction]) -> bytes:
    table = io.StringIO(newline="")
    csv.writer(table).writerows(model.task.cells(one.outputs) for one in predictions)
    return table.getvalue().encode()


def _write_plain(model: Model, predictions: Sequence[Prediction]) -> bytes:
    return "".join(f"{model.task.cells(one.outputs)[0]}\n" for one in predictions).encode()


READERS: dict[str, Callable[[Model, Request], Read]] = {
    JSON: _read_json,
    JSON_LINES: _read_json_lines,
    CSV: _read_csv,
    PLAIN: _read_plain,
}
WRITERS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    JSON: dump_json,
    JSON_LINES: lambda answer: b"".join(dump_json(p) + b"\n" for p in answer["predictions"]),
}
CELL_WRITERS: dict[str, Callable[[Model, Sequence[Prediction]], bytes]] = {
    CSV: _write_csv,
    PLAIN: _write_plain,
}


def make_schemas(model: Model) -> dict[str, Schema]:
    """Return the components by name; the rest are the native API's."""
    return {"Ping": make_object("status", {"status": {"const": "ok"}})}


TAG = "SageMaker"
INVOKE = Operation(
    "POST",
    "/invocations",
    "invocations",
    invoke,
    Note(
        "Classify texts",
        TAG,
        writes="PredictAnswer",
        reads="PredictRequest",
        example=lambda text: {"text": text},
        more_reads={
            JSON_LINES: json.dumps,
            CSV: lambda text: f'"{text}"',
            PLAIN: lambda text: text,
        },
        more_writes=dict.fromkeys((JSON_LINES, CSV, PLAIN), STRING),
        statuses=(406,),
    ),
)
OPERATIONS = (
    Operation(
        "GET",
        "/ping",
        "ping",
        ping,
        Note("Say that the model is loaded", TAG, writes="Ping"),
        is_open=True,
        tells_readiness=True,
    ),
    INVOKE,
    INVOKE._replace(path="/models/{name}/invoke", name="invoke_model"),
    INVOKE._replace(path="/models/{name}/versions/{version}/invoke", name="invoke_version"),
)
