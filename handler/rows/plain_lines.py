"""Plain lines: one text a line, empty ones too; no column has a name.

Lines that begin with `__label__` are fastText's: a label, or several, then the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from handler.inference.tasks import Cell
from handler.rows.columns import ColumnError
from handler.rows.lines import TOO_LONG
from handler.rows.options import UTF_8, Found
from handler.rows.rows import Position, Row, format_cells
from handler.rows.text import TextFile

LABEL_PREFIX = "__label__"
NO_LABEL = f"it does not begin with {LABEL_PREFIX}NAME"


class LineRows:
    """Texts; a line of the output is cells, version and text, with tabs between."""

    names = None

    def __init__(self, file: TextFile, columns: Sequence[str], start: Position) -> None:
        self.file = file
        self.is_labelled = file.sample.lstrip().startswith(LABEL_PREFIX)
        self.num_values = len(columns)
        if self.num_values > (2 if self.is_labelled else 1):
            raise ColumnError(
                f"a file of plain lines holds texts alone, and {len(columns)} columns are wanted",
                columns[1:],
                advice=f"Begin each line with {LABEL_PREFIX}NAME as fastText does, or write a CSV",
            )
        self.header = b"" if file.encoding == UTF_8 else file.encode_mark()
        details = (f"fastText's lines, {LABEL_PREFIX}NAME before the text",)
        self.found = Found(file.encoding, details=details if self.is_labelled else ())
        self.lines = file.lines
        self.lines.skip_to(start.offset)
        self.number = start.row

    @property
    def position(self) -> Position:
        return Position(self.number, self.lines.offset)

    def __iter__(self) -> Iterator[Row]:
        end = self.lines.end
        while (line := self.lines.next_line()) is not None:
            record = line.removesuffix(end).removesuffix(b"\r")
            if self.is_labelled and not record.strip():
                continue  # no text is without a label
            self.number += 1
            problem = TOO_LONG if self.lines.take_cut() else ""
            text = record.decode(UTF_8, "surrogateescape")
            if self.is_labelled and not problem:
                yield self._split(text, record)
            else:
                yield Row(self.number, (text,), record, problem)

    def encode(self, rows: Sequence[Row], cells: Sequence[Sequence[Cell]], version: str) -> bytes:
        content = b"".join(
            "\t".join([*format_cells(new), version, ""]).encode() + row.fields + b"\n"
            for row, new in zip(rows, cells, strict=True)
        )
        return self.file.encode(content)

    def _split(self, text: str, record: bytes) -> Row:
        labels = []
        while text.startswith(LABEL_PREFIX):
            label, _, text = text.partition(" " if " " in text or "\t" not in text else "\t")
            labels.append(label.removeprefix(LABEL_PREFIX))
        if self.num_values == 1:
            return Row(self.number, (text,), record)
        if not labels:
            return Row(self.number, (), problem=NO_LABEL)
        return Row(self.number, (text, labels if len(labels) > 1 else labels[0]), record)
