"""The native API: `POST /predict`, `GET /model`, `GET /health`, `GET /metrics`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from handler.http.messages import (
    Refusal,
    Request,
    Response,
    json_response,
    parse_json,
    require_json,
)
from handler.inference.requests import describe_model, read_request, shape_answer

if TYPE_CHECKING:
    from handler.http.service import Service


def predict(service: Service, request: Request) -> Response:
    require_json(request)
    texts, options = read_request(parse_json(request.body))
    predictions = service.predict(request, texts)
    return json_response(
        shape_answer(service.classifier, texts, predictions, options, service.limits)
    )


def health(service: Service, request: Request) -> Response:
    return json_response({"status": "ok", "model": describe_model(service.classifier)})


def model_card(service: Service, request: Request) -> Response:
    """What the model is, what it scored, what it was trained on, and what a request may hold."""
    manifest = service.classifier.manifest
    return json_response(
        {
            "model": describe_model(service.classifier),
            "labels": manifest.labels,
            "max_tokens": manifest.max_length,
            "precision": manifest.precision,
            "size_bytes": service.classifier.size_bytes,
            "limits": service.describe_limits(),
            "metrics": manifest.metrics,
            "provenance": manifest.provenance,
            "card": dataclasses.asdict(manifest.card),
        }
    )


def metrics(service: Service, request: Request) -> Response:
    if service.prometheus is None:
        raise Refusal(404, "metrics are in the log here: this function writes embedded metrics")
    return Response(200, service.prometheus.render(), "text/plain; version=0.0.4; charset=utf-8")
