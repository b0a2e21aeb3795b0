"""The service: one request in, one response out, with everything that all operations share."""

from __future__ import annotations

import dataclasses
import re
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Sequence

from handler.errors import InvalidInput
from handler.http.auth import RateLimit, find_caller
from handler.http.compression import deflate_response, inflate_body
from handler.http.messages import Request, Response
from handler.http.operations import Operation, Router, shape_unrouted
from handler.inference.classifier import Classifier, Prediction
from handler.inference.monitor import Exchange, Prometheus, Write, embedded_metrics, log_line
from handler.inference.requests import describe_model, predict_texts
from handler.settings import Settings

# A client's id is repeated in a header and in the log: only what can break neither.
REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
METHODS = ("GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "QUERY")
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
CORS_HEADERS = {
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": "authorization, content-type, x-api-key, x-request-id",
    "access-control-max-age": "600",
}


class Service:
    """Stateless but for counters; one per process.

    Args:
        classifier: Loaded and checked.
        settings: Limits, keys, CORS.
        prometheus: Where `/metrics` is served; None: the log lines are the metrics.
        write: Takes the log, a line at a time.
    """

    def __init__(
        self,
        classifier: Classifier,
        settings: Settings,
        prometheus: Prometheus | None = None,
        write: Write | None = None,
    ) -> None:
        self.classifier = classifier
        self.settings = settings
        self.limits = settings.limits
        self.prometheus = prometheus
        model = describe_model(classifier)
        self.version = model["version"]
        self.router = Router(settings.http, model)
        self._rate_limit = RateLimit(settings.http.rate_limit) if settings.http.rate_limit else None
        self._write = write or sys.stderr.write
        self._sinks: list[Callable[[Exchange], None]] = (
            [embedded_metrics(self._write, model["name"])]
            if prometheus is None
            else [prometheus, log_line(self._write)]
        )
        if not settings.http.api_keys:
            self._write(
                '{"level":"warning","message":"no MINNOW_API_KEYS: whoever reaches this service '
                'may use it; the platform in front must say who that is"}\n'
            )

    def respond(self, request: Request) -> Response:
        """Return the answer, whatever the request is."""
        started = time.perf_counter()
        exchange = Exchange(
            request_id=self._choose_id(request),
            operation="none",
            method=request.method if request.method in METHODS else "OTHER",
            status=0,
            latency_ms=0.0,
            caller="",
            predictions=request.predictions,
        )
        shape_error = shape_unrouted(request.path)
        try:
            preflight = self._answer_preflight(request)
            if preflight is not None:
                response = preflight
            else:
                operation = self.router.find(request)
                exchange.operation = operation.name
                shape_error = operation.shape_error
                response = self._answer(request, operation, exchange)
        except InvalidInput as error:
            response = shape_error(error)
            response.headers.update(getattr(error, "headers", {}))
            exchange.problem = error.detail
        except Exception as error:
            # The exception's own text may quote the request: its type and its place do not.
            place = traceback.extract_tb(error.__traceback__)[-1]
            exchange.problem = f"{type(error).__name__} at {place.name}:{place.lineno}"
            response = shape_error(InvalidInput("see the log, by x-request-id", status=500))
        self._finish(request, response, exchange.request_id)
        exchange.status = response.status
        exchange.latency_ms = (time.perf_counter() - started) * 1000
        for sink in self._sinks:
            sink(exchange)
        return response

    def predict(self, request: Request, texts: Sequence[str]) -> list[Prediction]:
        """Return the predictions, limits checked; they are counted as this request's."""
        predictions = predict_texts(self.classifier, texts, self.limits)
        request.predictions.extend(predictions)
        return predictions

    def describe_limits(self) -> dict[str, int]:
        return dataclasses.asdict(self.limits)

    def _answer(self, request: Request, operation: Operation, exchange: Exchange) -> Response:
        if not operation.is_open:
            if self.settings.http.api_keys:
                exchange.caller = find_caller(request.headers, self.settings.http.api_keys)
            if self._rate_limit is not None:
                self._rate_limit.check(exchange.caller)
        if operation.method == "POST":
            if request.body_error is not None:
                raise request.body_error
            inflate_body(request, self.limits.max_body_bytes)
        return operation.answer(self, request)

    def _answer_preflight(self, request: Request) -> Response | None:
        headers = request.headers
        if request.method != "OPTIONS" or "access-control-request-method" not in headers:
            return None
        if not self._allowed_origin(request) or not self.router.find_path(request.path):
            return None
        return Response(204, b"", "", dict(CORS_HEADERS))

    def _allowed_origin(self, request: Request) -> str:
        origins = self.settings.http.cors_origins
        origin = request.headers.get("origin", "")
        if "*" in origins and origin:
            return "*"
        return origin if origin in origins else ""

    def _finish(self, request: Request, response: Response, request_id: str) -> None:
        headers = response.headers
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        headers["x-request-id"] = request_id
        deflate_response(request, response)
        if self.settings.http.cors_origins:
            headers["vary"] = ", ".join(filter(None, [headers.get("vary"), "origin"]))
            origin = self._allowed_origin(request)
            if origin:
                headers["access-control-allow-origin"] = origin
                headers["access-control-expose-headers"] = "x-request-id"
        if request.method == "HEAD":
            response.body = b""

    def _choose_id(self, request: Request) -> str:
        given = request.headers.get("x-request-id", "")
        return given if REQUEST_ID.fullmatch(given) else request.trace_id or str(uuid.uuid4())
