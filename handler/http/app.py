"""The ASGI app, for servers and containers: the table of operations, and FastAPI for the rest.

The table is answered by the `Service`, which the Lambda entry point calls directly: a server and a
function cannot answer differently. FastAPI takes what the table does not know: a route of your own,
added to this app, is answered by both and stands in `/openapi.json`.
"""

from __future__ import annotations

from typing import Any

import fastapi
from starlette.types import Receive, Scope, Send

from handler.http.messages import Response, dump_json
from handler.http.openapi import describe_api
from handler.http.operation import Operation
from handler.http.paths import strip_base
from handler.http.relay import Relay
from handler.http.service import Service


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
        self._document = b""
        self.router.default = self._refuse

    def drain(self) -> None:
        """End soon: readiness is refused from now on, and no answer keeps its connection."""
        self._service.is_draining = True
        self._relay.drain()

    def openapi(self) -> dict[str, Any]:
        """Return the API's document, made at the first call, which takes 10 ms."""
        if self.openapi_schema is None:
            self.openapi_schema = describe_api(self, self._service)
        return self.openapi_schema

    def encode_openapi(self) -> bytes:
        """Return the API's document as it is answered."""
        if not self._document:
            self._document = dump_json(self.openapi())
        return self._document

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
            lambda model, request: Response(200, app.encode_openapi()),
            is_open=True,
        )
    )
    return app
