"""Lines of bytes, so that the position behind each is exact whatever it holds."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO, cast

from handler.errors import InvalidInput
from handler.rows.formats import is_broken_stream

# A row above it is refused, not held: a file of one endless line, or an unclosed quote, must not
# fill the memory. Far above any text that a limit lets through.
MAX_ROW_BYTES = 4 << 20
TOO_LONG = f"it has a line above {MAX_ROW_BYTES} bytes"
BOM = b"\xef\xbb\xbf"


class Lines:
    """Lines of UTF-8 with `offset`, the plain bytes before the next one.

    Args:
        stream: Buffered plain bytes, at their beginning.
        end: A line feed, or a carriage return alone, as old spreadsheets write it.
    """

    def __init__(self, stream: BinaryIO, end: bytes = b"\n") -> None:
        self.stream = stream
        self.offset = 0
        self.has_cut = False  # a line was too long since the last look
        self.end = end
        self._read_line: Callable[[int], bytes] = (
            stream.readline if end == b"\n" else self._read_to_carriage_return
        )
        self._returned: list[tuple[bytes, int]] = []  # the next one last

    def skip_to(self, offset: int) -> None:
        """Go forward; a stream that is not seekable cannot but read what is between."""
        if self.stream.seekable():
            self.stream.seek(offset)
        else:
            while self.offset < offset and (
                chunk := self._call(self.stream.read, min(1 << 20, offset - self.offset))
            ):
                self.offset += len(chunk)
        self.offset = offset

    def next_line(self) -> bytes | None:
        """Return a line with its end, or None at the end; one too long is cut to MAX_ROW_BYTES."""
        if self._returned:
            line, size = self._returned.pop()
            self.offset += size
            self.has_cut = self.has_cut or size > MAX_ROW_BYTES
            return line
        line = self._call(self._read_line, MAX_ROW_BYTES + 1)
        self.offset += len(line)
        if len(line) > MAX_ROW_BYTES:
            self.has_cut = True
            while rest := self._call(self._read_line, 1 << 20):
                self.offset += len(rest)
                if rest.endswith(self.end):
                    break
        if self.offset == len(line) and line.startswith(BOM):
            line = line[len(BOM) :]
        return line or None

    def read_chunk(self, size: int) -> bytes:
        """Return up to `size` bytes, whatever they hold; none at the end."""
        chunk = self._call(self.stream.read, size)
        self.offset += len(chunk)
        return chunk

    def take_cut(self) -> bool:
        """Return whether a line of the last row was too long."""
        has_cut, self.has_cut = self.has_cut, False
        return has_cut

    def put_back(self, lines: list[tuple[bytes, int]]) -> None:
        """Let lines come once more, each with the bytes that it took."""
        self._returned += reversed(lines)
        self.offset -= sum(size for _, size in lines)

    def _read_to_carriage_return(self, size: int) -> bytes:
        line = b""
        while len(line) < size and (window := cast(io.BufferedReader, self.stream).peek(1)):
            end = window.find(b"\r") + 1
            line += self.stream.read(min(end or len(window), size - len(line)))
            if line.endswith(b"\r"):
                break
        return line

    def _call(self, read: Callable[[int], bytes], size: int) -> bytes:
        try:
            return read(size)
        except Exception as error:
            if not is_broken_stream(error):
                raise
            raise InvalidInput(
                f"the compressed file is broken or cut off after {self.offset} plain bytes"
            ) from None
