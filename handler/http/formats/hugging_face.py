"""Hugging Face text classification: `POST /`, as `huggingface_hub.InferenceClient` speaks it.

The client posts to the URL that it is given as it stands, takes the first element of the answer,
and wants objects of `label` and `score` in it: hence the list in a list for one text too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from handler.errors import InvalidInput
from handler.http.messages import Request, Response, json_response, parse_json, require_json
from handler.inference.requests import name_type, rank_labels, read_options, read_parameters

if TYPE_CHECKING:
    from handler.http.service import Service

FUNCTIONS = ("softmax", "sigmoid", "none")
# A float32 probability is 1 - 6e-8 at most before it is 1: log odds past 16.6 are not measured.
CLOSEST = 2.0**-24


def classify(service: Service, request: Request) -> Response:
    require_json(request)
    texts, parameters = _read(parse_json(request.body))
    top_k = read_options({"top_k": parameters.get("top_k")}, "parameters.").top_k
    function = parameters.get("function_to_apply")
    function = "softmax" if function is None else function
    if function not in FUNCTIONS:
        raise InvalidInput(
            f"parameters.function_to_apply: wanted one of {', '.join(FUNCTIONS)}",
            field="parameters.function_to_apply",
        )
    answer = [
        [
            {"label": label, "score": _apply(function, probability)}
            for label, probability in rank_labels(prediction.scores)[:top_k]
        ]
        for prediction in service.predict(request, texts)
    ]
    return json_response(answer)


def _read(document: object) -> tuple[list[str], Mapping[str, Any]]:
    if not isinstance(document, dict) or "inputs" not in document:
        raise InvalidInput('wanted an object with the field "inputs"', field="inputs")
    inputs = document["inputs"]
    if not isinstance(inputs, str | list):
        raise InvalidInput(
            f"inputs is {name_type(inputs)}, wanted a string or an array of strings",
            field="inputs",
        )
    return [inputs] if isinstance(inputs, str) else inputs, read_parameters(document)


def _apply(function: str, probability: float) -> float:
    """Return the score; `none` gives log odds, of which `sigmoid` gives the probability back."""
    if function != "none":
        return probability
    kept = min(max(probability, CLOSEST), 1 - CLOSEST)
    return math.log(kept) - math.log1p(-kept)
