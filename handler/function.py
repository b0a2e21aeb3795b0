"""The Lambda entry point, `handler.function.handler`: tells events apart, nothing else."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from handler.errors import HandlerError, InternalError, name_failure
from handler.events.dispatch import answer_event
from handler.events.resources import Resources
from handler.hosts.snapshot import is_snapshot_start, register_hooks
from handler.inference.monitor import Monitor
from handler.repository.opening import open_models
from handler.settings import read_settings

if TYPE_CHECKING:
    from handler.http.lambda_http import LambdaHttp


IS_LAMBDA = "AWS_LAMBDA_RUNTIME_API" in os.environ


def write_line(line: str) -> None:
    """Write a line of the log: to standard output, where CloudWatch reads embedded metrics.

    Outside Lambda the reply goes there, and the log to standard error.
    """
    stream = sys.stdout if IS_LAMBDA else sys.stderr
    stream.write(line)
    stream.flush()


SETTINGS = read_settings()
MONITOR = Monitor(write_line, embeds_metrics=IS_LAMBDA, profile_every=SETTINGS.profile_every)
MODELS = open_models(SETTINGS, MONITOR)
RESOURCES = Resources(MODELS, SETTINGS.events)
_http: LambdaHttp | None = None


def handler(event: Any, context: Any) -> Any:
    """Return the reply to one invocation.

    What is raised goes into Lambda's log, and to the caller: so it is an error of ours, whose text
    never holds the input's, and no error hangs on it whose text might.

    Raises:
        HandlerError: An event that failed as a whole, or is of no known source.
    """
    try:
        return _answer(event, context)
    except HandlerError as error:
        failure = error
    except Exception as error:  # whose text may be the input's
        failure = InternalError(
            f"an error that nobody foresaw: {name_failure(error)}. The same event fails again "
            "unless something around it changes; please report it"
        )
    failure.__cause__ = failure.__context__ = None
    raise failure


def _answer(event: Any, context: Any) -> Any:
    if isinstance(event, dict) and "requestContext" in event:
        from handler.http.lambda_events import is_http_event

        if is_http_event(event):
            return _answer_http(event, context)
    return answer_event(event, context, RESOURCES)


def _answer_http(event: dict[str, Any], context: Any) -> Any:
    # Imported at the first HTTP event: other events never need it.
    global _http
    if _http is None:
        from handler.http.lambda_http import LambdaHttp

        _http = LambdaHttp(MODELS, SETTINGS)
    return _http.answer(event, context)


if is_snapshot_start():
    register_hooks(MODELS, handler)
