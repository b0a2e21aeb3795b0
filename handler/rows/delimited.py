"""CSV and TSV: a header, then rows whose quoted fields may hold line ends."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from handler.errors import InvalidInput
from handler.inference.tasks import Cell
from handler.rows.lines import MAX_ROW_BYTES, TOO_LONG, Lines
from handler.rows.rows import MODEL_VERSION, Position, Row, find_columns, format_cells, make_picker

# What `csv` says of quotes -> the same of a row. All else that it says is one of two things.
QUOTE_PROBLEMS = {
    "unexpected end of data": "a quote in it is never closed",
    "expected after": "a quoted field in it goes on after its closing quote",
}
OTHER_PROBLEM = f"it is not CSV, or has a field above {MAX_ROW_BYTES} bytes"


class DelimitedRows:
    """Rows below a header. A row that is quoted wrongly or of another width is a problem."""

    def __init__(
        self,
        lines: Lines,
        columns: Sequence[str],
        start: Position,
        added: Collection[str],
        delimiter: str,
    ) -> None:
        self.lines = lines
        # Strict: else a quote that is never closed, or closes too early, changes the text silently.
        self.dialect: dict[str, Any] = {
            "delimiter": delimiter,
            "lineterminator": "\n",
            "strict": True,
        }
        csv.field_size_limit(MAX_ROW_BYTES)
        lines.detect_end()
        self.names = self._read_names()
        self.pick = make_picker(
            find_columns(self.names, columns, ": its first line must name them")
        )
        # Scored once more, a file keeps its columns and gets the new values.
        new = (*added, MODEL_VERSION)
        self.kept = [index for index, name in enumerate(self.names) if name not in new]
        self.header = self._write([[*(self.names[index] for index in self.kept), *new]])
        self.number = start.row
        if start.row:
            lines.skip_to(start.offset)

    @property
    def position(self) -> Position:
        return Position(self.number, self.lines.offset)

    def __iter__(self) -> Iterator[Row]:
        for record in self._records():
            self.number += 1
            yield self._check(self.number, record)

    def encode(self, rows: Sequence[Row], cells: Sequence[Sequence[Cell]], version: str) -> bytes:
        return self._write(
            [*(row.fields[index] for index in self.kept), *format_cells(new), version]
            for row, new in zip(rows, cells, strict=True)
        )

    def _read_names(self) -> list[str]:
        names = next(self._records(), [])
        if self.lines.take_cut():
            names = TOO_LONG
        if isinstance(names, str):
            raise InvalidInput(f"the first line must name the columns, but {names}")
        return names

    def _check(self, number: int, record: list[str] | str) -> Row:
        if self.lines.take_cut():
            return Row(number, (), problem=TOO_LONG)
        if isinstance(record, str):
            return Row(number, (), problem=record)
        if len(record) != len(self.names):
            problem = f"it has {len(record)} fields, the header {len(self.names)}"
            return Row(number, (), problem=problem)
        return Row(number, self.pick(record), record)

    def _records(self) -> Iterator[list[str] | str]:
        """Yield records, and the reason in place of one that cannot be parsed."""
        reader = csv.reader(self._decoded_lines(), **self.dialect)
        while True:
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                said = str(error)
                reasons = (reason for part, reason in QUOTE_PROBLEMS.items() if part in said)
                yield next(reasons, OTHER_PROBLEM)
            else:
                if record:
                    yield record

    def _decoded_lines(self) -> Iterator[str]:
        # Broken UTF-8 becomes lone surrogates: they are refused in a column that is asked for, and
        # in another one they are written back as the bytes they were.
        while (line := self.lines.next_line()) is not None:
            yield line.decode("utf-8", "surrogateescape")

    def _write(self, records: Iterable[Sequence[str]]) -> bytes:
        buffer = io.StringIO()
        csv.writer(buffer, **self.dialect).writerows(records)
        return buffer.getvalue().encode("utf-8", "surrogateescape")
