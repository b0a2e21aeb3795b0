"""A request and a response as plain data: what ASGI and Lambda's events are turned into.

Nothing here, and nothing that the hot operations import, needs FastAPI.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from handler.errors import InvalidInput
from handler.inference.exchange import Exchange

if TYPE_CHECKING:
    from handler.inference.agreement import Answered

JSON = "application/json"
# Bodies of these types are text: a Lambda reply carries them as they are, all others in base64.
TEXT_TYPES = ("text/", JSON, "application/problem+json", "application/jsonlines")
# A parameter of a header, its value quoted or not: `; charset="utf-8"`.
PARAMETER = re.compile(r';\s*([^\s=;",]+)=("(?:[^"\\]|\\.)*"|[^;,"]*)')
# Numbers and empty lists of two bytes each would take 20 times the body's memory. Only a large body
# can hold so many values; one of texts has a comma or bracket in 30 bytes at most.
MAX_JSON_VALUES = 150_000
MAX_DIGITS = 100  # of a whole number; to read thousands of long ones takes a tenth of a second
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # which Windows writes before UTF-8; no part of the text


@dataclass(slots=True)
class Request:
    """One HTTP request, its body read.

    Args:
        method: In capitals.
        path: Percent-decoded, without the stage or mount prefix, without the query.
        headers: Lower-case name -> value; repeated ones joined by a comma.
        body: As it was sent, perhaps compressed.
        trace_id: The platform's own id of this request; used where the client sent none.
        allows_binary: The way back carries bytes that are not text (REST API v1 does not).
        body_error: Why the body could not be read; raised once the caller is known.
        exchange: What the monitor shall know of it; filled on the way.
        answered: Kept where a shadow may run it too, once it was answered.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    trace_id: str = ""
    allows_binary: bool = True
    body_error: InvalidInput | None = None
    exchange: Exchange = field(default_factory=lambda: Exchange(""))
    answered: Answered | None = None

    @property
    def content_type(self) -> str:
        """The media type of the body, lower case, without parameters; empty if not given."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def announced_bytes(self) -> int:
        """What content-length says; 0 where it is not given or no number."""
        value = self.headers.get("content-length", "")
        return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else 0


@dataclass(slots=True)
class Response:
    """One HTTP response; `headers` are lower case and hold no content-type."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


class Refusal(InvalidInput):
    """A refusal that HTTP knows a header for: Allow, Retry-After, WWW-Authenticate."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail, status=status)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def json_response(value: object, status: int = 200, content_type: str = JSON) -> Response:
    return Response(status, dump_json(value), content_type)


def dump_json(value: object) -> bytes:
    return _encode(value).encode()


def parse_json(body: bytes, name: str = "the body") -> Any:
    """Return the parsed body, or part of one, which errors call `name`.

    Raises:
        InvalidInput: Not UTF-8, not JSON (NaN is not), or a key given twice; says where, never
            what stands there. 413: more values than MAX_JSON_VALUES.
    """
    if len(body) > MAX_JSON_VALUES and sum(map(body.count, (b",", b"[", b"{"))) > MAX_JSON_VALUES:
        raise InvalidInput(
            f"{name} has more than {MAX_JSON_VALUES} values, commas and brackets of texts counted",
            limit=MAX_JSON_VALUES,
            received=MAX_JSON_VALUES + 1,
            status=413,
        )
    try:
        return _decode(decode_text(body, name))
    except InvalidInput:
        raise
    except json.JSONDecodeError as error:
        where = (
            f"line {error.lineno} column {error.colno}"
            if name == "the body"
            else (f"column {error.colno}")
        )
        raise InvalidInput(f"{name} is not JSON ({where})", status=400) from None
    except RecursionError:
        raise InvalidInput(f"{name} is nested too deeply", status=400) from None
    except ValueError:  # an integer of thousands of digits
        raise InvalidInput(f"{name} holds a number that is too long", status=400) from None


def decode_text(body: bytes, name: str = "the body") -> str:
    """Return the text of a body in UTF-8, without a byte order mark; raises InvalidInput."""
    try:
        return body.removeprefix(BYTE_ORDER_MARK).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name} is not UTF-8 (byte {error.start})", status=400) from None


def require_json(request: Request) -> None:
    """Raise a 415 unless the body is said to be JSON, or not said to be anything."""
    kind = request.content_type
    if kind and kind != JSON and not kind.endswith("+json"):
        raise Refusal(415, f"the body must be JSON: send the header content-type: {JSON}")


def require_utf8(request: Request) -> None:
    """Raise a 415 where the content type names another character set, which nothing here reads."""
    for name, value in PARAMETER.findall(request.headers.get("content-type", "")):
        if name.lower() == "charset" and value.strip('" ').lower() not in ("utf-8", "utf8"):
            raise Refusal(415, "content-type: the charset must be utf-8; encode the body so")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        # Parsers disagree on which of the two counts: what was checked may not be what serves.
        raise InvalidInput("the body has an object with the same key twice", status=400)
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidInput(f"the body holds {name}, which is not JSON", status=400)


def _parse_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise InvalidInput("the body holds a number that is too long", status=400)
    return int(digits)


def _parse_float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise InvalidInput("the body holds a number that is too large", status=400)
    return number


# Built once: `json.loads` and `json.dumps` build a new one at every call that has options.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_decode = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_constant=_refuse_constant,
    parse_float=_parse_float,
    parse_int=_parse_int,
).decode
