"""A spreadsheet's first sheet as CSV, which is then read as any other."""

from __future__ import annotations

import datetime
import io
from typing import Any, BinaryIO

from handler.errors import InvalidInput
from handler.rows.formats import read_whole
from handler.rows.quotes import format_fields


def read_spreadsheet(stream: BinaryIO) -> BinaryIO:
    """Return the first sheet of an .xlsx file as CSV in UTF-8; it is held in memory.

    A number without decimals is written as a whole number, a date as ISO 8601 has it. Empty rows
    and the empty columns behind the last header are left out.

    Raises:
        InvalidInput: It is no spreadsheet, or python-calamine is not there to read it.
    """
    try:
        import python_calamine
    except ModuleNotFoundError:
        raise InvalidInput(
            "spreadsheets need python-calamine, which is not installed here: pip install "
            "'minnow-maas[xlsx]', or save the sheet as CSV UTF-8"
        ) from None
    content = io.BytesIO(read_whole(stream))
    try:
        workbook = python_calamine.CalamineWorkbook.from_filelike(content)
        rows = workbook.get_sheet_by_index(0).to_python()
    except Exception as error:  # the library has an error for each part that may be broken
        raise InvalidInput(
            f"the file is no spreadsheet that can be read: {type(error).__name__}"
        ) from None
    records = [[format_value(value) for value in row] for row in rows]
    width = 0
    lines = []
    for record in filter(any, records):
        width = width or max(index for index, cell in enumerate(record) if cell) + 1
        while len(record) > width and not record[-1]:
            record.pop()
        lines.append(format_fields(record, ","))
    return io.BufferedReader(io.BytesIO("".join(f"{line}\n" for line in lines).encode()))


def format_value(value: Any) -> str:
    """Return a cell as a text: 1.0 -> "1", True -> "true", a date -> "2026-01-31"."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, datetime.date | datetime.time):  # a datetime is a date
        return value.isoformat()
    return str(value)
