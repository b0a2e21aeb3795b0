"""What a request's head must be beyond what llhttp checks: nothing that two readers could take for
two different requests."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable, Sequence

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from handler.http.messages import Refusal
from handler.http.problems import PROBLEM_JSON, native_error

# Request line and headers, or what stands between the pieces of a body. nginx takes as much; a
# token of an identity provider has 4 KB, the cookies of a browser 20 KB.
MAX_HEAD_BYTES = 32_768
MAX_TARGET_BYTES = 8_000  # RFC 9112, 3: at least so many; unquoting more would take milliseconds
MAX_HEADERS = 100
HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]*")  # RFC 3986, 3.2.2 and 3.2.3


def head_too_large() -> Refusal:
    return Refusal(431, f"the limit of a head is {MAX_HEAD_BYTES} bytes")


def broken(error: httptools.HttpParserError) -> Refusal:
    """Return the refusal of what llhttp cannot read."""
    return Refusal(400, f"the request is not HTTP/1.1 ({type(error).__name__})")


def encode_refusal(refusal: Refusal, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the response to what is no request, after which the connection ends."""
    response = native_error(refusal)
    lines = [
        STATUS_LINE[response.status],
        *(b"%b: %b\r\n" % header for header in headers),
        b"content-type: " + PROBLEM_JSON.encode() + b"\r\n",
        b"content-length: %d\r\n" % len(response.body),
        b"x-content-type-options: nosniff\r\ncache-control: no-store\r\n",
        b"connection: close\r\n\r\n",
    ]
    return b"".join([*lines, response.body])


def check_head(version: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raise Refusal unless the head is that of a request that can be answered.

    Args:
        version: Of HTTP, such as "1.1".
        target: As it stands in the request line.
        headers: Names in lower case.

    Raises:
        Refusal: RFC 9112: 2.3 the version, 3.2 the target and the host, 6.1 the transfer codings.
    """
    if version not in ("1.0", "1.1"):
        raise Refusal(505, "wanted HTTP/1.1")
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        raise Refusal(400, "wanted one header host")
    if hosts and not HOST.fullmatch(hosts[0]):
        raise Refusal(400, "the header host is no host")
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if codings and version == "1.0":
        raise Refusal(400, "HTTP/1.0 has no transfer-encoding")
    if codings and codings != [b"chunked"]:
        raise Refusal(501, "transfer-encoding: only chunked is known here")
    _check_target(target)


def _check_target(target: bytes) -> None:
    if len(target) > MAX_TARGET_BYTES:
        raise Refusal(414, f"the limit of the request's target is {MAX_TARGET_BYTES} bytes")
    try:
        path = httptools.parse_url(target).path or b""
        urllib.parse.unquote(path.decode("ascii"), errors="strict")
    except (httptools.HttpParserError, UnicodeDecodeError):
        raise Refusal(400, "the request's target is no address of this service") from None
    if not path.startswith(b"/"):
        raise Refusal(400, "the request's target has no path")
