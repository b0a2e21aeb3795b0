"""The Lambda entry point, `handler.function.handler`: tells events apart, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handler.events import answer_event
from handler.events.resources import Service
from handler.hosts.snapshot import is_snapshot_start, register_hooks
from handler.inference.classifier import load_classifier
from handler.settings import read_settings

if TYPE_CHECKING:
    from handler.http.lambda_http import HttpLane

SETTINGS = read_settings()
CLASSIFIER = load_classifier(SETTINGS.bundle, SETTINGS.threads)
SERVICE = Service(CLASSIFIER, SETTINGS)
_http: HttpLane | None = None


def handler(event: Any, context: Any) -> Any:
    """Return the reply to one invocation.

    Raises:
        HandlerError: An event that failed as a whole, or is of no known source.
    """
    if isinstance(event, dict) and isinstance(event.get("requestContext"), dict):
        return _answer_http(event, context)
    return answer_event(event, context, SERVICE)


def _answer_http(event: dict[str, Any], context: Any) -> Any:
    # Imported at the first HTTP event: other events never need it.
    global _http
    if _http is None:
        from handler.http.lambda_http import HttpLane

        _http = HttpLane(CLASSIFIER, SETTINGS)
    return _http.answer(event, context)


if is_snapshot_start():
    register_hooks(CLASSIFIER, handler)
