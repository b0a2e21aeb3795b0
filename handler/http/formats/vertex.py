"""Vertex AI's container contract and TF Serving's REST API, which KServe's V1 protocol repeats.

`{"instances": ["text", {"text": "text"}], "parameters": {...}}` -> `{"predictions": [...]}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handler.errors import InvalidInput
from handler.http.messages import Request, Response, json_response, parse_json, require_json
from handler.inference.requests import name_type, read_options, read_parameters, shape_answer

if TYPE_CHECKING:
    from handler.http.service import Service


def predict(service: Service, request: Request) -> Response:
    require_json(request)
    document = parse_json(request.body)
    if not isinstance(document, dict):
        raise InvalidInput(f"the request is {name_type(document)}, wanted a JSON object")
    texts = read_instances(document.get("instances"))
    options = read_options(read_parameters(document), "parameters.")
    predictions = service.predict(request, texts)
    answer = shape_answer(service.classifier, texts, predictions, options, service.limits)
    return json_response({"predictions": answer["predictions"]})


def read_instances(instances: object) -> list[str]:
    """Return the texts of an `instances` list: strings, or objects of one field, `text`."""
    if not isinstance(instances, list):
        raise InvalidInput(
            f"instances is {name_type(instances)}, wanted an array", field="instances"
        )
    for index, instance in enumerate(instances):
        if isinstance(instance, dict) and list(instance) != ["text"]:
            field = f"instances[{index}]"
            raise InvalidInput(f'{field}: wanted a string or {{"text": string}}', field=field)
    return [instance["text"] if isinstance(instance, dict) else instance for instance in instances]


def model_status(service: Service, request: Request) -> Response:
    status = {"error_code": "OK", "error_message": ""}
    manifest = service.classifier.manifest
    versions = [{"version": manifest.version, "state": "AVAILABLE", "status": status}]
    # TF Serving's answer is the last field, KServe's V1 the first two.
    return json_response({"name": manifest.name, "ready": True, "model_version_status": versions})
