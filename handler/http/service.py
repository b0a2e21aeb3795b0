"""The service: one request in, one response out, with everything that all operations share."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from handler.errors import InvalidInput
from handler.http.auth import RateLimit, find_caller
from handler.http.compression import check_length, deflate_response, inflate_body
from handler.http.messages import Refusal, Request, Response, require_utf8
from handler.http.operation import Operation
from handler.http.operations import Router, shape_unrouted
from handler.http.work import Work, predict_together, refuse
from handler.inference.exchange import Exchange
from handler.inference.models import Model, Models, Pending
from handler.settings import Settings

if TYPE_CHECKING:
    from handler.repository.shadow import ShadowRunner

# A client's id is repeated in a header and in the log: only what can break neither.
REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
METHODS = ("GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "QUERY")
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # Of no-cors requests alone, such as <script src>: an allowed origin's fetch reads as before.
    "cross-origin-resource-policy": "same-origin",
}
CORS_HEADERS = {
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": "authorization, content-type, traceparent, x-api-key, "
    "x-request-id",
    "access-control-max-age": "600",
}


class Service:
    """Answers requests by the models; stateless but for counters, one per process.

    Args:
        models: Loaded and checked.
        settings: Limits, keys, CORS.

    Attributes:
        is_draining: The process ends soon: readiness is refused.
        feedback: The operation that takes feedback; None: it is not taken.
    """

    def __init__(self, models: Models, settings: Settings) -> None:
        self.models = models
        self.settings = settings
        self.limits = settings.limits
        self.is_draining = False
        self.router = Router(settings.http, models)
        self.feedback: Operation | None = None
        if settings.events.feedback is not None:
            from handler.http.formats.feedback import make_operation

            self.feedback = make_operation(settings.events.feedback, models, self.limits.max_texts)
            self.router.add(self.feedback)
        self._rate_limit = RateLimit(settings.http.rate_limit) if settings.http.rate_limit else None
        if not settings.http.api_keys:
            models.monitor.log(
                {
                    "level": "warning",
                    "message": "no MINNOW_API_KEYS: whoever reaches this service may use it; the "
                    "platform in front must say who that is",
                }
            )

    def respond(self, request: Request) -> Response:
        """Return the answer to a request that is there whole, whatever it is."""
        admitted = self.admit(request)
        if isinstance(admitted, Response):
            response = admitted
        else:
            response = self.answer(request, *admitted)
        self.observe(request, response)
        return response

    def admit(self, request: Request) -> Response | tuple[Operation, Model | Pending]:
        """Return what a request asks for, or the refusal that its head alone brings: no such path,
        no key, a body that is too large. The body need not be there yet."""
        started = time.perf_counter()
        exchange = request.exchange
        exchange.request_id = self._choose_id(request)
        if "traceparent" in request.headers:
            _read_trace(exchange, request.headers["traceparent"])
        exchange.model = self.models.default.name
        exchange.method = request.method if request.method in METHODS else "OTHER"
        shape_error = shape_unrouted(request.path)
        try:
            response = self._answer_preflight(request)
            if response is None:
                operation, model = self.router.find(request)
                exchange.operation, exchange.model = operation.name, model.name
                shape_error = operation.shape_error
                self._check_head(request, operation)
                exchange.latency_ms = (time.perf_counter() - started) * 1000
                return operation, model
        except InvalidInput as error:
            response = refuse(request, error, shape_error)
        return self._finish(request, response, started)

    def answer(self, request: Request, operation: Operation, model: Model | Pending) -> Response:
        """Return the answer to a request that was admitted; may run in another thread, and wait
        for a model that is not at hand."""
        work = Work(request, operation, model)
        work.begin(self._read)
        return self.answer_fetched(work)

    def answer_fetched(self, work: Work) -> Response:
        """Return the answer to a request at work; may wait for a model that is not at hand."""
        work.fetch()
        return self._finish(work.request, work.finish(), work.started)

    def try_answer(
        self, request: Request, operation: Operation, model: Model | Pending
    ) -> Response | Work:
        """Return the answer to a request, or its work where it must wait for a model."""
        (answered,) = self.answer_together([(request, operation, model)])
        return answered

    def answer_together(
        self, admitted: Sequence[tuple[Request, Operation, Model | Pending]]
    ) -> list[Response | Work]:
        """Return the answer to each request, or its work where it must wait for a model; the texts
        of all are predicted in one run."""
        works = [Work(*each) for each in admitted]
        for work in works:
            work.begin(self._read)
        predict_together(works)
        return [
            self._finish(work.request, work.finish(), work.started)
            if work.pending is None
            else work
            for work in works
        ]

    def refuse(self, request: Request, error: InvalidInput, operation: Operation) -> Response:
        """Return the refusal of a request that was admitted and cannot be answered now."""
        refusal = refuse(request, error, operation.shape_error)
        return self._finish(request, refusal, time.perf_counter())

    def _read(self, request: Request, operation: Operation) -> None:
        if operation.method == "POST":
            if request.body_error is not None:
                raise request.body_error
            inflate_body(request, self.limits.max_body_bytes)
        if operation.asks_all:
            for model in self.models:
                operation.answer(model, request)

    def observe(self, request: Request, response: Response) -> None:
        """Count an answer and log it; always in the same thread."""
        request.exchange.status = response.status
        self.models.monitor.observe(request.exchange)

    @cached_property
    def shadow(self) -> ShadowRunner:
        """What runs shadows in this process."""
        from handler.repository.shadow import ShadowRunner  # only where there is one

        return ShadowRunner(self.models.monitor)

    def run_shadow(self, request: Request) -> None:
        """Let a shadow run what was answered, in a thread; to be called once the answer is out."""
        if request.answered is not None and not self.is_draining:
            self.shadow.submit(request.exchange.request_id, request.answered)

    def _check_head(self, request: Request, operation: Operation) -> None:
        if self.is_draining and operation.tells_readiness:
            raise Refusal(503, "the process was told to end", retry_after="1")
        if not operation.is_open:
            if self.settings.http.api_keys:
                request.exchange.caller = find_caller(request.headers, self.settings.http.api_keys)
            if self._rate_limit is not None:
                self._rate_limit.check(request.exchange.caller)
        if operation.method == "POST":
            require_utf8(request)
            check_length(request, self.limits.max_body_bytes)

    def _answer_preflight(self, request: Request) -> Response | None:
        headers = request.headers
        if request.method != "OPTIONS" or "access-control-request-method" not in headers:
            return None
        if not self._allowed_origin(request) or not self.router.find_path(request.path)[0]:
            return None
        return Response(204, b"", "", dict(CORS_HEADERS))

    def _allowed_origin(self, request: Request) -> str:
        origins = self.settings.http.cors_origins
        origin = request.headers.get("origin", "")
        if "*" in origins and origin:
            return "*"
        return origin if origin in origins else ""

    def _finish(self, request: Request, response: Response, started: float) -> Response:
        headers = response.headers
        exchange = request.exchange
        if response.status < 400:  # the time of a refusal could tell how near a key was
            passed_ms = exchange.latency_ms + (time.perf_counter() - started) * 1000
            headers["server-timing"] = f"total;dur={passed_ms:.2f}"
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        headers["x-request-id"] = exchange.request_id
        deflate_response(request, response)
        if self.settings.http.cors_origins:
            headers["vary"] = ", ".join(filter(None, [headers.get("vary"), "origin"]))
            origin = self._allowed_origin(request)
            if origin:
                headers["access-control-allow-origin"] = origin
                headers["access-control-expose-headers"] = "server-timing, x-request-id"
        if request.method == "HEAD":
            response.body = b""
        exchange.latency_ms += (time.perf_counter() - started) * 1000
        return response

    def _choose_id(self, request: Request) -> str:
        given = request.headers.get("x-request-id", "")
        return given if REQUEST_ID.fullmatch(given) else request.trace_id or str(uuid.uuid4())


def _read_trace(exchange: Exchange, header: str) -> None:
    from handler.traces import find_trace_id, read_traceparent  # not for callers without a trace

    exchange.traceparent = read_traceparent(header)
    exchange.trace_id = find_trace_id(exchange.traceparent)
