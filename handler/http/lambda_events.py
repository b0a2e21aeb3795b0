"""The shape of Lambda's HTTP events: API Gateway v1 (REST) and v2 (HTTP API), Function URL, ALB."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

from handler.errors import InvalidInput
from handler.http.messages import TEXT_TYPES, Request, Response
from handler.http.paths import find_route
from handler.http.problems import native_error
from handler.inference.requests import name_type

# Lambda refuses a reply over 6 MB and the caller gets a bare 502: better a reason.
MAX_REPLY_BYTES = 6_000_000
ANYTHING = re.compile(".*", re.DOTALL)
READABLE = {"host": re.compile(r"[^:]*(:\d{1,5})?"), "x-forwarded-port": re.compile(r"\d{1,5}")}


def read_event(
    event: Mapping[str, Any], context: Any, is_known: Callable[[str], bool], base: str = ""
) -> Request:
    """Return the request in an event; what cannot be read of it is in `body_error`.

    Consoles and test frameworks write events by hand: any part can be null, or of another type.

    Args:
        is_known: Says whether the service has an operation at a path.
        base: `MINNOW_BASE_PATH`.
    """
    asked = event["requestContext"]
    http = asked.get("http")
    method = http.get("method") if isinstance(http, dict) else event.get("httpMethod")
    request = Request(
        method=method if isinstance(method, str) else "",
        path=find_route(event, is_known, base),
        headers={},
        trace_id=getattr(context, "aws_request_id", ""),
        allows_binary=allows_binary(event),
    )
    try:
        request.headers = _read_headers(event)
        request.body = _read_body(event)
    except InvalidInput as error:
        request.body_error = error
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


def place_request(event: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """Return a copy of the event that Mangum reads: the request's path, headers and body."""
    headers, path = _keep_readable(request.headers), request.path
    placed = {**event, "path": path, "rawPath": path, "headers": headers}
    placed["body"] = base64.b64encode(request.body).decode()
    placed["isBase64Encoded"] = True
    for name in ("queryStringParameters", "multiValueQueryStringParameters"):
        placed[name] = _keep_texts(event.get(name))
    asked = event["requestContext"]
    if is_v2(event):
        http = {"sourceIp": "", **asked.get("http", {}), "path": path, "method": request.method}
        placed["requestContext"] = {**asked, "http": http}
        placed["rawQueryString"] = str(event.get("rawQueryString") or "")
        placed["cookies"] = [one for one in event.get("cookies") or () if isinstance(one, str)]
        return placed
    placed["httpMethod"] = request.method
    identity = asked.get("identity")
    identity = identity if isinstance(identity, dict) else {}
    placed["requestContext"] = {**asked, "identity": identity}
    if "multiValueHeaders" in event:
        placed["multiValueHeaders"] = {name: [value] for name, value in headers.items()}
    if "elb" not in asked:
        placed.setdefault("resource", "/{proxy+}")  # by which Mangum tells v1 from the rest
    elif not placed["multiValueQueryStringParameters"]:
        del placed["multiValueQueryStringParameters"]  # Mangum reads no others where this stands
    return placed


def _keep_texts(parameters: object) -> dict[str, Any]:
    """Return the query's parameters whose values are texts, or lists, as Mangum takes them."""
    if not isinstance(parameters, dict):
        return {}
    return {name: value for name, value in parameters.items() if isinstance(value, str | list)}


def _keep_readable(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers without those over which Mangum would fail."""
    kept = {}
    for name, value in headers.items():
        is_unicode = (name + value).encode("utf-8", "ignore").decode() == name + value
        if is_unicode and READABLE.get(name, ANYTHING).fullmatch(value):
            kept[name] = value
    return kept


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
    """Return lower-case name -> value; one that is null is absent. Raises InvalidInput."""
    headers: dict[str, str] = {}
    for field in ("headers", "multiValueHeaders"):
        given = event.get(field)
        if given is None:
            continue
        if not isinstance(given, dict):
            raise _refuse(field, given, "an object")
        for name, value in given.items():
            if isinstance(value, str):
                headers[name.lower()] = value
                continue
            values = [
                one for one in (value if isinstance(value, list) else [value]) if one is not None
            ]
            if not all(isinstance(one, str) for one in values):
                raise _refuse(f"{field}, a value", value, "a string")
            if values:
                headers[name.lower()] = ", ".join(values)
    return headers


def _read_body(event: Mapping[str, Any]) -> bytes:
    body = event.get("body")
    body = "" if body is None else body
    if not isinstance(body, str):
        raise _refuse("body", body, "a string")
    if event.get("isBase64Encoded") in (True, "true"):
        try:
            return base64.b64decode(body, validate=True)
        except ValueError:
            raise InvalidInput("the event's body is not base64", status=400) from None
    # A lone surrogate cannot come over HTTP; whoever calls directly gets "not UTF-8" for one.
    return body.encode("utf-8", "surrogatepass")


def _refuse(field: str, value: object, wanted: str) -> InvalidInput:
    return InvalidInput(
        f"the event's {field} is {name_type(value)}, wanted {wanted}", field=field, status=400
    )
