"""Opening a file's rows by its format: for training, `minnow score` and objects in S3 alike."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from typing import BinaryIO

from handler.rows.delimited import DEFAULT_DELIMITERS, DelimitedRows
from handler.rows.formats import Format, decompress, read_whole
from handler.rows.json_lines import JsonRows
from handler.rows.options import ReadOptions, check_options
from handler.rows.plain_lines import LineRows
from handler.rows.rows import START, Position, Rows
from handler.rows.text import open_text

FOUND = ReadOptions()
# What `spreadsheet` writes.
SHEET = ReadOptions(",", "utf-8", "standard")


def open_rows(
    stream: BinaryIO,
    file_format: Format,
    columns: Sequence[str],
    start: Position = START,
    added: Collection[str] = (),
    options: ReadOptions = FOUND,
) -> Rows:
    """Return the rows of a file from `start` on; their `found` says how it is read.

    Args:
        stream: Buffered bytes, at the file's beginning.
        file_format: From `detect_format`.
        columns: Columns whose values each row has, the text's first. "text" and "label" stand for
            evident ones too, where there is no column of that name; "title,body" joins two.
        start: The place behind a row, as an earlier reader of the same file told it.
        added: Columns that `encode` writes before the model's version: the task's.
        options: What is set; the rest is found in the file's first bytes.

    Raises:
        ColumnError: A column is not in the file, or more than once.
        InvalidInput: The file as a whole cannot be read, or an option is none.
    """
    options = check_options(options)
    plain = decompress(stream, file_format.compression)
    kind = file_format.kind
    if kind == "parquet":
        from handler.rows.parquet import ParquetRows

        # Parquet is read from its end, which a compressed stream can hardly seek to.
        source = io.BytesIO(read_whole(plain)) if file_format.compression else plain
        return ParquetRows(source, columns, start, added)
    if kind == "xlsx":
        from handler.rows.spreadsheet import read_spreadsheet

        plain, kind, options = read_spreadsheet(plain), "csv", SHEET
    file = open_text(plain, options, kind)
    if kind == "jsonl":
        return JsonRows(file, columns, start, added)
    if kind == "lines":
        return LineRows(file, columns, start)
    return DelimitedRows(file, columns, start, added, DEFAULT_DELIMITERS[kind], options)
