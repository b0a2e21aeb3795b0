"""The table of operations, and finding the one that a request asks for.

Both lanes answer from this table, the ASGI app and the Lambda entry point, before FastAPI: a
function's first answer does not wait for its import.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from handler.errors import InvalidInput
from handler.http.formats import (
    hugging_face,
    inference_protocol,
    native,
    pages,
    sagemaker,
    vertex,
)
from handler.http.messages import Refusal, Request, Response
from handler.http.problems import native_error, protocol_error
from handler.settings import HttpSettings

if TYPE_CHECKING:
    from handler.http.service import Service

Answer = Callable[["Service", Request], Response]


@dataclass(frozen=True)
class Operation:
    """One method of one path.

    Args:
        method: `GET` also answers HEAD.
        path: `{name}` and `{version}` must be the model's own, any other value is a 404.
        name: In the OpenAPI document, the logs and the metrics.
        answer: What computes the response; raises InvalidInput to refuse.
        shape_error: How this protocol writes a refusal.
        is_open: Answers without a key too: probes, and pages that hold no secret.
    """

    method: str
    path: str
    name: str
    answer: Answer
    shape_error: Callable[[InvalidInput], Response] = native_error
    is_open: bool = False


def _protocol(
    method: str, path: str, name: str, answer: Answer, is_open: bool = False
) -> Operation:
    return Operation(method, path, name, answer, protocol_error, is_open)


MODEL_V1 = "/v1/models/{name}"
MODEL_V2 = "/v2/models/{name}"
VERSION_V1 = MODEL_V1 + "/versions/{version}"
VERSION_V2 = MODEL_V2 + "/versions/{version}"

VERTEX_PREDICT = _protocol("POST", MODEL_V1 + ":predict", "vertex_predict", vertex.predict)
OPERATIONS = (
    Operation("POST", "/predict", "predict", native.predict),
    Operation("GET", "/health", "health", native.health, is_open=True),
    Operation("GET", "/model", "model_card", native.model_card),
    Operation("GET", "/metrics", "metrics", native.metrics),
    Operation("GET", "/", "page", pages.page, is_open=True),
    Operation("GET", "/docs", "docs", pages.docs, is_open=True),
    Operation("GET", pages.SCRIPT, "docs_script", pages.docs_script, is_open=True),
    Operation("GET", pages.STYLE, "docs_style", pages.docs_style, is_open=True),
    _protocol("POST", "/", "hugging_face", hugging_face.classify),
    Operation("GET", "/ping", "ping", sagemaker.ping, is_open=True),
    Operation("POST", "/invocations", "invocations", sagemaker.invoke),
    _protocol("GET", "/v2", "oip_server", inference_protocol.server_metadata),
    _protocol("GET", "/v2/health/live", "oip_live", inference_protocol.live, is_open=True),
    _protocol("GET", "/v2/health/ready", "oip_ready", inference_protocol.ready, is_open=True),
    _protocol("GET", MODEL_V2, "oip_model", inference_protocol.model_metadata),
    _protocol("GET", VERSION_V2, "oip_version", inference_protocol.model_metadata),
    _protocol("GET", MODEL_V2 + "/ready", "oip_model_ready", inference_protocol.model_ready),
    _protocol("GET", VERSION_V2 + "/ready", "oip_version_ready", inference_protocol.model_ready),
    _protocol("POST", MODEL_V2 + "/infer", "oip_infer", inference_protocol.infer),
    _protocol("POST", VERSION_V2 + "/infer", "oip_version_infer", inference_protocol.infer),
    _protocol("GET", MODEL_V1, "vertex_model", vertex.model_status),
    _protocol("GET", VERSION_V1, "vertex_version", vertex.model_status),
    VERTEX_PREDICT,
    _protocol("POST", VERSION_V1 + ":predict", "vertex_version_predict", vertex.predict),
)


class Router:
    """Finds operations by method and path.

    Args:
        settings: Vertex gives its containers routes of its own choice; they stand before the table.
        model: The values that `{name}` and `{version}` may have.
    """

    def __init__(self, settings: HttpSettings, model: Mapping[str, str]) -> None:
        self._model = model
        self._exact: dict[str, dict[str, Operation]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Operation]]] = []
        for path in dict.fromkeys(operation.path for operation in OPERATIONS):
            methods = {row.method: row for row in OPERATIONS if row.path == path}
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

    def find(self, request: Request) -> Operation:
        """Return the request's operation.

        Raises:
            InvalidInput: 404, or 405 with the header Allow.
        """
        methods = self.find_path(request.path)
        if not methods:
            raise InvalidInput("no such path; GET /docs lists them all", status=404)
        operation = methods.get("GET" if request.method == "HEAD" else request.method)
        if operation is None:
            allowed = [*methods, "HEAD"] if "GET" in methods else list(methods)
            raise Refusal(405, f"this path answers {', '.join(allowed)}", allow=", ".join(allowed))
        return operation

    def find_path(self, path: str) -> Mapping[str, Operation]:
        """Return the operations of a path by method, none where the path is not known."""
        methods = self._exact.get(path)
        if methods is not None:
            return methods
        for pattern, methods in self._patterns:
            match = pattern.fullmatch(path)
            if match is not None:
                asked = match.groupdict()
                is_ours = all(self._model[key] == value for key, value in asked.items())
                return methods if is_ours else {}
        return {}


def vertex_operations(settings: HttpSettings) -> Iterator[Operation]:
    """Yield the operations at the paths that Vertex asked for in the environment."""
    if settings.health_route:
        yield Operation("GET", settings.health_route, "health", native.health, is_open=True)
    if settings.predict_route:
        yield replace(VERTEX_PREDICT, path=settings.predict_route)


def shape_unrouted(path: str) -> Callable[[InvalidInput], Response]:
    """Return how a refusal is written where no operation was found."""
    return protocol_error if path.startswith(("/v1/", "/v2")) else native_error
