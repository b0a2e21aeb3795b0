"""CSV, TSV, JSON Lines and plain lines: streamed by lines of bytes, so that positions are exact."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from handler.errors import InvalidInput
from handler.rows.formats import is_broken_stream
from handler.rows.rows import COLUMNS, DECIMALS, Label, Position, Row

# A row above it is refused, not held: a file of one endless line, or an unclosed quote, must not
# fill the memory. Far above any text that a limit lets through.
MAX_ROW_BYTES = 4 << 20
TOO_LONG = f"it has a line above {MAX_ROW_BYTES} bytes"
BOM = b"\xef\xbb\xbf"


class Lines:
    """Lines of bytes with `offset`, the plain bytes before the next one."""

    def __init__(self, stream: BinaryIO, column: str) -> None:
        self.stream = stream
        self.column = column
        self.offset = 0
        self.has_cut = False  # a line was too long since the last look

    def skip_to(self, offset: int) -> None:
        """Go forward; a compressed stream cannot but read what is between."""
        if self.stream.seekable():
            self.stream.seek(offset)
        else:
            while self.offset < offset and (
                chunk := self._read(min(1 << 20, offset - self.offset))
            ):
                self.offset += len(chunk)
        self.offset = offset

    def next_line(self) -> bytes | None:
        """Return a line with its end, or None at the end; one too long is cut to MAX_ROW_BYTES."""
        line = self._read(MAX_ROW_BYTES + 1, whole_line=True)
        self.offset += len(line)
        if len(line) > MAX_ROW_BYTES:
            self.has_cut = True
            while rest := self._read(1 << 20, whole_line=True):
                self.offset += len(rest)
                if rest.endswith(b"\n"):
                    break
        if self.offset == len(line) and line.startswith(BOM):
            line = line[len(BOM) :]
        return line or None

    def take_cut(self) -> bool:
        """Return whether a line of the last row was too long."""
        has_cut, self.has_cut = self.has_cut, False
        return has_cut

    def _read(self, size: int, whole_line: bool = False) -> bytes:
        try:
            return self.stream.readline(size) if whole_line else self.stream.read(size)
        except Exception as error:
            if not is_broken_stream(error):
                raise
            raise InvalidInput(
                f"the compressed file is broken or cut off after {self.offset} plain bytes"
            ) from None


class CsvRows:
    """Rows below a header; quoted fields may hold line ends."""

    def __init__(self, lines: Lines, start: Position, delimiter: str) -> None:
        self.lines = lines
        self.dialect: dict[str, Any] = {"delimiter": delimiter, "lineterminator": "\n"}
        csv.field_size_limit(MAX_ROW_BYTES)
        names = next(self._records(), None)
        if not isinstance(names, list) or lines.column not in names:
            raise InvalidInput(
                f"none of the file's {len(names or ())} columns is named {lines.column}: "
                "its first line must name them. Another name is set by MINNOW_TEXT_COLUMN or "
                "--text-column",
                field=lines.column,
            )
        self.width = len(names)
        self.column = names.index(lines.column)
        # Scored once more, a file keeps its columns and gets the new values.
        self.kept = [index for index, name in enumerate(names) if name not in COLUMNS]
        self.header = self._write([[names[index] for index in self.kept] + list(COLUMNS)])
        self.position = Position(0, lines.offset)
        if start.row:
            lines.skip_to(start.offset)
            self.position = start

    def __iter__(self) -> Iterator[Row]:
        number = self.position.row
        for record in self._records():
            number += 1
            if self.lines.take_cut():
                row = Row(number, None, problem=TOO_LONG)
            elif isinstance(record, str):
                row = Row(number, None, problem=record)
            elif len(record) != self.width:
                row = Row(
                    number, None, problem=f"it has {len(record)} fields, the header {self.width}"
                )
            else:
                row = Row(number, record[self.column], record)
            self.position = Position(number, self.lines.offset)
            yield row

    def encode(self, rows: Sequence[Row], labels: Sequence[Label], version: str) -> bytes:
        return self._write(
            [row.fields[index] for index in self.kept] + [label, f"{score:.{DECIMALS}f}", version]
            for row, (label, score) in zip(rows, labels, strict=True)
        )

    def _records(self) -> Iterator[list[str] | str]:
        """Yield records, and the reason in place of one that cannot be parsed."""
        reader = csv.reader(self._decoded_lines(), **self.dialect)
        while True:
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error:
                yield f"it is not CSV, or has a field above {MAX_ROW_BYTES} bytes"
            else:
                if record:
                    yield record

    def _decoded_lines(self) -> Iterator[str]:
        # Broken UTF-8 becomes lone surrogates: the core refuses them in the text, and in another
        # column they are written back as the bytes they were.
        while (line := self.lines.next_line()) is not None:
            yield line.decode("utf-8", "surrogateescape")

    def _write(self, records: Any) -> bytes:
        buffer = io.StringIO()
        csv.writer(buffer, **self.dialect).writerows(records)
        return buffer.getvalue().encode("utf-8", "surrogateescape")


class JsonRows:
    """One JSON object a line; empty lines are passed over."""

    header = b""

    def __init__(self, lines: Lines, start: Position) -> None:
        self.lines = lines
        lines.skip_to(start.offset)
        self.position = start

    def __iter__(self) -> Iterator[Row]:
        number = self.position.row
        while (line := self.lines.next_line()) is not None:
            if line.isspace():
                continue
            number += 1
            row = self._read(number, line)
            self.position = Position(number, self.lines.offset)
            yield row

    def encode(self, rows: Sequence[Row], labels: Sequence[Label], version: str) -> bytes:
        lines = []
        for row, (label, score) in zip(rows, labels, strict=True):
            values = (label, round(score, DECIMALS), version)
            fields = row.fields | dict(zip(COLUMNS, values, strict=True))
            try:
                line = json.dumps(fields, ensure_ascii=False).encode()
            except UnicodeEncodeError:  # a lone surrogate beside the text stays an escape
                line = json.dumps(fields).encode()
            lines.append(line + b"\n")
        return b"".join(lines)

    def _read(self, number: int, line: bytes) -> Row:
        if self.lines.take_cut():
            return Row(number, None, problem=TOO_LONG)
        try:
            fields = json.loads(line)
        except UnicodeDecodeError as error:
            return Row(number, None, problem=f"it is not UTF-8 (byte {error.start})")
        except (ValueError, RecursionError):
            return Row(number, None, problem="it is not JSON")
        if not isinstance(fields, dict):
            return Row(number, None, problem=f"it is {type(fields).__name__}, wanted an object")
        if self.lines.column not in fields:
            return Row(number, None, problem=f"it has no field {self.lines.column}")
        return Row(number, fields[self.lines.column], fields)


class LineRows:
    """One text a line, empty ones too; the output is label, score, version, text, tabs between."""

    header = b""

    def __init__(self, lines: Lines, start: Position) -> None:
        self.lines = lines
        lines.skip_to(start.offset)
        self.position = start

    def __iter__(self) -> Iterator[Row]:
        number = self.position.row
        while (line := self.lines.next_line()) is not None:
            number += 1
            text = line.removesuffix(b"\n").removesuffix(b"\r")
            problem = TOO_LONG if self.lines.take_cut() else ""
            row = Row(number, text.decode("utf-8", "surrogateescape"), text, problem)
            self.position = Position(number, self.lines.offset)
            yield row

    def encode(self, rows: Sequence[Row], labels: Sequence[Label], version: str) -> bytes:
        return b"".join(
            f"{label}\t{score:.{DECIMALS}f}\t{version}\t".encode() + row.fields + b"\n"
            for row, (label, score) in zip(rows, labels, strict=True)
        )
