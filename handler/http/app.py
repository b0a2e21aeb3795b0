"""The ASGI app, for servers and containers: the table of operations, and FastAPI for the rest.

The table is answered by the `Service`, which the Lambda entry point calls directly: a server and a
function cannot answer differently. FastAPI takes what the table does not know: a route of your own,
added to this app, is answered by both and stands in `/openapi.json`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import fastapi
from starlette.types import Receive, Scope, Send

from handler.errors import InvalidInput
from handler.http import messages
from handler.http.compression import too_large
from handler.http.lambda_events import allows_binary
from handler.http.messages import Refusal, Response, json_response
from handler.http.openapi import describe_api
from handler.http.operation import Operation
from handler.http.paths import strip_base
from handler.http.service import Service

BODY_TIMEOUT_S = 30
# A client that still sends gets its answer only once it stops: read on for so much, unkept.
DISCARD_FACTOR = 4


class App(fastapi.FastAPI):
    """FastAPI behind the table of operations.

    The table goes first: FastAPI's middleware and routing cost a request a sixth of the model's
    time, and would find nothing to resolve or validate.
    """

    def __init__(self, service: Service) -> None:
        super().__init__(
            title="Minnow", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False
        )
        self._service = service
        self._relay = Relay(service)
        self.router.default = self._refuse

    def openapi(self) -> dict[str, Any]:
        """Return the API's document, made at the first call, which takes 10 ms."""
        if self.openapi_schema is None:
            self.openapi_schema = describe_api(self, self._service)
        return self.openapi_schema

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = self._strip_base(scope)
            if self._service.router.find_path(scope["path"])[0]:
                await self._relay(scope, receive, send)
                return
        await super().__call__(scope, receive, send)

    def _strip_base(self, scope: Scope) -> Scope:
        """Return the scope without what stands before the route: a mount's path, the base path."""
        path = strip_base(scope["path"], scope.get("root_path", ""))
        if "aws.event" not in scope:  # there it is stripped already
            path = strip_base(path, self._service.settings.http.base_path)
        return scope if path == scope["path"] else {**scope, "path": path, "root_path": ""}

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what no route knows as the service does."""
        if scope["type"] == "http":
            await self._relay(scope, receive, send)
        else:
            await self.router.not_found(scope, receive, send)


def create_app(service: Service) -> App:
    """Return the app; the document of its API is a row of the service's table from now on."""
    app = App(service)
    service.router.add(
        Operation(
            "GET",
            "/openapi.json",
            "openapi",
            lambda model, request: json_response(app.openapi()),
            is_open=True,
        )
    )
    return app


class Relay:
    """Turns ASGI's requests into the service's, and its responses back."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._num_open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, without a thread pool: the hop costs more than the model."""
        request = messages.Request(scope["method"], scope["path"], _read_headers(scope))
        if "aws.event" in scope:  # Mangum puts it there
            request.allows_binary = allows_binary(scope["aws.event"])
            request.trace_id = getattr(scope["aws.context"], "aws_request_id", "")
            request.body = (await receive())["body"]
        elif request.method == "POST":  # probes answer also while too many bodies are on their way
            self._num_open += 1
            try:
                request.body = await self._read_body(receive)
            except InvalidInput as error:
                request.body_error = error
            finally:
                self._num_open -= 1
        await _send(self._service.respond(request), send)

    async def _read_body(self, receive: Receive) -> bytes:
        if self._num_open > self._service.settings.http.max_concurrency:
            raise Refusal(503, "too many requests at a time", retry_after="1")
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                return await self._collect(receive)
        except TimeoutError:
            raise InvalidInput(
                f"the body did not arrive within {BODY_TIMEOUT_S} s", status=408
            ) from None

    async def _collect(self, receive: Receive) -> bytes:
        max_bytes = self._service.limits.max_body_bytes
        chunks: list[bytes] = []
        size = 0
        is_whole = False
        while not is_whole and size <= DISCARD_FACTOR * max_bytes:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise InvalidInput("the client left before the body ended", status=400)
            chunk = message.get("body", b"")
            is_whole = not message.get("more_body", False)
            size += len(chunk)
            if size <= max_bytes:
                chunks.append(chunk)
        if size > max_bytes:
            raise too_large(max_bytes, size)
        return b"".join(chunks)


def _read_headers(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def _send(response: Response, send: Send) -> None:
    headers = response.headers
    if response.content_type:
        headers["content-type"] = response.content_type
    if response.status != 204:
        headers["content-length"] = str(len(response.body))
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    start: dict[str, Any] = {"type": "http.response.start", "status": response.status}
    await send({**start, "headers": pairs})
    await send({"type": "http.response.body", "body": response.body})
