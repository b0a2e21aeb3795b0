"""What a refusal looks like: RFC 9457 for the native API, `{"error": text}` for the protocols."""

from __future__ import annotations

from handler.errors import InvalidInput
from handler.http.messages import Response, json_response

PROBLEM_JSON = "application/problem+json"
TITLES = {
    400: "The body cannot be read",
    401: "A key is needed",
    404: "No such path",
    405: "No such method here",
    406: "No such answer format",
    408: "The body did not arrive in time",
    413: "Too much in one request",
    414: "The address is too long",
    415: "Not this content type",
    422: "A field has a wrong value",
    429: "Too many requests",
    431: "The head is too large",
    500: "The server failed",
    501: "Not known here",
    503: "Not now",
    505: "No such version of HTTP here",
}


def native_error(error: InvalidInput) -> Response:
    """Return `application/problem+json`: always type, title, status, detail; the rest if known."""
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": TITLES[error.status],
        "status": error.status,
        "detail": error.detail,
    }
    if error.field:
        problem["field"] = error.field
    if error.limit is not None:
        problem["limit"] = error.limit
        problem["received"] = error.received
    return json_response(problem, error.status, PROBLEM_JSON)


def protocol_error(error: InvalidInput) -> Response:
    """Return `{"error": text}`: Open Inference Protocol, TF Serving and Hugging Face agree here."""
    return json_response({"error": error.detail}, error.status)
