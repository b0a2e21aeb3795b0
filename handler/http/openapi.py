"""The OpenAPI document: what FastAPI cannot know, because the table has no pydantic models.

Validation by hand is quicker and answers better; here the same is written for readers.
Examples are not written but computed: the golden text, through the operation itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from handler.http.messages import JSON, Request, dump_json
from handler.http.operation import Note, Operation, answer_alone
from handler.http.operations import FORMATS, OPERATIONS
from handler.http.problems import PROBLEM_JSON, TITLES, native_error
from handler.http.schemas import STRING, Schema, make_shared_schemas, refer
from handler.http.service import Service
from handler.inference.models import Model, Models

DESCRIPTION = """\
Labelled texts in, a classifier out: this service runs it, and speaks the protocols that clients of
the field already have. Every refusal says what came, what was wanted, and which limit
was passed. No text is stored or logged."""
SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}


def describe_api(app: FastAPI, service: Service) -> dict[str, Any]:
    """Return the whole document: the table's operations, and the routes added to the app."""
    model = service.models.default
    document = get_openapi(
        title=f"Minnow: {model.name}",
        version=model.version,
        description=DESCRIPTION,
        routes=app.routes,
        servers=[{"url": "./", "description": "Where this document is"}],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    has_keys = bool(service.settings.http.api_keys)
    paths: dict[str, dict[str, Any]] = {}
    for operation in (*OPERATIONS, *([service.feedback] if service.feedback else [])):
        if operation.note is not None:
            described = describe_operation(operation, operation.note, service.models)
            if has_keys and not operation.is_open:
                described["security"] = [{name: []} for name in SECURITY]
            paths.setdefault(operation.path, {})[operation.method.lower()] = described
    document["paths"] = paths | document["paths"]
    components = document.setdefault("components", {})
    schemas = components.get("schemas", {}) | make_shared_schemas(service.limits)
    for wire_format in FORMATS:
        schemas |= _join_schemas([wire_format.make_schemas(one) for one in service.models])
    if service.feedback is not None:
        from handler.http.formats import feedback

        most = service.limits.max_texts
        schemas |= _join_schemas([feedback.make_schemas(one, most) for one in service.models])
    components["schemas"] = schemas
    components["securitySchemes"] = components.get("securitySchemes", {}) | SECURITY
    return document


def describe_operation(operation: Operation, note: Note, models: Models) -> dict[str, Any]:
    """Return one operation's part of the document."""
    part: dict[str, Any] = {
        "operationId": operation.name,
        "summary": note.summary,
        "tags": [note.tag],
        "parameters": _parameters(operation, models),
        "responses": {
            str(note.status): _answer(operation, note, models.default),
            **_errors(operation, note),
        },
    }
    if note.reads:
        part["requestBody"] = {"required": True, "content": _request_content(note, models.default)}
    return part


def _join_schemas(of_models: Sequence[Mapping[str, Schema]]) -> dict[str, Schema]:
    """Return the components by name; where models differ, in their labels, any of theirs."""
    joined: dict[str, Schema] = {}
    for name in of_models[0]:
        schemas = [schemas[name] for schemas in of_models]
        different = [one for index, one in enumerate(schemas) if one not in schemas[:index]]
        joined[name] = {"anyOf": different} if len(different) > 1 else different[0]
    return joined


def _parameters(operation: Operation, models: Models) -> list[dict[str, Any]]:
    in_path = [name for name in ("name", "version") if f"{{{name}}}" in operation.path]
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": STRING
            if models.is_stored
            else {"enum": list(dict.fromkeys(one.description[name] for one in models))},
        }
        for name in in_path
    ]


def _request_content(note: Note, model: Model) -> dict[str, Any]:
    golden = model.manifest.golden.text
    content: dict[str, Any] = {JSON: {"schema": refer(note.reads), "example": note.example(golden)}}
    for kind, make_example in note.more_reads.items():
        content[kind] = {"example": make_example(golden)}
    return content


def _answer(operation: Operation, note: Note, model: Model) -> dict[str, Any]:
    if not note.writes:
        return {
            "description": "The answer",
            "content": {note.kind: {"schema": {"type": "string"}}},
        }
    example = note.answers
    if example is None:
        body = dump_json(note.example(model.manifest.golden.text)) if note.reads else b""
        request = Request(operation.method, operation.path, {}, body)
        example = json.loads(answer_alone(operation.answer, model, request).body)
    content: dict[str, Any] = {JSON: {"schema": refer(note.writes), "example": example}}
    content |= {kind: {"schema": schema} for kind, schema in note.more_writes.items()}
    return {"description": "The answer", "content": content}


def _errors(operation: Operation, note: Note) -> dict[str, Any]:
    statuses = {500, 503, *note.statuses, *(() if operation.is_open else (401, 429))}
    if operation.method == "POST":
        statuses |= {400, 408, 413, 415, 422}
    if "{" in operation.path:
        statuses.add(404)
    is_native = operation.shape_error is native_error
    kind, schema = (PROBLEM_JSON, "Problem") if is_native else (JSON, "Error")
    return {
        str(status): {
            "description": TITLES[status],
            "content": {kind: {"schema": refer(schema)}},
        }
        for status in sorted(statuses)
    }
