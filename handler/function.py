"""The Lambda entry point, `handler.function.handler`: tells events apart, nothing else."""

from __future__ import annotations

from typing import Any

from handler.classifier import load_classifier
from handler.core import answer_request
from handler.settings import read_settings
from handler.snapshot import is_snapshot_start, register_hooks

KNOWN_EVENTS = "API Gateway (REST, HTTP API), Function URL, ALB, or a direct call with texts"

SETTINGS = read_settings()
CLASSIFIER = load_classifier(SETTINGS.bundle, SETTINGS.threads)
_http: Any = None


def handler(event: Any, context: Any) -> Any:
    """Return the reply to one invocation.

    Raises:
        InvalidInput: A direct call that cannot be scored.
        ValueError: An event of no known source.
    """
    if isinstance(event, dict) and "requestContext" in event:
        return _answer_http(event, context)
    if isinstance(event, dict) and ("text" in event or "texts" in event):
        return answer_request(CLASSIFIER, event, SETTINGS.limits)
    raise ValueError(f"unknown event; this function answers: {KNOWN_EVENTS}")


def _answer_http(event: dict[str, Any], context: Any) -> Any:
    # Imported at the first HTTP event: FastAPI is two thirds of a cold start, and other events
    # never need it.
    global _http
    if _http is None:
        from mangum import Mangum

        from handler.app import create_app

        # Mangum runs lifespan at every invocation.
        _http = Mangum(create_app(CLASSIFIER, SETTINGS), lifespan="off")
    return _http(event, context)


if is_snapshot_start():
    register_hooks(CLASSIFIER, handler)
