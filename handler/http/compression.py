"""Compressed bodies, in with a limit on the inflated size, out where the client asked."""

from __future__ import annotations

import gzip
import zlib

from handler.errors import InvalidInput
from handler.http.messages import Refusal, Request, Response
from handler.http.negotiation import accepts_gzip

CODING = "content-encoding"
WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
MIN_BYTES = 1024  # below that, the header and the CPU cost more than the bytes saved
# Texts shrink to a third or a tenth, 256 times the same one to a 150th; 1,032 is what deflate can.
MAX_INFLATION = 200
FREE_BYTES = 65_536  # whose inflation costs nothing worth a refusal
LEVEL = 1  # JSON of numbers: level 9 takes 4 times as long for a tenth less


def check_length(request: Request, max_bytes: int) -> None:
    """Raise InvalidInput, 413, where a request says that its body is over the limit."""
    if request.announced_bytes > max_bytes:
        raise too_large(max_bytes, request.announced_bytes)


def inflate_body(request: Request, max_bytes: int) -> None:
    """Replace a compressed body by the inflated one; it is never larger than `max_bytes`.

    Raises:
        InvalidInput: 413 over the limit or inflated too far, 415 an unknown coding, 400 not what
            the header says.
    """
    if len(request.body) > max_bytes:
        raise too_large(max_bytes, len(request.body))
    coding = request.headers.get(CODING, "").strip().lower()
    if coding in ("", "identity"):
        return
    if coding not in WINDOW_BITS:
        raise Refusal(415, "content-encoding: wanted gzip or deflate", accept_encoding="gzip")
    allowed = min(max_bytes, max(FREE_BYTES, MAX_INFLATION * len(request.body)))
    inflater = zlib.decompressobj(WINDOW_BITS[coding])
    try:
        body = inflater.decompress(request.body, allowed + 1)
    except zlib.error:
        raise InvalidInput(f"the body is not {coding}", status=400) from None
    if len(body) > max_bytes:
        raise too_large(max_bytes)
    if len(body) > allowed:
        raise InvalidInput(
            f"the body inflates to more than {MAX_INFLATION} times its size: send it uncompressed",
            limit=allowed,
            received=len(body),
            status=413,
        )
    if not inflater.eof or inflater.unused_data:
        raise InvalidInput(f"the body is not one whole {coding} stream", status=400)
    request.body = body
    request.headers = {name: value for name, value in request.headers.items() if name != CODING}


def too_large(max_bytes: int, received: int | None = None) -> InvalidInput:
    """Return the refusal of a body over the limit, where it was measured with its size."""
    found = f"has {received} bytes" if received is not None else "is larger than the limit"
    return InvalidInput(
        f"the body {found}, the limit is {max_bytes} bytes, inflated",
        limit=max_bytes,
        received=max_bytes + 1 if received is None else received,
        status=413,
    )


def deflate_response(request: Request, response: Response) -> None:
    """Compress the response in place if the client takes gzip and it is worth it."""
    if len(response.body) < MIN_BYTES or "content-encoding" in response.headers:
        return
    response.headers["vary"] = "accept-encoding"
    if request.allows_binary and accepts_gzip(request.headers.get("accept-encoding", "")):
        response.body = gzip.compress(response.body, LEVEL, mtime=0)
        response.headers["content-encoding"] = "gzip"
