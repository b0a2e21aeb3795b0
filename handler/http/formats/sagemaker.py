"""SageMaker's container contract: `GET /ping`, `POST /invocations`.

The body's form is told by Content-Type, the answer's by Accept (the body's own where it says
nothing):

    application/json        {"text"}, {"texts"} or {"instances"} -> the native answer
    application/jsonlines   a string or {"text"} a line          -> a prediction a line
    text/csv                the text is the row's first column   -> label,score a row
    text/plain              the whole body is one text           -> label a line
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

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
from handler.inference.requests import DEFAULT_OPTIONS, Options, read_request, shape_answer

if TYPE_CHECKING:
    from handler.http.service import Service

JSON_LINES = "application/jsonlines"
CSV = "text/csv"
PLAIN = "text/plain"
csv.field_size_limit(2**31 - 1)  # of the whole process; the core has the limit on a text
OTHER_NAMES = {"application/x-jsonlines": JSON_LINES, "application/jsonl": JSON_LINES, "": JSON}


def ping(service: Service, request: Request) -> Response:
    return json_response({"status": "ok"})


def invoke(service: Service, request: Request) -> Response:
    given = OTHER_NAMES.get(request.content_type, request.content_type)
    if given not in READERS:
        raise Refusal(415, f"content-type: wanted one of {', '.join(READERS)}")
    wanted = choose_type(request.headers.get("accept", ""), given)
    texts, options = READERS[given](request.body)
    predictions = service.predict(request, texts)
    answer = shape_answer(service.classifier, texts, predictions, options, service.limits)
    return Response(200, WRITERS[wanted](answer), wanted)


def choose_type(accept: str, given: str) -> str:
    """Return the first known type that `accept` names; `given` where it leaves the choice."""
    named = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    for name in named:
        if name in ("", "*/*"):
            return given
        known = OTHER_NAMES.get(name, name)
        if known in WRITERS:
            return known
    raise Refusal(406, f"accept: wanted one of {', '.join(WRITERS)}")


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


def _write_csv(answer: dict[str, Any]) -> bytes:
    table = io.StringIO(newline="")
    csv.writer(table).writerows([p["label"], p["score"]] for p in answer["predictions"])
    return table.getvalue().encode()


READERS: dict[str, Callable[[bytes], tuple[list[str], Options]]] = {
    JSON: _read_json,
    JSON_LINES: _read_json_lines,
    CSV: _read_csv,
    PLAIN: _read_plain,
}
WRITERS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    JSON: dump_json,
    JSON_LINES: lambda answer: b"".join(dump_json(p) + b"\n" for p in answer["predictions"]),
    CSV: _write_csv,
    PLAIN: lambda answer: "".join(p["label"] + "\n" for p in answer["predictions"]).encode(),
}
