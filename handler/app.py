"""The HTTP app: FastAPI routes over the core. `create_app` takes the classifier as an argument."""

from __future__ import annotations

import json

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from handler.classifier import Classifier
from handler.core import answer_request, describe_model
from handler.errors import InvalidInput
from handler.settings import Settings


def create_app(classifier: Classifier, settings: Settings) -> FastAPI:
    """Return the app; routes are `async`, because a thread pool hop costs more than the model."""
    app = FastAPI(title="Minnow", description=f"Text classifier {classifier.manifest.name}")

    @app.exception_handler(InvalidInput)
    async def refuse(request: Request, error: InvalidInput) -> JSONResponse:
        problem = {
            "type": "about:blank",
            "title": "The request cannot be answered",
            "status": error.status,
            "detail": error.detail,
            "field": error.field,
            "limit": error.limit,
            "received": error.received,
        }
        return JSONResponse(problem, error.status, media_type="application/problem+json")

    @app.post("/predict")
    async def predict(request: Request) -> JSONResponse:
        body = await request.body()
        return JSONResponse(answer_request(classifier, parse_json(body), settings.limits))

    @app.get("/health")
    async def health() -> JSONResponse:
        return JSONResponse({"status": "ok", "model": describe_model(classifier)})

    return app


def parse_json(body: bytes) -> object:
    """Return the parsed body.

    Raises:
        InvalidInput: Not UTF-8, or not JSON; says at which byte or line, never what stands there.
    """
    try:
        return json.loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the body is not UTF-8 (byte {error.start})", status=400) from None
    except (json.JSONDecodeError, RecursionError) as error:
        where = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidInput(f"the body is not JSON{where}", status=400) from None
