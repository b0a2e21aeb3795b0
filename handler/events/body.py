"""A message's body: a JSON object or plain text, behind whatever it was packed in on its way.

    {"text": "good"}                      the object
    "{\\"text\\": \\"good\\"}"                encoded twice: the object; "good" -> good
    H4sIAAAA..., eyJ0ZXh0...              gzip or JSON in base64: what is in it
    ["good", "bad"]                       refused: a list of texts is {"texts": [...]}
    ["...S3Pointer", {"s3Key": ...}]      refused: the message lies elsewhere
    "Alien" is great, [sic] the film      cannot be JSON: plain text

JSON that is broken or cut off is refused, not classified: text that begins with `{`, with `[{`, or
with a quote and a bracket as of JSON encoded twice, and an array that ends before its bracket.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
from typing import Any, NoReturn

from handler.errors import InvalidInput

BOM = "\ufeff"
# What editors and clients put before a text unseen; the last is a BOM of UTF-8 read as Latin-1.
UNSEEN = (BOM, "\u200b", "\u200e", "\u2060", "\x00", "\u00ef\u00bb\u00bf")
MAX_LAYERS = 4  # JSON within JSON, or within base64
# A message has 1 MiB at most, a Kinesis record 10; gzip could make a thousand times as much of it.
MAX_PLAIN_BYTES = 16 << 20
GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
ENCODED_TWICE = re.compile(r'"(\\+")*\s*(\{\s*[\\"}]|\[\s*\\*")')
# gzip's first bytes, or `{"`, in base64, and nothing but base64 behind them: no text is so.
IN_BASE64 = re.compile(r"(?:H4sI|eyJ)[A-Za-z0-9+/_\r\n-]{12,}={0,2}\s*")
OFFLOADED = ("ExtendedPayloadSize", "SQSLargePayloadSize")  # set by the extended client libraries


def open_body(body: str) -> dict[str, Any] | str:
    """Return the JSON object in a body, or the plain text that it is.

    Raises:
        InvalidInput: Empty, neither an object nor a text, or JSON that is broken.
    """
    for _ in range(MAX_LAYERS):
        content = _strip_unseen(body)
        if not content:
            raise InvalidInput("the body is empty, wanted a text or a JSON object", field="body")
        inner: str | None = None
        if content[0] == "{":
            return _load_object(content)
        if content[0] == "[":
            _refuse_array(content)
        elif content[0] == '"':
            inner = _load_string(content)
        elif content.rstrip() == "null":
            raise InvalidInput("the body is null, wanted a text or a JSON object", field="body")
        elif IN_BASE64.fullmatch(content):
            inner = _open_base64(content)
        if inner is None:
            return content if BOM in body[: len(body) - len(content)] else body
        body = inner
    raise InvalidInput(f"the body is encoded more than {MAX_LAYERS - 1} times", field="body")


def decode_bytes(data: bytes, field: str) -> str:
    """Return the text in bytes: UTF-8, what a byte order mark says, or gzip of either.

    Raises:
        InvalidInput: No text, a broken gzip, or one that holds too much; `field` is its name.
    """
    if data.startswith(GZIP_MAGIC):
        data = _gunzip(data, field)
    encoding = next((name for mark, name in BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except ValueError:
        raise InvalidInput(f"{field} is not UTF-8 text, nor gzip of it", field=field) from None


def refuse_pointer(attributes: object) -> None:
    """Raise InvalidInput if a message's attributes say that it lies in S3."""
    if isinstance(attributes, dict) and any(attributes.get(name) for name in OFFLOADED):
        _raise_pointer()


def refuse_pointer_object(document: dict[str, Any]) -> None:
    """Raise InvalidInput for an object that says where in S3 a large message lies."""
    if "S3Payload" in document or {"s3BucketName", "s3Key"} <= document.keys():
        _raise_pointer()


def _raise_pointer() -> NoReturn:
    raise InvalidInput(
        "the body points to a large message in S3 (extended client library), and a pointer is not "
        "followed: send the text in the message, or put it into the bucket of texts as a file",
        field="body",
    )


def _strip_unseen(body: str) -> str:
    while True:
        stripped = body.lstrip()
        for mark in UNSEEN:
            stripped = stripped.removeprefix(mark)
        if stripped == body:
            return body
        body = stripped


def _load_object(content: str) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(content)
    except (ValueError, RecursionError):
        raise InvalidInput("the body begins with { and is not JSON", field="body") from None
    return document


def _refuse_array(content: str) -> None:
    """Raise InvalidInput for a JSON array, whole or cut off; return for a text with a bracket."""
    try:
        document = json.loads(content)
    except json.JSONDecodeError as error:
        is_cut_off = error.pos >= len(content.rstrip()) or error.msg.startswith("Unterminated")
        if is_cut_off or re.match(r"\[\s*\{", content):
            raise InvalidInput(
                "the body begins as a JSON array and is not JSON", field="body"
            ) from (None)
        return
    except (ValueError, RecursionError):  # numbers of thousands of digits, brackets without end
        document = []
    if any(isinstance(entry, dict) and "s3BucketName" in entry for entry in document) or (
        document and isinstance(document[0], str) and document[0].endswith("S3Pointer")
    ):
        _raise_pointer()
    raise InvalidInput(
        'the body is a JSON array, wanted a text or an object: send a list as {"texts": [...]}',
        field="body",
    )


def _load_string(content: str) -> str | None:
    try:
        inner: str = json.loads(content)
    except ValueError:
        if ENCODED_TWICE.match(content):
            raise InvalidInput(
                "the body begins as JSON encoded twice and is not JSON", field="body"
            ) from None
        return None
    return inner


def _open_base64(content: str) -> str | None:
    packed = "".join(content.split()).rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        data = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except binascii.Error:
        return None
    if data.startswith(GZIP_MAGIC):
        return decode_bytes(data, "the body")
    try:
        return data.decode()
    except ValueError:
        return None


def _gunzip(data: bytes, field: str) -> bytes:
    from handler.rows.formats import decompress, is_broken_stream  # rare, so not at start

    try:
        plain = decompress(io.BytesIO(data), "gzip").read(MAX_PLAIN_BYTES + 1)
    except Exception as error:
        if not is_broken_stream(error):
            raise
        raise InvalidInput(f"{field} is gzip, broken or cut off", field=field) from None
    if len(plain) > MAX_PLAIN_BYTES:
        raise InvalidInput(
            f"{field} is gzip of more than {MAX_PLAIN_BYTES} bytes, the limit",
            field=field,
            limit=MAX_PLAIN_BYTES,
        )
    return plain
