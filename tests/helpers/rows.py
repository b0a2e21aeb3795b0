"""Rows of bytes in memory."""

from __future__ import annotations

import io
from collections.abc import Sequence

from handler.rows.formats import detect_format
from handler.rows.reader import open_rows
from handler.rows.rows import START, Position, Rows


def open_content(
    content: bytes,
    name: str = "a.csv",
    columns: Sequence[str] = ("text", "id"),
    start: Position = START,
    added: Sequence[str] = (),
) -> Rows:
    stream = io.BufferedReader(io.BytesIO(content))
    return open_rows(stream, detect_format(name, read_only=True), columns, start, added)
