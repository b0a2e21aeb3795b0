"""Hugging Face text classification: `POST /`, as `huggingface_hub.InferenceClient` speaks it.

The client posts to the URL that it is given as it stands, takes the first element of the answer,
and wants objects of `label` and `score` in it: hence the list in a list for one text too. The list
of a text that the model does not answer is empty: its first element would be taken for an answer.
With the parameter `coverage` a list has the labels of that set.

What clients send as a matter of course is taken as transformers' pipelines take it:
`return_all_scores` (without `top_k`, false is the first label alone), `truncation` (true: that is
how texts are read), and `options` of the hosted service, which change no answer. What is not known
is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from handler.errors import InvalidInput
from handler.http.messages import Request, json_response, parse_json, require_json
from handler.http.operation import Asking, Note, Operation, predict
from handler.http.problems import protocol_error
from handler.http.schemas import (
    FLAG,
    Schema,
    allow_null,
    make_array,
    make_object,
    make_parameters,
    refer,
)
from handler.inference.models import Model
from handler.inference.requests import (
    Source,
    check_known,
    name_list,
    name_one,
    name_type,
    read_flag,
    read_options,
    read_parameters,
)
from handler.inference.tasks import Options, Selective, Task

FUNCTIONS = ("softmax", "sigmoid", "none")
PATH = "parameters"
FIELDS = ("inputs", "parameters", "options")
KNOWN_PARAMETERS = ("top_k", "function_to_apply", "return_all_scores", "truncation", "coverage")
# Of a service that loads models when they are asked for, and keeps answers.
SERVICE_OPTIONS = ("wait_for_model", "use_cache", "use_gpu")


def classify(model: Model, request: Request) -> Asking:
    require_json(request)
    texts, source, parameters = _read(parse_json(request.body))
    asked = {name: parameters.get(name) for name in ("top_k", "coverage")}
    if asked["top_k"] is None and read_flag(parameters, "return_all_scores", PATH) is False:
        asked["top_k"] = 1
    options = read_options(asked, f"{PATH}.")
    if read_flag(parameters, "truncation", PATH) is False:
        raise InvalidInput(
            "parameters.truncation: wanted true, of a long text the first tokens are read",
            field="parameters.truncation",
        )
    function = parameters.get("function_to_apply")
    function = "softmax" if function is None else function
    if function not in FUNCTIONS:
        raise InvalidInput(
            f"parameters.function_to_apply: wanted one of {', '.join(FUNCTIONS)}",
            field="parameters.function_to_apply",
        )
    is_raw = function == "none"  # of which `sigmoid` gives the probability back
    predictions = yield from predict(model, request, texts, source, options)
    answer = [
        [
            {"label": label, "score": model.task.raw_score(score) if is_raw else score}
            for label, score in _rank(model.task, prediction.outputs, options)
        ]
        for prediction in predictions
    ]
    return json_response(answer)


def _rank(task: Task, row: Sequence[float], options: Options) -> list[tuple[str, float]]:
    """Return the labels of the answer with their scores, the highest first."""
    if options.coverage is not None and isinstance(task, Selective):
        return task.find_set(row, options.coverage)[: options.top_k]
    return task.rank(row)[: options.top_k]


def _read(document: object) -> tuple[list[str], Source, Mapping[str, Any]]:
    if not isinstance(document, dict) or "inputs" not in document:
        raise InvalidInput('wanted an object with the field "inputs"', field="inputs")
    inputs = document["inputs"]
    if not isinstance(inputs, str | list):
        raise InvalidInput(
            f"inputs is {name_type(inputs)}, wanted a string or an array of strings",
            field="inputs",
        )
    check_known(document, FIELDS)
    parameters = read_parameters(document, KNOWN_PARAMETERS)
    _check_service_options(document.get("options"))
    if isinstance(inputs, str):
        return [inputs], name_one("inputs"), parameters
    return inputs, name_list("inputs"), parameters


def _check_service_options(options: object) -> None:
    if options is None:
        return
    if not isinstance(options, dict):
        raise InvalidInput(f"options is {name_type(options)}, wanted an object", field="options")
    check_known(options, SERVICE_OPTIONS, "options")
    for name in SERVICE_OPTIONS:
        read_flag(options, name, "options")


def make_schemas(model: Model) -> dict[str, Schema]:
    """Return the components by name."""
    parameters = {
        "top_k": refer("TopK"),
        "coverage": refer("Coverage"),
        "function_to_apply": {"enum": [*FUNCTIONS, None]},
        "return_all_scores": FLAG,
        "truncation": {"enum": [True, None]},
    }
    service_options = make_parameters(dict.fromkeys(SERVICE_OPTIONS, FLAG))
    ranked = {"label": {"type": "string"}, "score": {"type": "number"}}
    return {
        "HuggingFaceRequest": allow_null(
            make_object(
                "inputs",
                {
                    "inputs": {"oneOf": [refer("Text"), refer("Texts")]},
                    "parameters": make_parameters(parameters),
                    "options": service_options,
                },
            )
        ),
        "HuggingFaceAnswer": make_array(
            make_array(make_object("label score", ranked, closed=True))
        ),
    }


PREDICT = Operation(
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
)
OPERATIONS = (
    PREDICT,
    PREDICT._replace(path="/models/{name}", name="hugging_face_model"),
    PREDICT._replace(path="/models/{name}/versions/{version}", name="hugging_face_version"),
)
