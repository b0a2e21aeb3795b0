"""The table of operations, collected from the wire formats, and finding the one that is asked for.

The ASGI app and the Lambda entry point both answer from this table, before FastAPI: a function's
first answer does not wait for its import.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType

from handler.errors import InvalidInput
from handler.http.formats import (
    hugging_face,
    inference_protocol,
    native,
    pages,
    repository,
    sagemaker,
    vertex,
)
from handler.http.messages import Refusal, Request, Response
from handler.http.operation import Operation
from handler.http.problems import native_error, protocol_error
from handler.inference.models import Model, Models, Pending
from handler.settings import HttpSettings

# In the order in which the OpenAPI document lists them.
FORMATS: tuple[ModuleType, ...] = (
    native,
    pages,
    hugging_face,
    sagemaker,
    inference_protocol,
    vertex,
)
OPERATIONS: tuple[Operation, ...] = tuple(
    operation for wire_format in FORMATS for operation in wire_format.OPERATIONS
)


class Router:
    """Finds operations by method and path, and the model that a path names.

    Args:
        settings: Vertex gives its containers routes of its own choice; they stand before the table.
        models: Those that `{name}` and `{version}` may name.
    """

    def __init__(self, settings: HttpSettings, models: Models) -> None:
        self._models = models
        self._exact: dict[str, dict[str, Operation]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Operation]]] = []
        rows = OPERATIONS
        if models.allows_control:
            rows += repository.OPERATIONS
        for path in dict.fromkeys(operation.path for operation in rows):
            methods = {row.method: row for row in rows if row.path == path}
            if "{" in path:
                pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/:]+)", re.escape(path))
                self._patterns.append((re.compile(pattern), methods))
            else:
                self._exact[path] = methods
        for operation in vertex_operations(settings):
            self.add(operation)

    def add(self, operation: Operation) -> None:
        """Answer by one operation more, of a path without parameters."""
        self._exact.setdefault(operation.path, {})[operation.method] = operation

    def find(self, request: Request) -> tuple[Operation, Model | Pending]:
        """Return the request's operation and the model that it asks.

        Raises:
            InvalidInput: 404, or 405 with the header Allow.
        """
        # What is asked for without a prediction, such as a description, is told of one version.
        drawn_by = request.exchange.request_id if request.method == "POST" else ""
        methods, model = self.find_path(request.path, drawn_by)
        if not methods or model is None:
            raise InvalidInput("no such path; GET /docs lists them all", status=404)
        operation = methods.get("GET" if request.method == "HEAD" else request.method)
        if operation is None:
            allowed = [*methods, "HEAD"] if "GET" in methods else list(methods)
            raise Refusal(405, f"this path answers {', '.join(allowed)}", allow=", ".join(allowed))
        return operation, model

    def find_path(
        self, path: str, request_id: str = ""
    ) -> tuple[Mapping[str, Operation], Model | Pending | None]:
        """Return a path's operations by method, and its model; none where it is not known.

        A slash at the end makes no other path: proxies and clients add one.
        """
        found = self._match(path, request_id)
        if not found[0] and path.endswith("/"):
            found = self._match(path.rstrip("/") or "/", request_id)
        return found

    def _match(
        self, path: str, request_id: str
    ) -> tuple[Mapping[str, Operation], Model | Pending | None]:
        methods = self._exact.get(path)
        if methods is not None:
            return methods, self._models.find(request_id=request_id)
        for pattern, methods in self._patterns:
            match = pattern.fullmatch(path)
            if match is not None:
                named = match.groupdict()
                model = (
                    self._models.default
                    if "any" in named
                    else self._models.find(**named, request_id=request_id)
                )
                return (methods, model) if model is not None else ({}, None)
        return {}, None


def vertex_operations(settings: HttpSettings) -> Iterator[Operation]:
    """Yield the operations at the paths that Vertex asked for in the environment."""
    if settings.health_route:
        yield native.HEALTH._replace(path=settings.health_route, tells_readiness=True)
    if settings.predict_route:
        yield vertex.PREDICT._replace(path=settings.predict_route)


def shape_unrouted(path: str) -> Callable[[InvalidInput], Response]:
    """Return how a refusal is written where no operation was found."""
    asks_hugging_face = path.startswith("/models/") and not path.rstrip("/").endswith("/invoke")
    is_protocol = asks_hugging_face or path.startswith(("/v1/", "/v2"))
    return protocol_error if is_protocol else native_error
