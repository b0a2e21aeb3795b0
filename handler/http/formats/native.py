"""The native API: `POST /predict`, `GET /model`, `GET /health`, `GET /metrics`."""

from __future__ import annotations

from handler.http.messages import (
    Refusal,
    Request,
    Response,
    json_response,
    parse_json,
    require_json,
)
from handler.http.operation import Asking, Note, Operation, choose_named, predict
from handler.http.schemas import (
    COUNT,
    OPTIONS,
    STRING,
    Schema,
    make_array,
    make_nullable,
    make_object,
    refer,
)
from handler.inference.manifest import Card
from handler.inference.models import Model
from handler.inference.requests import name_texts, read_request
from handler.settings import Limits

TAG = "Minnow"
LIMIT_FIELDS = Limits._fields
CARD_FIELDS = Card._fields
VERSION: Schema = {"type": ["string", "integer", "null"], "description": "Or an alias."}


def classify(model: Model, request: Request) -> Asking:
    require_json(request)
    document = parse_json(request.body)
    choose_named(model, request, document)
    texts, options = read_request(document)
    predictions = yield from predict(model, request, texts, name_texts(document), options)
    return json_response(model.answer(texts, predictions, options))


def health(model: Model, request: Request) -> Response:
    return json_response({"status": "ok", "model": model.description})


def model_card(model: Model, request: Request) -> Response:
    """What the model is, what it scored, what it was trained on, and what a request may hold."""
    manifest = model.manifest
    return json_response(
        {
            "model": model.description,
            **model.describe_task(),
            "max_tokens": manifest.max_length,
            "precision": manifest.precision,
            "size_bytes": model.classifier.size_bytes,
            "limits": model.describe_limits(),
            "metrics": manifest.metrics,
            "provenance": manifest.provenance,
            "card": manifest.card._asdict(),
        }
    )


def metrics(model: Model, request: Request) -> Response:
    prometheus = model.monitor.prometheus
    if prometheus is None:
        raise Refusal(404, "metrics are in the log here: this function writes embedded metrics")
    return Response(200, prometheus.render(), "text/plain; version=0.0.4; charset=utf-8")


def make_schemas(model: Model) -> dict[str, Schema]:
    """Return the components by name."""
    options = OPTIONS | {"model": make_nullable(STRING), "version": VERSION}
    text, texts = make_nullable(refer("Text")), make_nullable(refer("Texts"))
    null = {"type": "null"}
    answer = {"model": refer("Model"), "predictions": make_array(refer("Prediction"))}
    return {
        "PredictRequest": {
            **make_object("", {"text": text, "texts": texts, **options}, closed=True),
            "oneOf": [
                make_object("text", {"text": refer("Text"), "texts": null}),
                make_object("texts", {"texts": refer("Texts"), "text": null}),
            ],
        },
        "PredictAnswer": make_object("model predictions", answer, closed=True),
        "Model": make_object("name version sha256", dict.fromkeys(model.description, STRING)),
        "Prediction": _prediction(model),
        "Contribution": make_object(
            "token start end contribution",
            {
                "token": STRING,
                "start": {**COUNT, "description": "In characters, text[start:end] is token."},
                "end": COUNT,
                "contribution": {"type": "number", "description": "Above 0 for the answer."},
            },
            closed=True,
        ),
        "Health": make_object(
            "status model", {"status": {"const": "ok"}, "model": refer("Model")}, closed=True
        ),
        **_card(model),
    }


def _prediction(model: Model) -> Schema:
    answer = model.task.describe_answer()
    return make_object(
        " ".join([*answer, "truncated", "known_tokens"]),
        {
            **answer,
            "truncated": {
                "type": "boolean",
                "description": "The text had more tokens than the model reads.",
            },
            "known_tokens": {
                **COUNT,
                "description": "0: the text says nothing to the model.",
            },
            "explanation": make_array(refer("Contribution")),
            "set": {
                **make_array(STRING),
                "description": "With coverage: the labels of which one is true so often.",
            },
        },
        closed=True,
    )


def _card(model: Model) -> dict[str, Schema]:
    described = model.describe_task()
    return {
        "ModelCard": make_object(
            " ".join(
                ["model", *described, "max_tokens precision size_bytes limits metrics provenance"]
            ),
            {
                "model": refer("Model"),
                **{name: {"const": value} for name, value in described.items()},
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
            {
                **dict.fromkeys(CARD_FIELDS, STRING),
                "known_failures": make_array(STRING),
                "examples": make_array(STRING),
            },
            closed=True,
        ),
        "Limits": make_object(
            " ".join(LIMIT_FIELDS), dict.fromkeys(LIMIT_FIELDS, COUNT), closed=True
        ),
    }


HEALTH = Operation(
    "GET",
    "/health",
    "health",
    health,
    Note("Say that the process runs", TAG, writes="Health"),
    is_open=True,
)
OPERATIONS = (
    Operation(
        "POST",
        "/predict",
        "predict",
        classify,
        Note(
            "Classify texts",
            TAG,
            writes="PredictAnswer",
            reads="PredictRequest",
            example=lambda text: {"text": text},
        ),
    ),
    HEALTH,
    Operation(
        "GET",
        "/model",
        "model_card",
        model_card,
        Note("Describe the model and its limits", TAG, writes="ModelCard"),
    ),
    Operation(
        "GET",
        "/metrics",
        "metrics",
        metrics,
        Note("Counters for Prometheus; in a function they are in the log", TAG, statuses=(404,)),
    ),
)
