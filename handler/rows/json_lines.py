"""JSON Lines: one object a line; empty lines are passed over."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence

from handler.inference.tasks import Cell
from handler.rows.lines import TOO_LONG, Lines
from handler.rows.rows import DECIMALS, MODEL_VERSION, Position, Row, make_picker

NOT_UTF8 = "it is not UTF-8"


class JsonRows:
    """Objects; one without a column that is asked for is a problem, and has its `fields`."""

    names = None
    header = b""

    def __init__(
        self, lines: Lines, columns: Sequence[str], start: Position, added: Collection[str]
    ) -> None:
        self.lines = lines
        self.pick = make_picker(columns)
        self.new = (*added, MODEL_VERSION)
        lines.skip_to(start.offset)
        self.number = start.row

    @property
    def position(self) -> Position:
        return Position(self.number, self.lines.offset)

    def __iter__(self) -> Iterator[Row]:
        while (line := self.lines.next_line()) is not None:
            if not line.isspace():
                self.number += 1
                yield self._read(self.number, line)

    def encode(self, rows: Sequence[Row], cells: Sequence[Sequence[Cell]], version: str) -> bytes:
        lines = []
        for row, new in zip(rows, cells, strict=True):
            rounded = (round(cell, DECIMALS) if isinstance(cell, float) else cell for cell in new)
            fields = row.fields | dict(zip(self.new, (*rounded, version), strict=True))
            try:
                line = json.dumps(fields, ensure_ascii=False).encode()
            except UnicodeEncodeError:  # a lone surrogate beside the text stays an escape
                line = json.dumps(fields).encode()
            lines.append(line + b"\n")
        return b"".join(lines)

    def _read(self, number: int, line: bytes) -> Row:
        if self.lines.take_cut():
            return Row(number, (), problem=TOO_LONG)
        # Of bytes `json` guesses the encoding, which takes a quarter of its time.
        is_utf8 = line.startswith(b'{"')
        try:
            fields = json.loads(line.decode("utf-8", "surrogatepass") if is_utf8 else line)
        except UnicodeDecodeError as error:
            return Row(number, (), problem=f"{NOT_UTF8} (byte {error.start})")
        except (ValueError, RecursionError):
            return Row(number, (), problem="it is not JSON")
        if not isinstance(fields, dict):
            return Row(number, (), problem=f"it is {type(fields).__name__}, wanted an object")
        try:
            return Row(number, self.pick(fields), fields)
        except KeyError as error:
            return Row(number, (), fields, f"it has no field {error.args[0]}")
