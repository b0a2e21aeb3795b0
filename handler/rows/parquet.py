"""Parquet: rows are read in batches; cells are written aside, as CSV, and joined at the end.

A Parquet file ends with an index of all its row groups, so it cannot be carried on by another
process. Its cells can: `ParquetRows.encode` streams them out, `join_cells` makes the file in one
pass, which costs a hundredth of the scoring.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from handler.errors import InvalidInput
from handler.inference.tasks import Cell
from handler.rows.columns import find_columns, make_picker, name_columns
from handler.rows.options import Found
from handler.rows.rows import (
    MODEL_VERSION,
    Position,
    Row,
    describe_replaced,
    find_replaced,
    format_cells,
)

BATCH_ROWS = 1024
GROUP_BYTES = 32 << 20  # of one row group written: the memory that joining takes, twice
PAGE_BUFFER_BYTES = 1 << 20
ARROW_TYPES = {str: "string", float: "float64"}  # names of pyarrow's functions, imported late


class ParquetRows:
    """Rows of a Parquet file; `encode` returns lines `row,cell,cell`, without the version."""

    header = b""

    def __init__(
        self,
        stream: BinaryIO,
        columns: Sequence[str],
        start: Position,
        added: Collection[str] = (),
    ) -> None:
        self.file = open_parquet(stream)
        self.names: list[str] = self.file.schema_arrow.names
        places = find_columns(self.names, columns)
        self.columns = list(dict.fromkeys(self.names[i] for indices in places for i in indices))
        order = {name: index for index, name in enumerate(self.columns)}
        self.pick = make_picker([[order[self.names[i]] for i in indices] for indices in places])
        self.found = Found(
            columns=name_columns(self.names, places),
            wanted=tuple(columns),
            details=describe_replaced(find_replaced(self.names, added), added),
        )
        self.number = start.row

    @property
    def position(self) -> Position:
        return Position(self.number)

    def __iter__(self) -> Iterator[Row]:
        first = self.number
        groups, before = self._groups_from(first)
        for batch in self._batches(groups):
            end = before + batch.num_rows
            if end > first:
                for number, values in enumerate(_read_values(batch, self.columns), before + 1):
                    if number > first:
                        self.number = number
                        yield Row(number, self.pick(values))
            before = end

    def encode(self, rows: Sequence[Row], cells: Sequence[Sequence[Cell]], version: str) -> bytes:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows(
            (row.number, *format_cells(new)) for row, new in zip(rows, cells, strict=True)
        )
        return buffer.getvalue().encode()

    def _batches(self, groups: list[int]) -> Iterator[Any]:
        import pyarrow

        if not groups:
            return
        try:
            yield from self.file.iter_batches(BATCH_ROWS, groups, self.columns)
        except pyarrow.ArrowInvalid:
            raise InvalidInput(
                f"the Parquet file is broken somewhere after row {self.number}"
            ) from None

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


def _read_values(batch: Any, columns: list[str]) -> Iterator[tuple[object, ...]]:
    # By name: a batch has the columns in the file's order, not in that of the asking.
    return zip(*(_to_python(batch.column(name)) for name in columns), strict=True)


def _to_python(column: Any) -> list[object]:
    try:
        values: list[object] = column.to_pylist()
        if any(isinstance(value, bytes) for value in values):  # a text that its writer did not say
            return [_escape(value) for value in column]
        return values
    except UnicodeDecodeError:  # Parquet does not check its strings: refuse the row, not the file
        return [_escape(value) for value in column]


def _escape(value: Any) -> object:
    """Return a value as Python has it, with lone surrogates for bytes that are not UTF-8."""
    try:
        plain = value.as_py()
        return plain.decode("utf-8", "surrogateescape") if isinstance(plain, bytes) else plain
    except UnicodeDecodeError:
        content: bytes = value.as_buffer().to_pybytes()
        return content.decode("utf-8", "surrogateescape")


def join_cells(
    source: BinaryIO,
    cells: Iterable[bytes],
    output: BinaryIO,
    columns: Mapping[str, type],
    version: str,
) -> None:
    """Write the source's rows that have cells, with them, as Parquet.

    Args:
        source: The Parquet file that was scored.
        cells: Lines `row,cell,cell`, in order of row, as `ParquetRows.encode` wrote them.
        output: Where the bytes of the new file go; only written, never sought.
        columns: Column of the cells -> str or float.
        version: The model's version, for every row.
    """
    import pyarrow
    from pyarrow import parquet

    file = open_parquet(source)
    names = file.schema_arrow.names
    replaced = find_replaced(names, columns)
    kept = [index for index, name in enumerate(names) if name not in replaced]
    added = [(name, getattr(pyarrow, ARROW_TYPES[kind])()) for name, kind in columns.items()]
    schema = pyarrow.schema([file.schema_arrow.field(index) for index in kept])
    for name, kind in (*added, (MODEL_VERSION, pyarrow.string())):
        schema = schema.append(pyarrow.field(name, kind))
    codec = "SNAPPY"
    if file.num_row_groups and file.metadata.row_group(0).num_columns:
        codec = file.metadata.row_group(0).column(0).compression
    records = csv.reader(line.decode() for line in cells)
    joined = _join(file, kept, records, list(columns.values()), schema, version)
    with parquet.ParquetWriter(
        output, schema, compression="NONE" if codec == "UNCOMPRESSED" else codec
    ) as writer:
        for table in _group(joined, schema):
            writer.write_table(table, row_group_size=max(len(table), 1))


def _join(
    file: Any,
    kept: list[int],
    records: Iterator[list[str]],
    kinds: list[type],
    schema: Any,
    version: str,
) -> Iterator[Any]:
    import pyarrow

    record = next(records, None)
    number = 0
    for batch in file.iter_batches(BATCH_ROWS):
        taken: list[int] = []
        columns: list[list[Cell]] = [[] for _ in kinds]
        for index in range(batch.num_rows):
            number += 1
            if record is not None and int(record[0]) == number:
                taken.append(index)
                for column, kind, cell in zip(columns, kinds, record[1:], strict=True):
                    column.append(kind(cell))
                record = next(records, None)
        columns_taken = [_take(batch.column(index), taken) for index in kept]
        values = [*columns, [version] * len(taken)]
        yield pyarrow.record_batch(
            [
                *columns_taken,
                *map(pyarrow.array, values, schema.types[len(kept) :]),
            ],
            schema=schema,
        )


def _take(column: Any, indices: list[int]) -> Any:
    """Return the values at `indices`, which ascend."""
    import pyarrow

    if len(indices) == len(column):
        return column
    try:
        return column.take(pyarrow.array(indices, pyarrow.int64()))
    except pyarrow.ArrowNotImplementedError:  # string views, which Polars writes
        values = [column.slice(index, 1) for index in indices]
        return pyarrow.concat_arrays(values) if values else column.slice(0, 0)


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
