"""One POST of JSON: no redirects, a limit in time and bytes, nothing of it in any message."""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

from training.labelling.labeller import BatchFailure

REPLY_BYTES = 4 << 20  # twenty log-probabilities of a few tokens are 4 KB
CHUNK_BYTES = 64 << 10
CODE = re.compile("[a-z_]{1,60}")  # such as model_not_found; keys and texts look otherwise


@dataclass(frozen=True)
class Reply:
    """What a server answered.

    Args:
        document: The JSON; None where it is none.
        code: What it calls an error, such as "model_not_found"; "" where it does not.
        retry_after_s: What its header says; None: nothing.
    """

    status: int
    document: Any
    code: str = ""
    retry_after_s: float | None = None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would send text and key to somebody else."""

    def redirect_request(self, *_: Any) -> None:
        return None


OPENER = urllib.request.build_opener(_NoRedirects)


def post_json(url: str, document: Any, headers: Mapping[str, str], timeout_s: float) -> Reply:
    """Return what the server answers, whatever its status.

    Raises:
        BatchFailure: There was no whole answer.
    """
    content = json.dumps(document).encode()
    request = urllib.request.Request(url, content, {**headers, "Content-Type": "application/json"})
    deadline = time.monotonic() + timeout_s
    try:
        with OPENER.open(request, timeout=timeout_s) as response:
            return Reply(response.status, _parse(_read(response, deadline)))
    except urllib.error.HTTPError as error:
        with error:
            return _read_error(error, deadline)
    except (OSError, http.client.HTTPException) as error:
        _fail(error, timeout_s)


def _read_error(error: urllib.error.HTTPError, deadline: float) -> Reply:
    try:
        document = _parse(_read(error, deadline))
    except (OSError, http.client.HTTPException, BatchFailure):
        document = None  # the status says enough
    return Reply(error.code, document, _read_code(document), read_retry_after(error.headers))


def _read(response: Any, deadline: float) -> bytes:
    """Return the body, as long as it comes in time."""
    parts, size = [], 0
    while part := response.read1(CHUNK_BYTES):
        parts.append(part)
        size += len(part)
        if size > REPLY_BYTES:
            raise BatchFailure(f"the server answered more than {REPLY_BYTES} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError
    if response.length:  # `read1` does not look at what is missing
        raise http.client.IncompleteRead(b"")
    return b"".join(parts)


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _read_code(document: Any) -> str:
    error = document.get("error") if isinstance(document, dict) else None
    fields = error if isinstance(error, dict) else {}
    for name in (fields.get("code"), fields.get("type")):
        if isinstance(name, str) and CODE.fullmatch(name):
            return name
    return ""


def read_retry_after(headers: Message) -> float | None:
    """Return the seconds of `Retry-After`, which may also be a date; None for neither."""
    value = str(headers.get("Retry-After", "")).strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _fail(error: Exception, timeout_s: float) -> NoReturn:
    """Raise what went wrong, by its kind: the text of an error may hold the address."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        reason = f"the server did not answer within {timeout_s:g} s"
    elif isinstance(cause, ConnectionRefusedError):
        reason = "the server takes no connection"
    else:
        reason = f"the connection failed ({type(cause).__name__})"
    raise BatchFailure(reason) from None
