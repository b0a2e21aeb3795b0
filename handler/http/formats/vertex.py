"""Vertex AI's container contract and TF Serving's REST API, which KServe's V1 protocol repeats.

`{"instances": ["text", ["text"], {"text": "text"}], "parameters": {...}}` is answered by
`{"predictions": [...]}`.
"""

from __future__ import annotations

from typing import Any

from handler.errors import InvalidInput
from handler.http.messages import Request, Response, json_response, parse_json, require_json
from handler.http.operation import Asking, Note, Operation, predict
from handler.http.problems import protocol_error
from handler.http.schemas import (
    OPTIONS,
    STRING,
    Schema,
    allow_null,
    make_array,
    make_object,
    make_parameters,
    refer,
)
from handler.inference.models import Model
from handler.inference.requests import (
    OPTION_FIELDS,
    Source,
    check_known,
    name_list,
    name_type,
    read_options,
    read_parameters,
)

# TF Serving's clients name the signature; there is one.
FIELDS = ("instances", "parameters", "signature_name")


def classify(model: Model, request: Request) -> Asking:
    require_json(request)
    document = parse_json(request.body)
    if not isinstance(document, dict):
        raise InvalidInput(f"the request is {name_type(document)}, wanted a JSON object")
    check_known(document, FIELDS)
    if not isinstance(document.get("signature_name", ""), str | None):
        raise InvalidInput("signature_name: wanted a string", field="signature_name")
    texts, source = read_instances(document.get("instances"))
    options = read_options(read_parameters(document, OPTION_FIELDS), "parameters.")
    predictions = yield from predict(model, request, texts, source, options)
    answer = model.answer(texts, predictions, options)
    return json_response({"predictions": answer["predictions"]})


def read_instances(instances: object) -> tuple[list[Any], Source]:
    """Return the texts of an `instances` list, unchecked, and what their sender calls them.

    A row is the text, an array of nothing but the text, as a table of one column has it, or an
    object of nothing but the field `text`.
    """
    if not isinstance(instances, list):
        raise InvalidInput(
            f"instances is {name_type(instances)}, wanted an array", field="instances"
        )
    rows = name_list("instances")
    found = [read_row(row, rows.place(index)) for index, row in enumerate(instances)]
    return [text for text, _ in found], Source("instances", lambda index: found[index][1])


def read_row(row: object, place: str) -> tuple[object, str]:
    """Return the text of one row, unchecked, and its place; `place` is the row's."""
    if isinstance(row, list):
        if len(row) != 1:
            raise InvalidInput(f"{place} has {len(row)} values, wanted 1, the text", field=place)
        return row[0], f"{place}[0]"
    if isinstance(row, dict):
        given = [name for name, value in row.items() if name == "text" or value is not None]
        if given != ["text"]:
            raise InvalidInput(f'{place}: wanted a string or {{"text": string}}', field=place)
        return row["text"], f"{place}.text"
    return row, place


def model_status(model: Model, request: Request) -> Response:
    status = {"error_code": "OK", "error_message": ""}
    manifest = model.manifest
    versions = [{"version": manifest.version, "state": "AVAILABLE", "status": status}]
    # TF Serving's answer is the last field, KServe's V1 the first two.
    return json_response({"name": manifest.name, "ready": True, "model_version_status": versions})


def make_schemas(model: Model) -> dict[str, Schema]:
    """Return the components by name."""
    instance = {
        "oneOf": [
            refer("Text"),
            make_array(refer("Text"), minItems=1, maxItems=1),
            allow_null(make_object("text", {"text": refer("Text")})),
        ]
    }
    return {
        "Instances": make_array(instance, minItems=1, maxItems=model.limits.max_texts),
        "VertexRequest": allow_null(
            make_object(
                "instances",
                {
                    "instances": refer("Instances"),
                    "parameters": make_parameters(OPTIONS),
                    "signature_name": {"type": ["string", "null"]},
                },
            )
        ),
        "VertexAnswer": make_object(
            "predictions", {"predictions": make_array(refer("Prediction"))}, closed=True
        ),
        "VertexModel": make_object(
            "name ready model_version_status",
            {
                "name": STRING,
                "ready": {"const": True},
                "model_version_status": make_array({"type": "object"}),
            },
        ),
    }


TAG = "Vertex AI and TF Serving"
MODEL = "/v1/models/{name}"
VERSION = MODEL + "/versions/{version}"
STATUS_NOTE = Note("Say that the model is available", TAG, writes="VertexModel")
PREDICT_NOTE = Note(
    "Classify instances",
    TAG,
    writes="VertexAnswer",
    reads="VertexRequest",
    example=lambda text: {"instances": [text]},
)
PREDICT = Operation(
    "POST", MODEL + ":predict", "vertex_predict", classify, PREDICT_NOTE, protocol_error
)
OPERATIONS = (
    Operation("GET", MODEL, "vertex_model", model_status, STATUS_NOTE, protocol_error),
    Operation("GET", VERSION, "vertex_version", model_status, STATUS_NOTE, protocol_error),
    PREDICT,
    PREDICT._replace(path=VERSION + ":predict", name="vertex_version_predict"),
)
