"""Parquet: rows are read in batches; labels are written aside, as CSV, and joined at the end.

A Parquet file ends with an index of all its row groups, so it cannot be carried on by another
process. Its labels can: `label_rows` streams them out, `join_labels` makes the file in one pass,
which costs a hundredth of the scoring.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from handler.errors import InvalidInput
from handler.rows.rows import COLUMNS, DECIMALS, LABEL, SCORE, VERSION, Label, Position, Row

BATCH_ROWS = 1024
GROUP_BYTES = 32 << 20  # of one row group written: the memory that joining takes, twice
PAGE_BUFFER_BYTES = 1 << 20


class ParquetRows:
    """Rows of the text column; `encode` returns lines `row,label,score`."""

    header = b""

    def __init__(self, stream: BinaryIO, start: Position, column: str) -> None:
        self.file = open_parquet(stream)
        names = self.file.schema_arrow.names
        if column not in names:
            raise InvalidInput(
                f"none of the file's {len(names)} columns is named {column}. Another name is set "
                "by MINNOW_TEXT_COLUMN or --text-column",
                field=column,
            )
        self.column = column
        self.position = start

    def __iter__(self) -> Iterator[Row]:
        groups, number = self._groups_from(self.position.row)
        first = self.position.row
        if not groups:
            return
        for batch in self.file.iter_batches(BATCH_ROWS, groups, [self.column]):
            if number + batch.num_rows > first:
                for index, text in enumerate(batch.column(0).to_pylist(), number):
                    if index >= first:
                        self.position = Position(index + 1)
                        yield Row(index + 1, text)
            number += batch.num_rows

    def encode(self, rows: Sequence[Row], labels: Sequence[Label], version: str) -> bytes:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows(
            (row.number, label, f"{score:.{DECIMALS}f}")
            for row, (label, score) in zip(rows, labels, strict=True)
        )
        return buffer.getvalue().encode()

    def _groups_from(self, row: int) -> tuple[list[int], int]:
        """Return the row groups from the one that holds `row`, and the rows before them."""
        before = 0
        for group in range(self.file.num_row_groups):
            rows = self.file.metadata.row_group(group).num_rows
            if row < before + rows:
                return list(range(group, self.file.num_row_groups)), before
            before += rows
        return [], before


def open_parquet(stream: BinaryIO) -> Any:
    """Return a `pyarrow.parquet.ParquetFile` that reads page by page, not row group by row group.

    Raises:
        InvalidInput: Not a Parquet file, or pyarrow is not there to read it.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise InvalidInput(
            "Parquet needs pyarrow, which is not installed here: the Lambda function leaves it out "
            "for its size. Send .csv, .tsv, .jsonl or .txt, or score the file by `minnow score`"
        ) from None
    try:
        return parquet.ParquetFile(stream, buffer_size=PAGE_BUFFER_BYTES, pre_buffer=False)
    except pyarrow.ArrowInvalid:
        raise InvalidInput("the file is not Parquet, or is cut off") from None


def join_labels(source: BinaryIO, labels: BinaryIO, output: BinaryIO, version: str) -> None:
    """Write the source's rows that have a label, with it, as Parquet.

    Args:
        source: The Parquet file that was scored.
        labels: Lines `row,label,score`, in order of row.
        output: Where the bytes of the new file go; only written, never sought.
        version: The model's version, for every row.
    """
    import pyarrow
    from pyarrow import parquet

    file = open_parquet(source)
    kept = [name for name in file.schema_arrow.names if name not in COLUMNS]
    schema = pyarrow.schema([file.schema_arrow.field(name) for name in kept])
    for name, kind in ((LABEL, pyarrow.string()), (SCORE, pyarrow.float64())):
        schema = schema.append(pyarrow.field(name, kind))
    schema = schema.append(pyarrow.field(VERSION, pyarrow.string()))
    codec = "SNAPPY"
    if file.num_row_groups and file.metadata.row_group(0).num_columns:
        codec = file.metadata.row_group(0).column(0).compression
    records = csv.reader(line.decode() for line in labels)
    joined = _join(file, kept, records, schema, version)
    with parquet.ParquetWriter(
        output, schema, compression="NONE" if codec == "UNCOMPRESSED" else codec
    ) as writer:
        for table in _group(joined, schema):
            writer.write_table(table, row_group_size=len(table))


def _join(
    file: Any, kept: list[str], records: Iterator[list[str]], schema: Any, version: str
) -> Iterator[Any]:
    import pyarrow

    record = next(records, None)
    number = 0
    for batch in file.iter_batches(BATCH_ROWS):
        taken, labels, scores = [], [], []
        for index in range(batch.num_rows):
            number += 1
            if record is not None and int(record[0]) == number:
                taken.append(index)
                labels.append(record[1])
                scores.append(float(record[2]))
                record = next(records, None)
        rows = batch.take(pyarrow.array(taken, pyarrow.int64()))
        yield pyarrow.record_batch(
            [
                *(rows.column(rows.schema.get_field_index(name)) for name in kept),
                pyarrow.array(labels, pyarrow.string()),
                pyarrow.array(scores, pyarrow.float64()),
                pyarrow.array([version] * len(taken), pyarrow.string()),
            ],
            schema=schema,
        )


def _group(batches: Iterator[Any], schema: Any) -> Iterator[Any]:
    import pyarrow

    group: list[Any] = []
    for batch in batches:
        group.append(batch)
        if sum(part.nbytes for part in group) >= GROUP_BYTES:
            yield pyarrow.Table.from_batches(group, schema)
            group = []
    if group:
        yield pyarrow.Table.from_batches(group, schema)
