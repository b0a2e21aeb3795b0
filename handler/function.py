"""The Lambda entry point, `handler.function.handler`: tells events apart, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handler.classifier import load_classifier
from handler.core import answer_request
from handler.settings import read_settings

if TYPE_CHECKING:
    from handler.http.lambda_http import HttpLane

KNOWN_EVENTS = "API Gateway (REST, HTTP API), Function URL, ALB, or a direct call with texts"

SETTINGS = read_settings()
CLASSIFIER = load_classifier(SETTINGS.bundle, SETTINGS.threads)
_http: HttpLane | None = None


def handler(event: Any, context: Any) -> Any:
    """Return the reply to one invocation.

    Raises:
        InvalidInput: A direct call that cannot be scored.
        ValueError: An event of no known source.
    """
    if isinstance(event, dict) and isinstance(event.get("requestContext"), dict):
        return _answer_http(event, context)
    if isinstance(event, dict) and ("text" in event or "texts" in event):
        return answer_request(CLASSIFIER, event, SETTINGS.limits)
    raise ValueError(f"unknown event; this function answers: {KNOWN_EVENTS}")


def _answer_http(event: dict[str, Any], context: Any) -> Any:
    # Imported at the first HTTP event: other events never need it.
    global _http
    if _http is None:
        from handler.http.lambda_http import HttpLane

        _http = HttpLane(CLASSIFIER, SETTINGS)
    return _http.answer(event, context)
