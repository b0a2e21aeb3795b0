"""A text file's lines, and its first characters, in which delimiter and columns are found."""

from __future__ import annotations

import codecs
import io
from dataclasses import dataclass
from typing import BinaryIO

from handler.rows.encodings import (
    Chained,
    Transcoded,
    encode_back,
    find_bom,
    find_encoding,
)
from handler.rows.formats import PLAIN_BUFFER_BYTES, is_broken_stream
from handler.rows.lines import MAX_ROW_BYTES, Lines
from handler.rows.options import UTF_8, ReadOptions

# What is looked at: the same bytes for a file, an object and a compressed one, so that each finds
# the same. Enough for a hundred reviews.
SAMPLE_BYTES = 64 << 10
BOM = "\ufeff"


@dataclass(frozen=True)
class TextFile:
    """Lines of UTF-8.

    Args:
        sample: The first whole lines, without a byte order mark.
        encoding: What the file is in.
        has_bom: Whether a byte order mark stands before its first line.
    """

    lines: Lines
    sample: str
    encoding: str
    has_bom: bool

    def encode(self, content: bytes) -> bytes:
        """Return UTF-8 in the file's own encoding."""
        return encode_back(content, self.encoding)

    def encode_mark(self) -> bytes:
        """Return what must stand before all else in a file of its kind."""
        return self.encode(BOM.encode()) if self.has_bom else b""


def open_text(plain: BinaryIO, options: ReadOptions, kind: str) -> TextFile:
    """Return the lines of a stream of bytes.

    Args:
        plain: Buffered bytes at the file's beginning, decompressed.
        options: An encoding that was named, if one was.
        kind: A value of `formats.KINDS`.

    Raises:
        InvalidInput: The encoding cannot be found.
    """
    head = _read_head(plain)
    first = (
        head[:SAMPLE_BYTES]
        if b"\n" in head[:SAMPLE_BYTES]
        else head[: head.find(b"\n") + 1 or None]
    )
    if options.encoding:
        encoding, bom = find_bom(first, options.encoding)
    else:
        # JSON is UTF-8 by definition: what is not is broken, and says so row by row.
        encoding, bom = find_encoding(first, guesses=kind != "jsonl")
    if plain.seekable():
        plain.seek(0)
    else:
        plain = io.BufferedReader(Chained(head, plain), PLAIN_BUFFER_BYTES)
    if encoding != UTF_8:
        plain = io.BufferedReader(Transcoded(plain, encoding), PLAIN_BUFFER_BYTES)
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    sample = decoder.decode(first).removeprefix(BOM)
    if len(first) < len(head):  # the last line is cut
        sample = sample[: max(sample.rfind("\n"), sample.rfind("\r")) + 1] or sample
    return TextFile(Lines(plain, find_line_end(sample, kind)), sample, encoding, bool(bom))


def find_line_end(sample: str, kind: str) -> bytes:
    """Return what ends a line: a carriage return alone if the first line ends so.

    Where fields may be quoted, a line feed behind it may stand in a field; elsewhere there is none.
    """
    first = sample.find("\r")
    is_alone = 0 <= first < len(sample) - 1 and sample[first + 1] != "\n"
    if kind in ("csv", "tsv"):
        return b"\r" if is_alone and "\n" not in sample[:first] else b"\n"
    return b"\r" if is_alone and "\n" not in sample else b"\n"


def _read_head(plain: BinaryIO) -> bytes:
    """Return at least SAMPLE_BYTES, and a line; of a broken or short stream what is there."""
    parts: list[bytes] = []
    size = 0
    while size < SAMPLE_BYTES or (
        size < MAX_ROW_BYTES and not any(b"\n" in part for part in parts)
    ):
        try:
            part = plain.read1(SAMPLE_BYTES)  # type: ignore[attr-defined]
        except Exception as error:
            if not is_broken_stream(error):
                raise
            break  # the reader of its rows comes to this place, and says where it is
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)
