"""The items of one JSON array, cut from a stream of any length without holding it."""

from __future__ import annotations

import re

from handler.errors import InvalidInput
from handler.rows.lines import BOM, MAX_ROW_BYTES, Lines

# What changes where an item ends: a string as a whole, a bracket, a comma. Strings that the end of
# what was read cuts are a quote alone.
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|["\[\]{},]', re.DOTALL)
BLANK = b" \t\r\n"
OPENING, CLOSING = b"[{", b"]}"


class ArrayItems:
    """Items of an array, told apart by brackets and strings alone, as `Lines` tells lines.

    Args:
        lines: At the beginning of the file.
    """

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.offset = 0
        self.has_cut = False
        self._plain = b""
        self._index = 0
        self._has_begun = False
        self._has_ended = False

    def skip_to(self, offset: int) -> None:
        """Go forward to the place behind an item."""
        if offset:
            self.lines.skip_to(offset)
            self.offset = offset
            self._has_begun = True

    def next_line(self) -> bytes | None:
        """Return the next item, or None behind the last; one too long is cut to MAX_ROW_BYTES.

        Raises:
            InvalidInput: The array does not end, or what is behind it is not blank.
        """
        if not self._has_begun:
            self._begin()
        if self._has_ended:
            return None
        item = self._read_item()
        stripped = item.strip(BLANK)
        return stripped if stripped or not self._has_ended else None

    def take_cut(self) -> bool:
        """Return whether the last item was too long."""
        has_cut, self.has_cut = self.has_cut, False
        return has_cut

    def _begin(self) -> None:
        self._has_begun = True
        while self._fill():
            start = self._plain.removeprefix(BOM).lstrip(BLANK)
            if start:
                self._move(len(self._plain) - len(start) + 1)  # behind the bracket
                return
        raise InvalidInput("the file holds nothing but blanks, wanted a JSON array")

    def _read_item(self) -> bytes:
        kept: list[bytes] = []
        size = depth = 0
        while True:
            end, depth, is_cut = self._find_end(depth)
            part = self._plain[: end if end >= 0 else self._index]
            size += len(part)
            if size <= MAX_ROW_BYTES:
                kept.append(part)
            else:
                self.has_cut = True
            if end >= 0:
                self._has_ended = self._plain[end : end + 1] == b"]"
                # Before the closing bracket, so that one who goes on from here finds the end.
                self._move(end if self._has_ended else end + 1)
                if self._has_ended:
                    self._check_rest(self._plain[1:])
                return b"".join(kept)
            self._move(self._index)
            if is_cut and len(self._plain) > MAX_ROW_BYTES:
                raise InvalidInput(f"the JSON array has a string above {MAX_ROW_BYTES} bytes")
            if not self._fill():
                raise InvalidInput("the JSON array is cut off: its closing bracket is missing")

    def _find_end(self, depth: int) -> tuple[int, int, bool]:
        """Return where the item ends in what was read, or -1; the depth there; whether what was
        read ends in a string."""
        self._index = 0
        for token in TOKEN.finditer(self._plain):
            mark = token.group()
            if mark == b'"':
                self._index = token.start()
                return -1, depth, True
            if mark in OPENING:
                depth += 1
            elif depth and mark in CLOSING:
                depth -= 1
            elif not depth and mark in b",]":
                return token.start(), 0, False
        self._index = len(self._plain)
        return -1, depth, False

    def _check_rest(self, rest: bytes) -> None:
        while not rest.strip(BLANK):
            rest = self.lines.read_chunk()
            if not rest:
                return
        raise InvalidInput("there is more behind the JSON array, wanted one array")

    def _move(self, size: int) -> None:
        self.offset += size
        self._plain = self._plain[size:]

    def _fill(self) -> bool:
        chunk = self.lines.read_chunk()
        self._plain += chunk
        return bool(chunk)
