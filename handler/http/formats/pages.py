"""The pages for people: `/` to try the model, `/docs` for the API; nothing from elsewhere.

No page asks another host for anything, and the Content-Security-Policy says so to the browser.
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import re
from pathlib import Path

from handler.http.messages import Request, Response
from handler.http.negotiation import accepts_gzip
from handler.http.operation import Note, Operation
from handler.http.schemas import Schema
from handler.inference.models import Model

STATIC = Path(__file__).parent.parent / "static"
SCRIPT = "/docs/swagger-ui-bundle.js"
STYLE = "/docs/swagger-ui.css"


def page(model: Model, request: Request) -> Response:
    return _html("index.html", "style-src {style}; script-src {script}")


def docs(model: Model, request: Request) -> Response:
    # Swagger UI sets style attributes and draws its icons from data: addresses.
    return _html("docs.html", "style-src 'self' 'unsafe-inline'; script-src 'self' {script}")


def docs_script(model: Model, request: Request) -> Response:
    return _asset("swagger-ui-bundle.js.gz", "text/javascript; charset=utf-8", request)


def docs_style(model: Model, request: Request) -> Response:
    return _asset("swagger-ui.css.gz", "text/css; charset=utf-8", request)


@functools.cache
def _read(name: str) -> bytes:
    return (STATIC / name).read_bytes()


def _html(name: str, sources: str) -> Response:
    body = _read(name)
    policy = (
        "default-src 'none'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; " + _fill_hashes(name, sources)
    )
    headers = {"content-security-policy": policy, "cache-control": "no-cache"}
    return Response(200, body, "text/html; charset=utf-8", headers)


@functools.cache
def _fill_hashes(name: str, sources: str) -> str:
    """Return the policy with the hashes of the page's own inline style and script."""
    hashes = {}
    for tag in ("style", "script"):
        blocks = re.findall(rb"<%b>(.*?)</%b>" % (tag.encode(), tag.encode()), _read(name), re.S)
        digests = (base64.b64encode(hashlib.sha256(block).digest()).decode() for block in blocks)
        hashes[tag] = " ".join(f"'sha256-{digest}'" for digest in digests)
    return sources.format(**hashes)


def _asset(name: str, content_type: str, request: Request) -> Response:
    headers = {"cache-control": "public, max-age=86400", "vary": "accept-encoding"}
    body = _read(name)
    if request.allows_binary and accepts_gzip(request.headers.get("accept-encoding", "")):
        return Response(200, body, content_type, {**headers, "content-encoding": "gzip"})
    # "identity" keeps the service from compressing again what was just inflated.
    return Response(200, _inflate(name), content_type, headers)


@functools.cache
def _inflate(name: str) -> bytes:
    return gzip.decompress(_read(name))


def make_schemas(model: Model) -> dict[str, Schema]:
    """Return no component: pages are for people."""
    return {}


PAGE_NOTE = Note("Try the model in a browser", "Minnow", kind="text/html")
OPERATIONS = (
    Operation("GET", "/", "page", page, PAGE_NOTE, is_open=True),
    Operation("GET", "/docs", "docs", docs, is_open=True),
    Operation("GET", SCRIPT, "docs_script", docs_script, is_open=True),
    Operation("GET", STYLE, "docs_style", docs_style, is_open=True),
)
