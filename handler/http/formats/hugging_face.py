"""Hugging Face text classification: `POST /`, as `huggingface_hub.InferenceClient` speaks it.

The client posts to the URL that it is given as it stands, takes the first element of the answer,
and wants objects of `label` and `score` in it: hence the list in a list for one text too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handler.errors import InvalidInput
from handler.http.messages import Request, json_response, parse_json, require_json
from handler.http.operation import Asking, Note, Operation, predict
from handler.http.problems import protocol_error
from handler.http.schemas import PARAMETERS, Schema, make_array, make_object, refer
from handler.inference.models import Model
from handler.inference.requests import (
    Source,
    name_list,
    name_one,
    name_type,
    read_options,
    read_parameters,
)

FUNCTIONS = ("softmax", "sigmoid", "none")


def classify(model: Model, request: Request) -> Asking:
    require_json(request)
    texts, source, parameters = _read(parse_json(request.body))
    top_k = read_options({"top_k": parameters.get("top_k")}, "parameters.").top_k
    function = parameters.get("function_to_apply")
    function = "softmax" if function is None else function
    if function not in FUNCTIONS:
        raise InvalidInput(
            f"parameters.function_to_apply: wanted one of {', '.join(FUNCTIONS)}",
            field="parameters.function_to_apply",
        )
    is_raw = function == "none"  # of which `sigmoid` gives the probability back
    predictions = yield from predict(model, request, texts, source)
    answer = [
        [
            {"label": label, "score": model.task.raw_score(score) if is_raw else score}
            for label, score in model.task.rank(prediction.outputs)[:top_k]
        ]
        for prediction in predictions
    ]
    return json_response(answer)


def _read(document: object) -> tuple[list[str], Source, Mapping[str, Any]]:
    if not isinstance(document, dict) or "inputs" not in document:
        raise InvalidInput('wanted an object with the field "inputs"', field="inputs")
    inputs = document["inputs"]
    if not isinstance(inputs, str | list):
        raise InvalidInput(
            f"inputs is {name_type(inputs)}, wanted a string or an array of strings",
            field="inputs",
        )
    parameters = read_parameters(document)
    if isinstance(inputs, str):
        return [inputs], name_one("inputs"), parameters
    return inputs, name_list("inputs"), parameters


def make_schemas(model: Model) -> dict[str, Schema]:
    """Return the components by name."""
    parameters = {
        "top_k": refer("TopK"),
        "function_to_apply": {"enum": [*FUNCTIONS, None]},
    }
    ranked = {"label": {"type": "string"}, "score": {"type": "number"}}
    return {
        "HuggingFaceRequest": make_object(
            "inputs",
            {
                "inputs": {"oneOf": [refer("Text"), refer("Texts")]},
                "parameters": {**PARAMETERS, "properties": parameters},
            },
        ),
        "HuggingFaceAnswer": make_array(
            make_array(make_object("label score", ranked, closed=True))
        ),
    }


OPERATIONS = (
    Operation(
        "POST",
        "/",
        "hugging_face",
        classify,
        Note(
            "Classify texts for huggingface_hub.InferenceClient",
            "Hugging Face",
            writes="HuggingFaceAnswer",
            reads="HuggingFaceRequest",
            example=lambda text: {"inputs": text, "parameters": {"top_k": 1}},
        ),
        protocol_error,
    ),
)
