"""SageMaker's container contract: `GET /ping`, `POST /invocations`.

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
from handler.http.formats.vertex import read_instances
from handler.http.messages import (
    JSON,
    Refusal,
    Request,
    Response,
    dump_json,
    json_response,
    parse_json,
)
from handler.http.operation import Note, Operation, predict
from handler.http.schemas import STRING, Schema, make_object
from handler.inference.classifier import Prediction
from handler.inference.models import Model
from handler.inference.requests import read_request
from handler.inference.tasks import DEFAULT_OPTIONS, Options

JSON_LINES = "application/jsonlines"
CSV = "text/csv"
PLAIN = "text/plain"
csv.field_size_limit(2**31 - 1)  # of the whole process; a model limits its texts
OTHER_NAMES = {"application/x-jsonlines": JSON_LINES, "application/jsonl": JSON_LINES, "": JSON}


def ping(model: Model, request: Request) -> Response:
    return json_response({"status": "ok"})


def invoke(model: Model, request: Request) -> Response:
    given = OTHER_NAMES.get(request.content_type, request.content_type)
    if given not in READERS:
        raise Refusal(415, f"content-type: wanted one of {', '.join(READERS)}")
    wanted = choose_type(request.headers.get("accept", ""), given)
    texts, options = READERS[given](request.body)
    predictions = predict(model, request, texts)
    if wanted in CELL_WRITERS:
        return Response(200, CELL_WRITERS[wanted](model, predictions), wanted)
    answer = model.answer(texts, predictions, options)
    return Response(200, WRITERS[wanted](answer), wanted)


def choose_type(accept: str, given: str) -> str:
    """Return the first known type that `accept` names; `given` where it leaves the choice."""
    named = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    for name in named:
        if name in ("", "*/*"):
            return given
        known = OTHER_NAMES.get(name, name)
        if known in READERS:
            return known
    raise Refusal(406, f"accept: wanted one of {', '.join(READERS)}")


def _read_json(body: bytes) -> tuple[list[str], Options]:
    document = parse_json(body)
    if isinstance(document, dict) and "instances" in document:
        instances = document.pop("instances")
        return read_request({"texts": read_instances(instances), **document})
    return read_request(document)


def _read_json_lines(body: bytes) -> tuple[list[str], Options]:
    lines = [parse_json(line) for line in body.splitlines() if line.strip()]
    for index, line in enumerate(lines):
        if isinstance(line, dict) and list(line) != ["text"]:
            field = f"texts[{index}]"
            raise InvalidInput(f'{field}: wanted a string or {{"text": string}}', field=field)
    return [line["text"] if isinstance(line, dict) else line for line in lines], DEFAULT_OPTIONS


def _read_csv(body: bytes) -> tuple[list[str], Options]:
    try:
        rows = list(csv.reader(io.StringIO(_decode(body), newline=""), strict=True))
    except csv.Error:  # its text may quote the row
        raise InvalidInput("the body is not CSV (RFC 4180)", status=400) from None
    return [row[0] for row in rows if row], DEFAULT_OPTIONS


def _read_plain(body: bytes) -> tuple[list[str], Options]:
    return [_decode(body)], DEFAULT_OPTIONS


def _decode(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the body is not UTF-8 (byte {error.start})", status=400) from None


def _write_csv(model: Model, predictions: Sequence[Prediction]) -> bytes:
    table = io.StringIO(newline="")
    csv.writer(table).writerows(model.task.cells(one.outputs) for one in predictions)
    return table.getvalue().encode()


def _write_plain(model: Model, predictions: Sequence[Prediction]) -> bytes:
    return "".join(f"{model.task.cells(one.outputs)[0]}\n" for one in predictions).encode()


READERS: dict[str, Callable[[bytes], tuple[list[str], Options]]] = {
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
OPERATIONS = (
    Operation(
        "GET",
        "/ping",
        "ping",
        ping,
        Note("Say that the model is loaded", TAG, writes="Ping"),
        is_open=True,
    ),
    Operation(
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
    ),
)
