"""Which route a path means: API Gateway, load balancers and proxies put more before it.

    /predict              as it is
    /prod/predict         the stage of an HTTP API, or of a REST API behind a mapping of its own
    /shop/predict         the base path of a custom domain, or of a rule of a load balancer

An event of API Gateway tells the resource that it matched, without stage and base path: that is
the route. Where nothing tells, `MINNOW_BASE_PATH` does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

PARAMETER = re.compile(r"\{([^{}+]+)\+?\}")


def strip_base(path: str, base: str) -> str:
    """Return the path without its base: `/prod/predict` -> `/predict`, not `/production`."""
    if base and (path + "/").startswith(base + "/"):
        return path[len(base) :] or "/"
    return path


def find_route(event: Mapping[str, Any], is_known: Callable[[str], bool], base: str = "") -> str:
    """Return the path of an event as the table of operations has it, percent-decoded.

    Args:
        is_known: Says whether the table has a path.
        base: `MINNOW_BASE_PATH`.

    Returns:
        The first path that the event can mean and the table has; of none, the likeliest.
    """
    if not base and (path := _plain_path(event)):
        return path
    likeliest = ""
    for path in _list_routes(event):
        for route in dict.fromkeys((strip_base(path, base), path)):
            if is_known(route):
                return route
            likeliest = likeliest or route
    return likeliest


def _plain_path(event: Mapping[str, Any]) -> str:
    """Return the path of an event that can mean no other, as of a Function URL; empty for others.

    Most events are such, and need not be looked at any further.
    """
    path = event.get("rawPath")
    is_plain = (
        isinstance(path, str)
        and event.get("routeKey", "$default") == "$default"
        and event["requestContext"].get("stage", "$default") == "$default"
        and not event.get("pathParameters")
        and "resource" not in event
    )
    return unquote(path) if is_plain and path else ""


def _list_routes(event: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the event's path can mean, the likeliest first."""
    asked = event["requestContext"]
    path = event.get("rawPath") if "rawPath" in event else event.get("path")
    path = unquote(path or "/") if isinstance(path, str | None) else ""
    template = event.get("resource") or str(event.get("routeKey") or "").rpartition(" ")[2]
    parameters = event.get("pathParameters") or {}
    if isinstance(template, str) and isinstance(parameters, dict):
        filled = _fill(template, parameters)
        # Events written by hand have the resource "/" and any path: API Gateway says it twice.
        is_sure = filled != "/" or asked.get("resourcePath") == "/"
        if filled and is_sure and path.rstrip("/").endswith(filled.rstrip("/")):
            yield filled
    stage = asked.get("stage")
    stripped = path
    if isinstance(stage, str) and stage != "$default":
        stripped = strip_base(path, f"/{stage}")
    # A custom domain has no stage before the path, an HTTP API's own address always has.
    domain = str(asked.get("domainName") or "")
    is_http_api = "rawPath" in event or event.get("version") == "1.0"
    has_stage = is_http_api and (not domain or ".execute-api." in domain)
    yield from (stripped, path) if has_stage else (path, stripped)
    if template == "/":
        yield template
    proxy = parameters.get("proxy") if isinstance(parameters, dict) else None
    if isinstance(proxy, str):  # of the resource /shop/{proxy+}
        yield "/" + unquote(proxy).lstrip("/")


def _fill(template: str, parameters: Mapping[str, Any]) -> str:
    """Return a resource's path with its parameters; empty where one is not told.

    `/v1/{proxy+}` -> `/v1/models/tiny:predict`
    """
    if not template.startswith("/"):
        return ""
    names = PARAMETER.findall(template)
    if not all(isinstance(parameters.get(name), str) for name in names):
        return ""
    filled = PARAMETER.sub(lambda match: parameters[match[1]].lstrip("/"), template)
    return unquote(filled)
