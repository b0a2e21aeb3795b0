"""CSV and TSV: a header, then rows whose quoted fields may hold line ends."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from handler.errors import InvalidInput
from handler.inference.tasks import Cell
from handler.rows.columns import ColumnError, find_columns, make_picker, name_columns
from handler.rows.dialect import (
    SAMPLE_RECORDS,
    find_delimiter,
    find_separator_line,
    has_no_header,
    read_sample,
)
from handler.rows.options import NAMES, Found, ReadOptions
from handler.rows.quotes import Records, format_fields
from handler.rows.rows import (
    MODEL_VERSION,
    Position,
    Row,
    describe_replaced,
    find_replaced,
    format_cells,
)
from handler.rows.text import TextFile

DEFAULT_DELIMITERS = {"csv": ",", "tsv": "\t"}


class DelimitedRows:
    """Rows below a header. A row that is quoted wrongly or of another width is a problem.

    `fields` of a row are the bytes that it was, or a list of what takes their place.
    """

    def __init__(
        self,
        file: TextFile,
        columns: Sequence[str],
        start: Position,
        added: Collection[str],
        default: str,
        options: ReadOptions,
    ) -> None:
        self.file = file
        self.lines = file.lines
        self.delimiter = options.delimiter or find_delimiter(file.sample, columns, default)
        quoting = options.quoting or "standard"
        self.records = Records(self.lines, self.delimiter, quoting)
        separator_line = find_separator_line(file.sample)
        if separator_line:
            self.lines.next_line()
        record, self.names = self._read_names()
        self.end = self.records.find_end(record) or self.lines.end
        places = self._find_columns(columns)
        self.pick = make_picker(places)
        self.records.width = len(self.names)
        # Of two columns, the one that is the text may hold delimiters all the same.
        is_text_of_two = len(self.names) == 2 and len(places[0]) == 1
        self.text_index = places[0][0] if is_text_of_two else None
        self.join_surplus = options.join_surplus and self.text_index is not None
        # Scored once more, a file keeps its own columns and gets the new values.
        new = (*added, MODEL_VERSION)
        replaced = find_replaced(self.names, added)
        self.kept = [index for index, name in enumerate(self.names) if name not in replaced]
        self.keeps_all = len(self.kept) == len(self.names)
        row = Row(0, (), record if self.keeps_all else self.names)
        prelude = separator_line.encode() + self.end if separator_line else b""
        self.header = file.encode_mark() + file.encode(prelude + self._format(row, new))
        found, details = name_columns(self.names, places), describe_replaced(replaced, added)
        wanted = tuple(columns)
        self.found = Found(file.encoding, found, wanted, self.delimiter, quoting, details)
        self.number = start.row
        if start.row:
            self.lines.skip_to(start.offset)

    @property
    def position(self) -> Position:
        return Position(self.number, self.lines.offset)

    def __iter__(self) -> Iterator[Row]:
        read, pick, width = self.records.read, self.pick, len(self.names)
        while (found := read()) is not None:
            record, fields, problem = found
            self.number += 1
            if not problem and len(fields) == width:
                yield Row(self.number, pick(fields), record if self.keeps_all else fields)
            else:
                yield self._repair(self.number, record, len(fields), problem)

    def encode(self, rows: Sequence[Row], cells: Sequence[Sequence[Cell]], version: str) -> bytes:
        content = [
            self._format(row, (*format_cells(new), version))
            for row, new in zip(rows, cells, strict=True)
        ]
        return self.file.encode(b"".join(content))

    def _format(self, row: Row, added: Sequence[str]) -> bytes:
        """Return a row with further fields: byte for byte as it was, if nothing of it is left out
        or repaired."""
        behind = self.delimiter + format_fields(added, self.delimiter)
        if isinstance(row.fields, bytes):
            end = self.records.find_end(row.fields)
            return row.fields[: len(row.fields) - len(end)] + behind.encode() + (end or self.end)
        kept = [row.fields[index] for index in self.kept]
        text = format_fields(kept, self.delimiter) + behind if kept else behind[1:]
        return text.encode("utf-8", "surrogateescape") + self.end

    def _read_names(self) -> tuple[bytes, list[str]]:
        record, names, problem = self.records.read() or (b"", [], "")
        if problem:
            raise InvalidInput(f"the first line must name the columns, but {problem}")
        return record, names

    def _find_columns(self, columns: Sequence[str]) -> list[tuple[int, ...]]:
        try:
            return find_columns(self.names, columns, ": its first line must name them")
        except ColumnError as error:
            records = read_sample(self.file.sample, self.delimiter)[:SAMPLE_RECORDS]
            lacks_all = len(error.columns) == len({*columns})
            if lacks_all and not error.is_ambiguous and has_no_header(self.names, records):
                wanted = self.delimiter.join(columns)
                raise ColumnError(
                    f"the file has no header: its first line, of {len(self.names)} fields, looks "
                    "like a row of data",
                    error.columns,
                    advice="Put a line that names the columns before it, such as "
                    f"{wanted!r}; if it does name them, say which by --text-column",
                ) from None
            raise

    def _repair(self, number: int, record: bytes, num_fields: int, problem: str) -> Row:
        if problem:
            return Row(number, (), problem=problem)
        width = len(self.names)
        if self.join_surplus and num_fields > width:
            fields = self._join_surplus(self.records.split(record))
            return Row(number, self.pick(fields), fields)
        problem = f"it has {num_fields} fields, the header {width}"
        mark = NAMES.get(self.delimiter, self.delimiter)[:-1]
        if num_fields < width:
            cause = f"a {mark} is missing, or a line end in a text stands outside double quotes"
            return Row(number, (), problem=f"{problem}: {cause}")
        cause = f"a {mark} in a text that is not in double quotes is the likely cause"
        if self.text_index is not None:
            cause += (
                f"; with --join-surplus, of the two columns all is text but the "
                f"{'first' if self.text_index else 'last'}"
            )
        return Row(number, (), problem=f"{problem}: {cause}")

    def _join_surplus(self, fields: list[str]) -> list[str]:
        if self.text_index == 0:
            return [self.delimiter.join(fields[:-1]), fields[-1]]
        return [fields[0], self.delimiter.join(fields[1:])]
