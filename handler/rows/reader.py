"""Opening a file's rows by its format: for training, `minnow score` and objects in S3 alike."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from typing import BinaryIO

from handler.rows.delimited import DelimitedRows
from handler.rows.formats import Format, decompress, read_whole
from handler.rows.json_lines import JsonRows
from handler.rows.lines import Lines
from handler.rows.plain_lines import LineRows
from handler.rows.rows import START, Position, Rows


def open_rows(
    stream: BinaryIO,
    file_format: Format,
    columns: Sequence[str],
    start: Position = START,
    added: Collection[str] = (),
) -> Rows:
    """Return the rows of a file from `start` on.

    Args:
        stream: Buffered bytes, at the file's beginning.
        file_format: From `detect_format`.
        columns: Columns whose values each row has, the text's first.
        start: The place behind a row, as an earlier reader of the same file told it.
        added: Columns that `encode` writes before the model's version: the task's.

    Raises:
        ColumnError: A column is not in the file, or more than once.
        InvalidInput: The file as a whole cannot be read.
    """
    plain = decompress(stream, file_format.compression)
    if file_format.kind == "parquet":
        from handler.rows.parquet import ParquetRows

        # Parquet is read from its end, which a compressed stream can hardly seek to.
        source = io.BytesIO(read_whole(plain)) if file_format.compression else plain
        return ParquetRows(source, columns, start)
    lines = Lines(plain)
    if file_format.kind == "jsonl":
        return JsonRows(lines, columns, start, added)
    if file_format.kind == "lines":
        return LineRows(lines, columns, start)
    delimiter = "\t" if file_format.kind == "tsv" else ","
    return DelimitedRows(lines, columns, start, added, delimiter)
