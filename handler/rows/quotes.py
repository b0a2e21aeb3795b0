"""Records of a CSV or TSV file, cut one by one: what is wrong with one costs no other.

`csv` parses; here stands what it leaves open: where a record ends that it cannot end, and what a
quote means in a file that does not use quotes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from typing import Any

from handler.rows.lines import MAX_ROW_BYTES, TOO_LONG, Lines

NEVER_CLOSED = "a quote in it is never closed"
# What `csv` says -> the same of a row. All else that it says is one of two things.
PROBLEMS = {
    "expected after": "a quoted field in it goes on after its closing quote",
    "new-line character": "it has a line end of another kind outside quotes",
}
OTHER_LINE_END = PROBLEMS["new-line character"]
OTHER_PROBLEM = f"it is not CSV, or has a field above {MAX_ROW_BYTES} bytes"
IN_QUOTES = re.compile(r'[^"]*(?:""[^"]*)*')
# A field of so many lines, each of which has as many delimiters as a row, is as good as certainly
# a row that opens a quote and others after it. In TSV two lines are enough: of its files most do
# not quote at all, and tabs are rare in texts.
ROWS_IN_QUOTES = {"\t": 2}
MANY_ROWS_IN_QUOTES = 8
# Fields of several lines in one record. Without a limit a file of broken quotes would be searched
# once more for each of its columns.
MAX_LONG_FIELDS = 16
OPEN, CLOSED, BROKEN = range(3)


class Records:
    """Records of `lines`: what was read, its fields, and a problem in place of them.

    Args:
        lines: At the beginning of a record.
        delimiter: Between fields.
        quoting: A value of `options.QUOTINGS`.
        width: Fields of a record; None: not known yet.
    """

    def __init__(
        self, lines: Lines, delimiter: str, quoting: str, width: int | None = None
    ) -> None:
        csv.field_size_limit(MAX_ROW_BYTES)
        self.lines = lines
        self.delimiter = delimiter
        self.has_quotes = quoting != "none"
        self.width = width
        self._ends = "\r" if lines.end == b"\r" else "\n"
        self._other_end = "\n" if lines.end == b"\r" else "\r"
        self._fed: list[str] = []
        # It asks for a second line by an IndexError, and is as new for the next record.
        self._reader = csv.reader(iter(self._fed.pop, None), delimiter=delimiter, strict=True)
        mark = re.escape(delimiter)
        # A quoted field that closes before the next delimiter, or a field as it stands.
        self._field = re.compile(rf'"([^"]*(?:""[^"]*)*)"(?={mark}|\Z)|([^{mark}]*)')

    def read(self) -> tuple[bytes, list[str], str] | None:
        """Return the next record that is not empty: its bytes, its fields, its problem."""
        while (line := self.lines.next_line()) is not None:
            if self.lines.has_cut:
                self.lines.take_cut()
                return line, [], TOO_LONG
            # Broken UTF-8 becomes lone surrogates: they are refused in a column that is asked for,
            # and in another one they are written back as the bytes they were.
            text = strip_end(line.decode("utf-8", "surrogateescape"), self._ends)
            if not text:
                continue
            if not self.has_quotes:
                return line, text.split(self.delimiter), ""
            if '"' not in text:
                problem = OTHER_LINE_END if self._other_end in text else ""
                return line, text.split(self.delimiter), problem
            return self._read_quoted(line, text)
        return None

    def find_end(self, record: bytes) -> bytes:
        """Return the line end of a record; empty at the end of a file."""
        if self._ends == "\n" and record.endswith(b"\r\n"):
            return b"\r\n"
        end = self._ends.encode()
        return end if record.endswith(end) else b""

    def split(self, record: bytes) -> list[str]:
        """Return the fields of a record whose quotes mean nothing."""
        text = strip_end(record.decode("utf-8", "surrogateescape"), self._ends)
        return text.split(self.delimiter)

    def _read_quoted(self, line: bytes, text: str) -> tuple[bytes, list[str], str]:
        fields, problem = self._parse(text)
        if problem == NEVER_CLOSED and (over := self._read_over_lines(line, text)):
            return over
        if self.delimiter == "\t" and (problem or len(fields) != self.width):
            for lenient in (self._parse_leniently(text), text.split(self.delimiter)):
                if self.width in (None, len(lenient)):
                    return line, lenient, OTHER_LINE_END if self._other_end in text else ""
        return line, fields, problem

    def _parse(self, text: str) -> tuple[list[str], str]:
        self._fed.append(text)
        try:
            return next(self._reader), ""
        except IndexError:
            return [], NEVER_CLOSED
        except csv.Error as error:
            said = str(error)
            found = (problem for part, problem in PROBLEMS.items() if part in said)
            return [], next(found, OTHER_PROBLEM)

    def _parse_leniently(self, text: str) -> list[str]:
        """Return fields; a quote that does not close properly is a character like any other."""
        fields = []
        start = 0
        while start <= len(text):
            match: Any = self._field.match(text, start)
            quoted, plain = match.groups()
            fields.append(plain if quoted is None else quoted.replace('""', '"'))
            start = match.end() + 1
        return fields

    def _read_over_lines(self, line: bytes, text: str) -> tuple[bytes, list[str], str] | None:
        """Return the record of several lines that begins with `line`; None if its quote never
        closes properly, and then the lines behind it are still to be read."""
        texts = [text]
        taken: list[tuple[bytes, int]] = []
        size = len(line)
        state, num_fields = self._scan(text, False, 1)
        long_fields = {num_fields}
        while state == OPEN and size <= MAX_ROW_BYTES and len(long_fields) <= MAX_LONG_FIELDS:
            before = self.lines.offset
            following = self.lines.next_line()
            if following is None:
                break
            taken.append((following, self.lines.offset - before))
            size += taken[-1][1]
            if self.lines.take_cut():
                break
            texts.append(following.decode("utf-8", "surrogateescape"))
            end_less = strip_end(texts[-1], self._ends)
            state, num_fields = self._scan(end_less, True, num_fields)
            long_fields.add(num_fields)
        if state == CLOSED and not self._is_rows(texts):
            record = b"".join([line, *(part for part, _ in taken)])
            whole = strip_end(record.decode("utf-8", "surrogateescape"), self._ends)
            fields, problem = self._parse(whole)
            if not problem:
                return record, fields, ""
        self.lines.put_back(taken)
        return None

    def _scan(self, text: str, is_quoted: bool, num_fields: int) -> tuple[int, int]:
        """Go through a line's fields; say how it ends, and how many fields there are so far."""
        index = 0
        while self.width is None or num_fields <= self.width:
            if is_quoted:
                index = IN_QUOTES.match(text, index).end()  # type: ignore[union-attr]
                if index == len(text):
                    return OPEN, num_fields
                index += 1  # behind the closing quote
                if index == len(text):
                    return CLOSED, num_fields
                if text[index] != self.delimiter:
                    return BROKEN, num_fields
            elif text.startswith('"', index):
                is_quoted = True
                index += 1
                continue
            elif (index := text.find(self.delimiter, index)) < 0:
                return CLOSED, num_fields
            index += 1
            num_fields += 1
            is_quoted = False
        return BROKEN, num_fields

    def _is_rows(self, texts: Sequence[str]) -> bool:
        """Say whether the lines of a quoted field are rows, each by itself."""
        fewest = ROWS_IN_QUOTES.get(self.delimiter, MANY_ROWS_IN_QUOTES)
        if self.width in (None, 1) or len(texts) < fewest:
            return False
        return all(text.count(self.delimiter) + 1 == self.width for text in texts)


def strip_end(text: str, end: str) -> str:
    """Return a line without its end: a line feed with or without a carriage return before it."""
    if end == "\n":
        return text.removesuffix("\n").removesuffix("\r")
    return text.removesuffix(end)


def format_fields(fields: Sequence[str], delimiter: str) -> str:
    """Return a record; a field is quoted where any reader might need it, a CR in it included.

    `csv` itself leaves a carriage return unquoted on Python 3.12 and before.
    """
    if len(fields) == 1 and not fields[0]:
        return '""'  # an empty line is no record
    return delimiter.join(
        '"' + field.replace('"', '""') + '"'
        if '"' in field or delimiter in field or "\n" in field or "\r" in field
        else field
        for field in fields
    )
