"""JSON Schemas of the OpenAPI document: what the operations read and write, limits filled in."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from handler.inference.bundle import Card
from handler.settings import Limits

Schema = dict[str, Any]


def refer(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def make_object(required: str, properties: Schema, closed: bool = False) -> Schema:
    """Return an object's schema; `required` is a list of names with spaces between."""
    schema = {"type": "object", "required": required.split(), "properties": properties}
    return {**schema, "additionalProperties": False} if closed else schema


def make_array(items: Schema, **bounds: int) -> Schema:
    return {"type": "array", "items": items, **bounds}


STRING: Schema = {"type": "string"}
PARAMETERS: Schema = {"type": ["object", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
MODEL_FIELDS = ("name", "version", "sha256")
LIMIT_FIELDS = tuple(field.name for field in dataclasses.fields(Limits))
CARD_FIELDS = tuple(field.name for field in dataclasses.fields(Card))
SCORE: Schema = {"type": "number", "minimum": 0, "maximum": 1}


def make_schemas(limits: Limits, labels: Sequence[str]) -> dict[str, Schema]:
    """Return the components by name."""
    text: Schema = {"type": "string", "maxLength": limits.max_characters}
    label: Schema = {"type": "string", "enum": list(labels)}
    return {
        "Text": {**text, "description": "Unicode text; a lone surrogate is refused."},
        "Texts": make_array(refer("Text"), minItems=1, maxItems=limits.max_texts),
        **_options(),
        **_native(label, labels),
        **_errors(),
        **_protocols(limits, label),
        **_inference_protocol(),
    }


def _options() -> dict[str, Schema]:
    return {
        "TopK": {
            "type": ["integer", "null"],
            "minimum": 1,
            "description": "Only the so many most probable labels in scores.",
        },
        "Threshold": {
            **SCORE,
            "default": 0,
            "description": "Only labels of at least this probability in scores.",
        },
        "Explain": {
            "type": "boolean",
            "default": False,
            "description": "Add each token's contribution to the label's probability.",
        },
    }


def _native(label: Schema, labels: Sequence[str]) -> dict[str, Schema]:
    options = {
        "top_k": refer("TopK"),
        "threshold": refer("Threshold"),
        "explain": refer("Explain"),
    }
    request = {"text": refer("Text"), "texts": refer("Texts"), **options}
    answer = {"model": refer("Model"), "predictions": make_array(refer("Prediction"))}
    return {
        "PredictRequest": {
            **make_object("", request, closed=True),
            "oneOf": [{"required": ["text"]}, {"required": ["texts"]}],
        },
        "PredictAnswer": make_object("model predictions", answer, closed=True),
        "Model": make_object("name version sha256", dict.fromkeys(MODEL_FIELDS, STRING)),
        "Prediction": make_object(
            "label score scores truncated known_tokens",
            {
                "label": label,
                "score": {**SCORE, "description": "The label's probability."},
                "scores": make_object("", dict.fromkeys(labels, SCORE), closed=True),
                "truncated": {
                    "type": "boolean",
                    "description": "The text had more tokens than the model reads.",
                },
                "known_tokens": {
                    **COUNT,
                    "description": "0: the text says nothing to the model.",
                },
                "explanation": make_array(refer("Contribution")),
            },
            closed=True,
        ),
        "Contribution": make_object(
            "token start end contribution",
            {
                "token": STRING,
                "start": {**COUNT, "description": "In characters, text[start:end] is token."},
                "end": COUNT,
                "contribution": {"type": "number", "minimum": -1, "maximum": 1},
            },
            closed=True,
        ),
        "Health": make_object(
            "status model", {"status": {"const": "ok"}, "model": refer("Model")}, closed=True
        ),
        "ModelCard": make_object(
            "model labels max_tokens precision size_bytes limits metrics provenance card",
            {
                "model": refer("Model"),
                "labels": make_array(STRING),
                "max_tokens": COUNT,
                "precision": STRING,
                "size_bytes": COUNT,
                "limits": refer("Limits"),
                "metrics": {"type": "object"},
                "provenance": {"type": "object"},
                "card": refer("Card"),
            },
        ),
        "Card": make_object(
            " ".join(CARD_FIELDS),
            {**dict.fromkeys(CARD_FIELDS, STRING), "known_failures": make_array(STRING)},
            closed=True,
        ),
        "Limits": make_object(
            " ".join(LIMIT_FIELDS), dict.fromkeys(LIMIT_FIELDS, COUNT), closed=True
        ),
    }


def _errors() -> dict[str, Schema]:
    return {
        "Problem": make_object(
            "type title status detail",
            {
                "type": STRING,
                "title": STRING,
                "status": {"type": "integer"},
                "detail": {**STRING, "description": "What came, what was wanted."},
                "field": {**STRING, "description": "Path of the wrong field: texts[3]."},
                "limit": COUNT,
                "received": COUNT,
            },
            closed=True,
        ),
        "Error": make_object("error", {"error": STRING}, closed=True),
    }


def _protocols(limits: Limits, label: Schema) -> dict[str, Schema]:
    instance = {"oneOf": [refer("Text"), make_object("text", {"text": refer("Text")}, closed=True)]}
    instances = make_array(instance, minItems=1, maxItems=limits.max_texts)
    functions = {"enum": ["softmax", "sigmoid", "none", None]}
    parameters = {"top_k": refer("TopK"), "function_to_apply": functions}
    ranked = make_object("label score", {"label": label, "score": {"type": "number"}}, closed=True)
    options = {"top_k": refer("TopK"), "threshold": refer("Threshold")}
    return {
        "HuggingFaceRequest": make_object(
            "inputs",
            {
                "inputs": {"oneOf": [refer("Text"), refer("Texts")]},
                "parameters": {**PARAMETERS, "properties": parameters},
            },
        ),
        "HuggingFaceAnswer": make_array(make_array(ranked)),
        "Instances": instances,
        "VertexRequest": make_object(
            "instances",
            {
                "instances": refer("Instances"),
                "parameters": {
                    **PARAMETERS,
                    "properties": {**options, "explain": refer("Explain")},
                },
            },
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
        "Ping": make_object("status", {"status": {"const": "ok"}}),
    }


def _inference_protocol() -> dict[str, Schema]:
    tensor = {
        "name": STRING,
        "datatype": STRING,
        "shape": make_array({"type": "integer"}),
        "parameters": PARAMETERS,
        "data": {"type": "array"},
    }
    input_tensor = {**tensor, "name": {"const": "text"}, "datatype": {"const": "BYTES"}}
    output = {
        "name": {"enum": ["label", "score", "probabilities"]},
        "parameters": PARAMETERS,
    }
    request = {
        "id": STRING,
        "parameters": PARAMETERS,
        "inputs": make_array(
            make_object("name datatype shape data", input_tensor), minItems=1, maxItems=1
        ),
        "outputs": {**make_array(make_object("name", output)), "type": ["array", "null"]},
    }
    answer = {
        "model_name": STRING,
        "model_version": STRING,
        "id": STRING,
        "outputs": make_array(make_object("name datatype shape", tensor)),
    }
    metadata = {
        "name": STRING,
        "versions": make_array(STRING),
        "platform": STRING,
        "inputs": make_array(make_object("name datatype shape", tensor)),
        "outputs": make_array(make_object("name datatype shape", tensor)),
        "labels": make_array(STRING),
        "limits": refer("Limits"),
    }
    server = {"name": STRING, "version": STRING, "extensions": make_array(STRING)}
    boolean = {"type": "boolean"}
    return {
        "InferRequest": make_object("inputs", request),
        "InferAnswer": make_object("model_name model_version outputs", answer),
        "ServerMetadata": make_object("name version extensions", server),
        "ModelMetadata": make_object("name versions platform inputs outputs", metadata),
        "Live": make_object("live", {"live": boolean}),
        "Ready": make_object("ready", {"ready": boolean}),
    }
