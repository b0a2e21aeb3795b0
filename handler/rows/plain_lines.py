"""Plain lines: one text a line, empty ones too; no column has a name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from handler.errors import InvalidInput
from handler.inference.tasks import Cell
from handler.rows.lines import TOO_LONG, Lines
from handler.rows.rows import Position, Row, format_cells


class LineRows:
    """Texts; a line of the output is cells, version and text, with tabs between."""

    names = None
    header = b""

    def __init__(self, lines: Lines, columns: Sequence[str], start: Position) -> None:
        if len(columns) > 1:
            raise InvalidInput(
                f"a file of plain lines holds texts alone, and {len(columns)} columns are wanted"
            )
        self.lines = lines
        lines.skip_to(start.offset)
        self.number = start.row

    @property
    def position(self) -> Position:
        return Position(self.number, self.lines.offset)

    def __iter__(self) -> Iterator[Row]:
        while (line := self.lines.next_line()) is not None:
            self.number += 1
            text = line.removesuffix(b"\n").removesuffix(b"\r")
            problem = TOO_LONG if self.lines.take_cut() else ""
            yield Row(self.number, (text.decode("utf-8", "surrogateescape"),), text, problem)

    def encode(self, rows: Sequence[Row], cells: Sequence[Sequence[Cell]], version: str) -> bytes:
        return b"".join(
            "\t".join([*format_cells(new), version, ""]).encode() + row.fields + b"\n"
            for row, new in zip(rows, cells, strict=True)
        )
