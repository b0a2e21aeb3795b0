"""JSON Schemas of the OpenAPI document: how they are written, and those that formats share."""

from __future__ import annotations

from typing import Any

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


def make_nullable(schema: Schema) -> Schema:
    """Return the schema of an optional field: null is as good as absent."""
    return {"anyOf": [schema, {"type": "null"}]}


def allow_null(schema: Schema) -> Schema:
    """Return an object's schema whose other fields are null at most, which is as good as absent."""
    return {**schema, "additionalProperties": {"type": "null"}}


def make_parameters(properties: Schema) -> Schema:
    """Return the schema of the optional object `parameters`, which has no others."""
    return allow_null({"type": ["object", "null"], "properties": properties})


STRING: Schema = {"type": "string"}
PARAMETERS: Schema = {"type": ["object", "null"]}
FLAG: Schema = {"type": ["boolean", "null"]}
OPTIONS: Schema = {
    "top_k": refer("TopK"),
    "threshold": refer("Threshold"),
    "explain": refer("Explain"),
    "coverage": refer("Coverage"),
}
COUNT: Schema = {"type": "integer", "minimum": 0}
COVERAGE: Schema = {
    "type": ["number", "null"],
    "exclusiveMinimum": 0,
    "exclusiveMaximum": 1,
    "description": "Add the set of labels that holds the true one so often.",
}


def make_shared_schemas(limits: Limits) -> dict[str, Schema]:
    """Return the components that several formats refer to, by name."""
    text: Schema = {"type": "string", "maxLength": limits.max_characters}
    return {
        "Text": {**text, "description": "Unicode text; a lone surrogate is refused."},
        "Texts": make_array(refer("Text"), minItems=1, maxItems=limits.max_texts),
        "TopK": {
            "type": ["integer", "null"],
            "minimum": 1,
            "description": "Only the so many most probable labels in scores.",
        },
        "Threshold": {
            "type": ["number", "null"],
            "minimum": 0,
            "maximum": 1,
            "default": 0,
            "description": "Only labels of at least this probability in scores.",
        },
        "Explain": {
            "type": ["boolean", "null"],
            "default": False,
            "description": "Add each token's contribution to the answer.",
        },
        "Coverage": COVERAGE,
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
