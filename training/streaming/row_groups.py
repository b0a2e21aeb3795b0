"""A data set of many Parquet files, and which worker reads what of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from handler.errors import InvalidInput
from handler.rows.parquet import open_parquet
from handler.rows.rows import Position
from training.errors import DataError
from training.rows.cells import RowReader, describe_empty_cell
from training.rows.columns import Columns
from training.rows.label_sets import LabelSet
from training.rows.soft_labels import SoftLabel

ENDING = ".parquet"


@dataclass(frozen=True)
class RowGroup:
    """A row group of a Parquet file.

    Args:
        first: Rows of the file before it.
        rows: Its own.
    """

    path: Path
    first: int
    rows: int


def list_row_groups(folder: Path) -> list[RowGroup]:
    """Return all row groups of a Parquet file, or of all in a folder and its subfolders, in order
    of name; names that begin with `_` or `.` are passed over.

    Only the files' indexes are read.

    Raises:
        DataError: There is none, or one that cannot be read.
    """
    groups = []
    for path in _list_files(folder):
        try:
            with path.open("rb") as stream:
                metadata = open_parquet(stream).metadata
        except (InvalidInput, OSError) as error:
            raise DataError(f"{path}: cannot be read: {error}") from error
        first = 0
        for number in range(metadata.num_row_groups):
            rows = metadata.row_group(number).num_rows
            if rows:
                groups.append(RowGroup(path, first, rows))
            first += rows
    if not groups:
        raise DataError(f"{folder}: its Parquet files hold no rows, wanted labelled texts")
    return groups


def share_out(groups: Sequence[RowGroup], num_workers: int) -> list[list[RowGroup]]:
    """Return the groups of each worker, about as many rows for each: the largest first, each goes
    to the worker that has least.

    Raises:
        DataError: There are fewer groups than workers.
    """
    if len(groups) < num_workers:
        raise DataError(
            f"{groups[0].path.parent}: has {len(groups)} row groups of Parquet for {num_workers} "
            "workers, wanted one or more for each. Write more files, or smaller row groups."
        )
    shares: list[list[RowGroup]] = [[] for _ in range(num_workers)]
    rows = [0] * num_workers
    for group in sorted(groups, key=lambda one: -one.rows):
        least = rows.index(min(rows))
        shares[least].append(group)
        rows[least] += group.rows
    return [sorted(share, key=lambda one: (one.path, one.first)) for share in shares]


def read_row_groups(groups: Sequence[RowGroup], columns: Columns) -> Iterator[tuple[str, str]]:
    """Yield text and label of each row, checked.

    Raises:
        DataError: A cell that is no text, or a label that is none, is several or is probabilities;
            with file and row.
    """
    readers: dict[Path, RowReader] = {}
    for group in groups:
        reader = readers.setdefault(group.path, RowReader(group.path, columns))
        rows = reader.read_file(columns.names, Position(group.first))
        for number, values in enumerate(islice(rows, group.rows), group.first + 1):
            label = reader.read_label(values[1], number)
            if isinstance(label, SoftLabel | LabelSet):
                raise DataError(
                    f"{group.path}: row {number}: {columns.label_place} holds several labels or "
                    "probabilities, wanted one label: --stream learns no others."
                )
            if not label:
                raise DataError(describe_empty_cell(group.path, number, columns.label))
            yield reader.read_text(values[0], number, columns.text), label


def only_one_label(columns: Columns) -> Columns:
    """Return the columns of rows that have one label each: a bracket is not taken for a list."""
    return replace(columns, several=False)


def _list_files(folder: Path) -> list[Path]:
    if folder.is_file() and folder.suffix.lower() == ENDING:
        return [folder]
    if not folder.is_dir():
        what = "is no Parquet file" if folder.exists() else "no such file or folder"
        raise DataError(f"{folder}: {what}, wanted {ENDING}, or a folder of such files.")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() == ENDING
        and not any(part[0] in "._" for part in path.relative_to(folder).parts)
    )
    if not found:
        raise DataError(
            f"{folder}: holds no {ENDING} file, which --stream reads. Other formats are read as a "
            "whole: leave --stream out, or write them as Parquet."
        )
    return found
