"""The ASGI app: FastAPI over the table of operations, for servers, containers and `/openapi.json`.

Every route hands its request to the `Service`, which the Lambda entry point calls directly: the
two lanes cannot answer differently. A route of your own added to this app works in both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import fastapi
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from handler.errors import InvalidInput
from handler.http import messages
from handler.http.compression import too_large
from handler.http.lambda_http import allows_binary
from handler.http.messages import Refusal, json_response
from handler.http.openapi import NOTES, describe_api, describe_operation
from handler.http.operations import OPERATIONS, Operation, vertex_routes
from handler.http.service import Service

BODY_TIMEOUT_S = 30
# A client that still sends gets its answer only once it stops: read on for so much, unkept.
DISCARD_FACTOR = 4
Endpoint = Callable[[fastapi.Request], Awaitable[fastapi.Response]]


class PlainRoute(APIRoute):
    """A route whose endpoint takes the request itself.

    There is nothing for FastAPI to resolve or validate, and not looking for it saves a quarter of
    what Mangum and FastAPI add to a request.
    """

    def get_route_handler(self) -> Callable[[fastapi.Request], Coroutine[Any, Any, Any]]:
        handler: Callable[[fastapi.Request], Coroutine[Any, Any, Any]] = self.endpoint
        return handler


def create_app(service: Service) -> fastapi.FastAPI:
    """Return the app; routes are `async`, because a thread pool hop costs more than the model."""
    app = fastapi.FastAPI(
        title="Minnow", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    routes = app.router.routes  # not by a router of our own: FastAPI would route twice
    relay = Relay(service)
    for operation in OPERATIONS:
        routes.append(
            PlainRoute(
                operation.path,
                relay.make_endpoint(),
                methods=[operation.method],
                operation_id=operation.name,
                openapi_extra=describe_operation(operation, service),
                response_class=fastapi.Response,
                include_in_schema=operation.name in NOTES,
            )
        )
    for path, operation in vertex_routes(service.settings.http):
        endpoint = relay.make_endpoint()
        routes.append(
            PlainRoute(path, endpoint, methods=[operation.method], include_in_schema=False)
        )
    document = Operation(
        "GET",
        "/openapi.json",
        "openapi",
        lambda service, request: json_response(describe_api(app, service)),
        is_open=True,
    )
    endpoint = relay.make_endpoint(document)
    routes.append(PlainRoute(document.path, endpoint, include_in_schema=False))
    # Unknown paths and methods: the service refuses them, as it does in the other lane.
    for status in (404, 405):
        app.add_exception_handler(status, relay.answer_unrouted)
    return app


class Relay:
    """Turns ASGI's requests into the service's, and its responses back."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._num_open = 0

    def make_endpoint(self, operation: Operation | None = None) -> Endpoint:
        async def endpoint(request: fastapi.Request) -> fastapi.Response:
            return await self._answer(request, operation)

        return endpoint

    async def answer_unrouted(self, request: fastapi.Request, error: Exception) -> fastapi.Response:
        return await self._answer(request)

    async def _answer(
        self, asked: fastapi.Request, operation: Operation | None = None
    ) -> fastapi.Response:
        request = messages.Request(asked.method, asked.scope["path"], _read_headers(asked))
        if "aws.event" in asked.scope:  # Mangum puts it there
            request.allows_binary = allows_binary(asked.scope["aws.event"])
            request.trace_id = getattr(asked.scope["aws.context"], "aws_request_id", "")
        if asked.method == "POST":  # probes answer also while too many bodies are on their way
            self._num_open += 1
            try:
                request.body = await self._read_body(asked)
            except InvalidInput as error:
                request.body_error = error
            finally:
                self._num_open -= 1
        response = self._service.respond(request, operation)
        headers = response.headers
        if response.content_type:
            headers["content-type"] = response.content_type
        return fastapi.Response(response.body, response.status, headers)

    async def _read_body(self, asked: fastapi.Request) -> bytes:
        if self._num_open > self._service.settings.http.max_concurrency:
            raise Refusal(503, "too many requests at a time", retry_after="1")
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                return await self._collect(asked)
        except TimeoutError:
            raise InvalidInput(
                f"the body did not arrive within {BODY_TIMEOUT_S} s", status=408
            ) from None
        except ClientDisconnect:
            raise InvalidInput("the client left before the body ended", status=400) from None

    async def _collect(self, asked: fastapi.Request) -> bytes:
        max_bytes = self._service.limits.max_body_bytes
        chunks: list[bytes] = []
        size = 0
        async for chunk in asked.stream():
            size += len(chunk)
            if size <= max_bytes:
                chunks.append(chunk)
            elif size > DISCARD_FACTOR * max_bytes:
                break
        if size > max_bytes:
            raise too_large(max_bytes, size)
        return b"".join(chunks)


def _read_headers(asked: fastapi.Request) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in asked.scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
