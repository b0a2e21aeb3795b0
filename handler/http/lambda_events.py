"""The shape of Lambda's HTTP events: API Gateway v1 (REST) and v2 (HTTP API), Function URL, ALB."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from handler.errors import InvalidInput
from handler.http.messages import TEXT_TYPES, Request, Response
from handler.http.problems import native_error

# Lambda refuses a reply over 6 MB and the caller gets a bare 502: better a reason.
MAX_REPLY_BYTES = 6_000_000


def read_event(event: Mapping[str, Any], context: Any = None) -> Request:
    """Return the request in an event; a body that cannot be decoded is in `body_error`."""
    asked = event["requestContext"]
    if is_v2(event):
        method = asked["http"]["method"]
        path = strip_stage(event.get("rawPath") or "/", asked.get("stage", ""))
    else:
        method = event["httpMethod"]
        path = event.get("path") or "/"
    request = Request(
        method=method,
        path=unquote(path),
        headers=_read_headers(event),
        trace_id=getattr(context, "aws_request_id", ""),
        allows_binary=allows_binary(event),
    )
    try:
        request.body = _read_body(event)
    except (binascii.Error, UnicodeError):
        request.body_error = InvalidInput("the event's body is not base64", status=400)
    return request


def is_http_event(event: Mapping[str, Any]) -> bool:
    """Say whether an event is an HTTP request, by its shape.

    `requestContext` alone is none: WebSockets, Lambda's destinations and VPC Lattice have it too,
    and what API Gateway asks an authorizer looks like a request but for its ARN.
    """
    asked = event.get("requestContext")
    if not isinstance(asked, dict) or event.get("methodArn") or event.get("routeArn"):
        return False
    if is_v2(event):
        http = asked.get("http")
        return isinstance(http, dict) and isinstance(http.get("method"), str)
    return isinstance(event.get("httpMethod"), str)


def is_v2(event: Mapping[str, Any]) -> bool:
    """Say whether the event has payload format 2.0: an HTTP API or a Function URL."""
    return event.get("version") == "2.0"


def allows_binary(event: Mapping[str, Any]) -> bool:
    """Say whether a reply in base64 is decoded on its way: not by a REST API as it comes."""
    return is_v2(event) or "elb" in event["requestContext"]


def strip_stage(path: str, stage: str) -> str:
    """Return the path without its stage: `/prod/predict` -> `/predict`, not `/production`."""
    if stage and stage != "$default" and (path + "/").startswith(f"/{stage}/"):
        return path[len(stage) + 1 :] or "/"
    return path


def place_path(event: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return a copy of the event that asks for `path`, where Mangum looks for it."""
    placed = {**event, "path": path, "rawPath": path}
    if is_v2(event):
        asked = event["requestContext"]
        placed["requestContext"] = {**asked, "http": {**asked["http"], "path": path}}
    elif "elb" not in event["requestContext"]:
        placed.setdefault("resource", "/{proxy+}")  # by which Mangum tells v1 from the rest
    return placed


def shape_reply(event: Mapping[str, Any], response: Response) -> dict[str, Any]:
    """Return the reply: text as it is, anything else, and what is compressed, in base64."""
    if len(response.body) > MAX_REPLY_BYTES:
        response = _refuse_size(response)
    headers = dict(response.headers)
    if response.content_type:
        headers["content-type"] = response.content_type
    is_text = "content-encoding" not in headers and response.content_type.startswith(TEXT_TYPES)
    body = response.body.decode() if is_text else base64.b64encode(response.body).decode()
    reply: dict[str, Any] = {
        "statusCode": response.status,
        "headers": headers,
        "body": body,
        "isBase64Encoded": not is_text and bool(response.body),
    }
    if "elb" in event["requestContext"] and "multiValueHeaders" in event:
        # A target group with multi-value headers on reads no others.
        reply["multiValueHeaders"] = {name: [value] for name, value in headers.items()}
        del reply["headers"]
    return reply


def _refuse_size(response: Response) -> Response:
    refusal = native_error(
        InvalidInput(
            f"the answer has {len(response.body)} bytes, Lambda's limit is {MAX_REPLY_BYTES}: "
            "send fewer texts at a time, or ask for top_k",
            limit=MAX_REPLY_BYTES,
            received=len(response.body),
            status=413,
        )
    )
    kept = {k: v for k, v in response.headers.items() if k not in ("content-encoding", "vary")}
    refusal.headers.update(kept)
    return refusal


def _read_headers(event: Mapping[str, Any]) -> dict[str, str]:
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    for name, values in (event.get("multiValueHeaders") or {}).items():
        headers[name.lower()] = ", ".join(values)
    return headers


def _read_body(event: Mapping[str, Any]) -> bytes:
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        return base64.b64decode(body, validate=True)
    # A lone surrogate cannot come over HTTP; whoever calls directly gets "not UTF-8" for one.
    encoded: bytes = body.encode("utf-8", "surrogatepass")
    return encoded
