"""The texts of a file, and the same rows with the probabilities beside them."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from handler.errors import InvalidInput
from handler.inference.tasks import Cell
from handler.rows.columns import ColumnError
from handler.rows.formats import Format, compress, detect_format
from handler.rows.options import ReadOptions
from handler.rows.reader import open_rows
from handler.rows.rows import DECIMALS, Row, Rows
from training.errors import DataError
from training.labelling.labeller import Probabilities
from training.rows.columns import Columns, describe_column

LABEL = "label"  # the column that is written
ADDED: Mapping[str, type] = {LABEL: str}
BLOCK_ROWS = 1024
# Kind of file that is read and cannot be written with probabilities -> what is written.
WRITTEN_AS = {"lines": ("jsonl", ".jsonl"), "xlsx": ("csv", ".csv")}


@dataclass(frozen=True)
class Source:
    """A file of texts, and how it is read."""

    path: Path
    column: str = "text"
    options: ReadOptions = ReadOptions()

    @contextmanager
    def open(self, others: Sequence[str] = ()) -> Iterator[tuple[Rows, BinaryIO]]:
        """Yield the rows and the file that they are read from.

        Args:
            others: Columns whose values each row has behind its text.

        Raises:
            DataError: It cannot be read, or has no such column.
        """
        columns = Columns(self.column)
        kind = find_format(self.path)
        try:
            with self.path.open("rb") as stream:
                names = [self.column, *others]
                rows = open_rows(stream, kind, names, added=ADDED, options=self.options)
                yield rows, stream
        except ColumnError as error:
            raise DataError(f"{self.path}: {describe_column(error, columns)}") from None
        except InvalidInput as error:
            raise DataError(f"{self.path}: cannot be read: {error}") from error


def find_format(path: Path) -> Format:
    """Return the format of a file to read."""
    if path.is_dir():
        raise DataError(f"{path}: is a folder, wanted a file of texts.")
    try:
        return detect_format(path.name, read_only=True)
    except InvalidInput as error:
        raise DataError(f"{path}: {error}.") from None


def find_written(source: Path, out: Path) -> Format:
    """Return the format of the output.

    Raises:
        DataError: Its name says another than rows of the source can be written in.
    """
    kind = find_format(source).kind
    wanted, ending = WRITTEN_AS.get(kind, (kind, "".join(source.suffixes[-2:]) or source.suffix))
    try:
        found = detect_format(out.name)
    except InvalidInput as error:
        raise DataError(f"{out}: {error}.") from None
    if found.kind != wanted:
        raise DataError(
            f"{out}: its name says another format than rows of {source.name} are written in. Name "
            f"one that ends in {ending}."
        )
    return found


def find_text(row: Row) -> tuple[str, str]:
    """Return the text of a row and "", or "" and why it has none that can be asked for."""
    if row.problem:
        return "", row.problem
    text = row.values[0]
    if not isinstance(text, str):
        return "", "it has no text"
    if not text.strip():
        return "", "its text is empty"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "", "its text is not Unicode"
    return text, ""


def write_rows(
    source: Source,
    path: Path,
    written: Format,
    labels: Sequence[str],
    decide: Callable[[Row], Probabilities | None],
    name: str,
) -> str:
    """Write the rows for which `decide` gives probabilities; return the sha256 of the file.

    Args:
        path: Where nothing stands yet.
        written: From `find_written`.
        labels: In whose order the probabilities stand.
        name: Of the labeller, which stands in each row.
    """
    if written.kind != "parquet":
        with path.open("wb") as output:
            _write_blocks(source, output, written, labels, decide, name)
    else:  # its rows are joined out of their cells
        with tempfile.TemporaryFile() as cells:
            _write_blocks(source, cells, written, labels, decide, name)
            _join_parquet(source, cells, path, name)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_blocks(
    source: Source,
    output: Any,
    written: Format,
    labels: Sequence[str],
    decide: Callable[[Row], Probabilities | None],
    name: str,
) -> None:
    with source.open() as (rows, _):
        if rows.header:
            output.write(compress(rows.header, written.compression))
        for block, cells in _read_blocks(rows, labels, decide, written):
            content = _encode(rows, block, cells, name, source)
            output.write(compress(content, written.compression))


def _read_blocks(
    rows: Rows,
    labels: Sequence[str],
    decide: Callable[[Row], Probabilities | None],
    written: Format,
) -> Iterator[tuple[list[Row], list[tuple[Cell]]]]:
    block: list[Row] = []
    cells: list[tuple[Cell]] = []
    for row in rows:
        if (probabilities := decide(row)) is not None:
            block.append(row)
            cells.append((_make_cell(labels, probabilities, written),))
        if len(block) >= BLOCK_ROWS:
            yield block, cells
            block, cells = [], []
    if block:
        yield block, cells


def _make_cell(labels: Sequence[str], probabilities: Probabilities, written: Format) -> Cell:
    """Return the JSON object of the probabilities above 0; in JSON Lines it stays an object."""
    rounded = zip(labels, (round(number, DECIMALS) for number in probabilities), strict=True)
    found = {label: number for label, number in rounded if number}
    if written.kind == "jsonl":
        return cast(Cell, found)
    return json.dumps(found, ensure_ascii=False)


def _encode(
    rows: Rows, block: list[Row], cells: list[tuple[Cell]], name: str, source: Source
) -> bytes:
    if find_format(source.path).kind != "lines":
        return rows.encode(block, cells, name)
    lines: list[dict[str, Any]] = [
        {"text": row.values[0], LABEL: cell, "model_version": name}
        for row, (cell,) in zip(block, cells, strict=True)
    ]
    return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines).encode()


def _join_parquet(source: Source, cells: Any, path: Path, name: str) -> None:
    from handler.rows.parquet import join_cells

    cells.seek(0)
    with source.path.open("rb") as stream, path.open("wb") as output:
        join_cells(stream, cells, output, ADDED, name)
        os.fsync(output.fileno())
