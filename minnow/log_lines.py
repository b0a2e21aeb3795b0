"""Lines of logs as servers, containers and log services write them, and the object in each.

Lines are JSON, alone or between what a log service puts around them (a time, a stream's name), or
inside a field of its own JSON, as an object or as a string.
"""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, cast

from minnow.errors import CommandError

STDIN = "-"
MAX_LINE_BYTES = 1 << 20  # one of ours has 4 KB
MAX_ENVELOPES = 3
MAX_STARTS = 8  # braces of a line at which an object is looked for
DECODER = json.JSONDecoder()


def read_lines(path: str) -> Iterator[str]:
    """Yield the lines of a log; what is longer than any of ours is passed over.

    Args:
        path: Of a file, also .gz; "-" is the standard input.

    Raises:
        CommandError: A .gz file that is none, or ends in its midst.
        OSError: A file that cannot be read.
    """
    if path == STDIN:
        yield from _cut_lines(sys.stdin.buffer)
        return
    with open(path, "rb") as file:
        if not path.endswith(".gz"):
            yield from _cut_lines(file)
            return
        try:
            with gzip.open(file) as unpacked:
                yield from _cut_lines(cast(BinaryIO, unpacked))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise CommandError(
                f"{path}: cannot be unpacked, it is no whole .gz ({type(error).__name__})"
            ) from error


def _cut_lines(file: BinaryIO) -> Iterator[str]:
    is_begun = False  # a line that is too long, of which more comes
    while piece := file.readline(MAX_LINE_BYTES):
        is_end = piece.endswith(b"\n") or len(piece) < MAX_LINE_BYTES
        if is_end and not is_begun:
            yield piece.decode("utf-8", "replace")
        is_begun = not is_end


def find_object(line: str) -> dict[str, Any] | None:
    """Return the object in a line that has a message, else another one; None: there is none.

    Raises:
        ValueError: It cannot be read.
    """
    start = line.find("{")
    if start < 0 or not line[start + 1 :].strip():  # a brace of JSON that has lines of its own
        return None
    first: dict[str, Any] | None = None
    broken: Exception | None = None
    for _ in range(MAX_STARTS):
        try:
            found, end = _decode(line, start)
            found = _open_envelopes(found)
        except (ValueError, RecursionError) as error:
            broken, end = broken or error, start + 1
        else:
            if isinstance(found.get("message"), str):
                return found
            first = found if first is None else first
        start = line.find("{", end)
        if start < 0:
            break
    if broken is not None:
        raise ValueError("an object that cannot be read") from broken
    return first


def _decode(line: str, start: int) -> tuple[dict[str, Any], int]:
    """Return the object that begins at a brace, which may stand in a string, and where it ends."""
    if line[start - 1 : start] != '"' or line[start + 1 : start + 2] != "\\":
        return DECODER.raw_decode(line, start)
    content, end = DECODER.raw_decode(line, start - 1)
    return DECODER.raw_decode(content)[0], end


def _open_envelopes(found: dict[str, Any]) -> dict[str, Any]:
    for _ in range(MAX_ENVELOPES):
        inner = _find_inner(found)
        if inner is None:
            return found
        found = inner if isinstance(inner, dict) else DECODER.raw_decode(inner)[0]
    raise ValueError("one envelope in the other")


def _find_inner(found: Mapping[str, Any]) -> Any:
    """Return the object that a log service's own holds, as an object or text; None: none."""
    if isinstance(message := found.get("message"), str):
        return message.strip() if _is_packed(message) else None
    for inner in found.values():
        if isinstance(inner, dict) and isinstance(inner.get("message"), str):
            return inner
        if _is_packed(inner):
            return inner.strip()
    return None


def _is_packed(value: Any) -> bool:
    return isinstance(value, str) and value.lstrip().startswith("{")
