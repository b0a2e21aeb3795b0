"""Which delimiter a file has, and whether its first line names columns."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence

from handler.rows.columns import ColumnError, find_columns
from handler.rows.quotes import strip_end

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_RECORDS = 50
# Of columns none of which is asked for, one with more words or characters is hardly a name.
MAX_NAME_WORDS = 2
MAX_NAME_CHARACTERS = 60
SEPARATOR_LINE = "sep="  # the first line of some files of spreadsheets: `sep=;`


def find_separator_line(sample: str) -> str:
    """Return the line that names the delimiter and is no record, without its end, or nothing."""
    first = strip_end(sample.partition("\n")[0], "\n").partition("\r")[0]
    is_separator = first.lower().startswith(SEPARATOR_LINE) and len(first) == 5
    return first if is_separator else ""


def find_delimiter(sample: str, columns: Sequence[str], default: str) -> str:
    """Return the delimiter below which the columns are found; else the one that all lines have.

    Args:
        sample: The first lines.
        columns: What is asked for.
        default: That of files with this ending.
    """
    if line := find_separator_line(sample):
        return line[-1]
    candidates = [default, *(other for other in DELIMITERS if other != default)]
    records = {delimiter: read_sample(sample, delimiter) for delimiter in candidates}
    for delimiter in candidates:
        if records[delimiter] and _has_columns(records[delimiter][0], columns):
            return delimiter
    for delimiter in candidates:
        widths = Counter(map(len, records[delimiter]))
        if widths and (width := max(widths, key=widths.__getitem__)) > 1:
            # Most records, the first among them: a text may hold a delimiter without quotes.
            if 2 * widths[width] > widths.total() and len(records[delimiter][0]) == width:
                return delimiter
    return default


def read_sample(sample: str, delimiter: str) -> list[list[str]]:
    """Return the first records, as far as they can be told; only to look at."""
    lines = (line for line in sample.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    found = []
    try:
        for record in csv.reader(lines, delimiter=delimiter):
            if record:
                found.append(record)
            if len(found) == SAMPLE_RECORDS:
                break
    except csv.Error:
        pass
    return found


def has_no_header(names: Sequence[str], records: Sequence[Sequence[str]]) -> bool:
    """Say whether a first line that lacks the columns asked for is a row of data itself.

    Args:
        names: The fields of the first line.
        records: The first records, that line among them.
    """
    if any(_is_no_name(name) for name in names):
        return True
    # One of few labels comes again further down, which a name does not.
    for index, name in enumerate(names):
        below = [record[index] for record in records[1:] if len(record) == len(names)]
        if name in below:
            return True
    return False


def _is_no_name(name: str) -> bool:
    name = name.strip()
    is_long = len(name) > MAX_NAME_CHARACTERS or len(name.split()) > MAX_NAME_WORDS
    return is_long or (bool(name) and name.replace(".", "").replace("-", "").isdecimal())


def _has_columns(names: Sequence[str], columns: Sequence[str]) -> bool:
    try:
        find_columns(names, columns)
    except ColumnError as error:
        return len(error.names) < len(names)  # it is there twice: for the reader to say
    return True
