"""The OpenAPI document: what FastAPI cannot know, because the table has no pydantic models.

Validation by hand in the core is quicker and answers better; here the same is written for readers.
Examples are not written but computed: the golden text, through the operation itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from handler.http.messages import JSON, Request, dump_json
from handler.http.operations import OPERATIONS, Operation
from handler.http.problems import PROBLEM_JSON, TITLES, native_error
from handler.http.schemas import make_schemas, refer
from handler.inference.requests import describe_model

if TYPE_CHECKING:
    from handler.http.service import Service

DESCRIPTION = """\
Labelled texts in, a classifier out: this service runs one model, and speaks the protocols that
clients of the field already have. Every refusal says what came, what was wanted, and which limit
was passed. No text is stored or logged."""
JSON_LINES = "application/jsonlines"


@dataclass(frozen=True)
class Note:
    """What the document says of one operation.

    Args:
        summary: One line.
        tag: The protocol's name.
        reads: Schema of the JSON body, for a POST.
        writes: Schema of the JSON answer; empty: text.
        kind: The text's media type.
    """

    summary: str
    tag: str
    writes: str = ""
    reads: str = ""
    kind: str = "text/plain"


NATIVE, HUGGING_FACE, SAGEMAKER = "Minnow", "Hugging Face", "SageMaker"
OIP, VERTEX = "Open Inference Protocol v2", "Vertex AI and TF Serving"
INFER = Note("Classify a BYTES tensor of texts", OIP, "InferAnswer", "InferRequest")
INSTANCES = Note("Classify instances", VERTEX, "VertexAnswer", "VertexRequest")
NOTES = {
    "predict": Note("Classify texts", NATIVE, "PredictAnswer", "PredictRequest"),
    "health": Note("Say that the process runs", NATIVE, "Health"),
    "model_card": Note("Describe the model and its limits", NATIVE, "ModelCard"),
    "metrics": Note("Counters for Prometheus; in a function they are in the log", NATIVE),
    "page": Note("Try the model in a browser", NATIVE, kind="text/html"),
    "hugging_face": Note(
        "Classify texts for huggingface_hub.InferenceClient",
        HUGGING_FACE,
        "HuggingFaceAnswer",
        "HuggingFaceRequest",
    ),
    "ping": Note("Say that the model is loaded", SAGEMAKER, "Ping"),
    "invocations": Note("Classify texts", SAGEMAKER, "PredictAnswer", "PredictRequest"),
    "oip_server": Note("Describe the server", OIP, "ServerMetadata"),
    "oip_live": Note("Say that the process runs", OIP, "Live"),
    "oip_ready": Note("Say that the golden text gets its known score", OIP, "Ready"),
    "oip_model": Note("Describe the model", OIP, "ModelMetadata"),
    "oip_version": Note("Describe the model", OIP, "ModelMetadata"),
    "oip_model_ready": Note("Say that the model is ready", OIP, "Ready"),
    "oip_version_ready": Note("Say that the model is ready", OIP, "Ready"),
    "oip_infer": INFER,
    "oip_version_infer": INFER,
    "vertex_model": Note("Say that the model is available", VERTEX, "VertexModel"),
    "vertex_version": Note("Say that the model is available", VERTEX, "VertexModel"),
    "vertex_predict": INSTANCES,
    "vertex_version_predict": INSTANCES,
}
SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}


def describe_api(app: FastAPI, service: Service) -> dict[str, Any]:
    """Return the whole document: the table's operations, and the routes added to the app."""
    model = describe_model(service.classifier)
    document = get_openapi(
        title=f"Minnow: {model['name']}",
        version=model["version"],
        description=DESCRIPTION,
        routes=app.routes,
        servers=[{"url": "./", "description": "Where this document is"}],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        if operation.name in NOTES:
            described = describe_operation(operation, service)
            paths.setdefault(operation.path, {})[operation.method.lower()] = described
    document["paths"] = paths | document["paths"]
    components = document.setdefault("components", {})
    labels = service.classifier.manifest.labels
    components["schemas"] = components.get("schemas", {}) | make_schemas(service.limits, labels)
    components["securitySchemes"] = components.get("securitySchemes", {}) | SECURITY
    return document


def describe_operation(operation: Operation, service: Service) -> dict[str, Any]:
    """Return one operation's part of the document."""
    note = NOTES[operation.name]
    part: dict[str, Any] = {
        "operationId": operation.name,
        "summary": note.summary,
        "tags": [note.tag],
        "parameters": _parameters(operation, service),
        "responses": {"200": _answer(operation, note, service), **_errors(operation)},
    }
    if note.reads:
        part["requestBody"] = {"required": True, "content": _request_content(operation, service)}
    if service.settings.http.api_keys and not operation.is_open:
        part["security"] = [{name: []} for name in SECURITY]
    return part


def _parameters(operation: Operation, service: Service) -> list[dict[str, Any]]:
    model = describe_model(service.classifier)
    in_path = [name for name in ("name", "version") if f"{{{name}}}" in operation.path]
    return [
        {"name": name, "in": "path", "required": True, "schema": {"enum": [model[name]]}}
        for name in in_path
    ]


def _request_content(operation: Operation, service: Service) -> dict[str, Any]:
    note = NOTES[operation.name]
    example = _make_example(note, service)
    content: dict[str, Any] = {JSON: {"schema": refer(note.reads), "example": example}}
    if operation.name == "invocations":
        golden = service.classifier.manifest.golden.text
        content[JSON_LINES] = {"example": json.dumps(golden)}
        content["text/csv"] = {"example": f'"{golden}"'}
        content["text/plain"] = {"example": golden}
    return content


def _make_example(note: Note, service: Service) -> dict[str, Any]:
    text = service.classifier.manifest.golden.text
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]}
    examples: dict[str, dict[str, Any]] = {
        "PredictRequest": {"text": text},
        "HuggingFaceRequest": {"inputs": text, "parameters": {"top_k": 1}},
        "VertexRequest": {"instances": [text]},
        "InferRequest": {"id": "1", "inputs": [tensor]},
    }
    return examples[note.reads]


def _answer(operation: Operation, note: Note, service: Service) -> dict[str, Any]:
    if not note.writes:
        return {
            "description": "The answer",
            "content": {note.kind: {"schema": {"type": "string"}}},
        }
    body = dump_json(_make_example(note, service)) if note.reads else b""
    answered = operation.answer(service, Request(operation.method, operation.path, {}, body))
    example = json.loads(answered.body)
    content: dict[str, Any] = {JSON: {"schema": refer(note.writes), "example": example}}
    if operation.name == "invocations":
        for kind in (JSON_LINES, "text/csv", "text/plain"):
            content[kind] = {"schema": {"type": "string"}}
    if note.writes == "InferAnswer":
        content["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
    return {"description": "The answer", "content": content}


def _errors(operation: Operation) -> dict[str, Any]:
    statuses = {500, 503, *(() if operation.is_open else (401, 429))}
    if operation.method == "POST":
        statuses |= {400, 408, 413, 415, 422}
    if operation.name == "invocations":
        statuses.add(406)
    if "{" in operation.path or operation.name == "metrics":
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
