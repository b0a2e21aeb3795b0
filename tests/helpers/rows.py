"""Rows of bytes in memory."""

from __future__ import annotations

import io
from collections.abc import Sequence

from handler.rows.formats import detect_format
from handler.rows.options import ReadOptions
from handler.rows.reader import open_rows
from handler.rows.rows import START, Position, Rows


def open_content(
    content: bytes,
    name: str = "a.csv",
    columns: Sequence[str] = ("text", "id"),
    start: Position = START,
    added: Sequence[str] = (),
    options: ReadOptions | None = None,
) -> Rows:
    stream = io.BufferedReader(io.BytesIO(content))
    file_format = detect_format(name, read_only=True)
    return open_rows(stream, file_format, columns, start, added, options or ReadOptions())
