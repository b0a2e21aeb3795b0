"""The items of one JSON array, cut from a stream of any length without holding it."""

from __future__ import annotations

import re

from handler.errors import InvalidInput
from handler.rows.lines import BOM, MAX_ROW_BYTES, Lines

# What changes where an item ends: a string as a whole, a bracket, a comma. Strings that the end of
# what was read cuts are a quote alone.
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|["\[\]{},]', re.DOTALL)
BLANK = b" \t\r\n"
CHUNK_BYTES = 64 << 10
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
        self._start = 0  # of what is still to be looked at, in `_plain`
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
            end, depth, is_whole = self._find_end(depth)
            part = self._plain[self._start : end]
            size += len(part)
            if size <= MAX_ROW_BYTES:
                kept.append(part)
            else:
                self.has_cut = True
            self._move(end)
            if is_whole:
                self._has_ended = self._plain[end : end + 1] == b"]"
                if self._has_ended:
                    # One who goes on from here, before the bracket, finds the end too.
                    self._check_rest(self._plain[end + 1 :])
                else:
                    self._move(end + 1)
                return b"".join(kept)
            if len(self._plain) - end > MAX_ROW_BYTES:
                raise InvalidInput(f"the JSON array has a string above {MAX_ROW_BYTES} bytes")
            if not self._fill():
                raise InvalidInput("the JSON array is cut off: its closing bracket is missing")

    def _find_end(self, depth: int) -> tuple[int, int, bool]:
        """Return where the item ends, or how far it was looked at, the depth of brackets there,
        and whether it is the item's end."""
        for token in TOKEN.finditer(self._plain, self._start):
            mark = token.group()
            if mark == b'"':  # a string goes on behind what was read
                return token.start(), depth, False
            if mark in OPENING:
                depth += 1
            elif depth and mark in CLOSING:
                depth -= 1
            elif not depth and mark in b",]":
                return token.start(), 0, True
        return len(self._plain), depth, False

    def _check_rest(self, rest: bytes) -> None:
        while not rest.strip(BLANK):
            rest = self.lines.read_chunk(CHUNK_BYTES)
            if not rest:
                return
        raise InvalidInput("there is more behind the JSON array, wanted one array")

    def _move(self, end: int) -> None:
        self.offset += end - self._start
        self._start = end

    def _fill(self) -> bool:
        # As much as there is already: a long string is looked at from its start each time.
        left = self._plain[self._start :]
        chunk = self.lines.read_chunk(max(CHUNK_BYTES, len(left)))
        self._plain = left + chunk
        self._start = 0
        return bool(chunk)
