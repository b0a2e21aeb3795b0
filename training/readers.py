"""Labelled texts: a file that `handler.rows` reads, or a folder; here its rows become a dataset.

A folder holds one subfolder for each label, and in it one UTF-8 `.txt` file for each text, as
aclImdb has.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from handler.errors import InvalidInput
from handler.rows.formats import KINDS, Format, detect_format
from handler.rows.json_lines import NOT_UTF8
from handler.rows.reader import open_rows
from handler.rows.rows import ColumnError, Row, find_columns
from training.errors import DataError

FORMATS = tuple(f".{ending}" for ending, kind in KINDS.items() if kind != "lines")
CONVERT = "Convert the file, for example: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW"
# The reviews of aclImdb without a label stand in a folder of this name beside pos and neg.
UNLABELLED_FOLDER = "unsup"


@dataclass(frozen=True)
class Columns:
    """Which columns hold what; `group` is optional."""

    text: str = "text"
    label: str = "label"
    group: str | None = None

    @property
    def names(self) -> list[str]:
        """The columns to read, in the order of the fields."""
        return [self.text, self.label] + ([] if self.group is None else [self.group])


@dataclass(frozen=True)
class Dataset:
    """Labelled texts in file order.

    Args:
        labels: As they stand in the file; "" where there is none, which some tasks allow.
        groups: None without a group column.
        label_column: Where the labels stand, for errors.
    """

    texts: list[str]
    labels: list[str]
    groups: list[str] | None
    path: Path
    sha256: str
    label_column: str = Columns.label

    def __len__(self) -> int:
        return len(self.texts)


def read_dataset(path: Path, columns: Columns | None = None) -> Dataset:
    """Return every row of `path`.

    Raises:
        DataError: Unknown format, missing column, a row that cannot be read, a text or group that
            is null, a cell that is not Unicode text, or no row at all; the message holds the file,
            the row (1 is the first after the header), the column and what to do.
    """
    columns = columns or Columns()
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    digest = hashlib.sha256()
    rows = _read_folder(path, columns) if path.is_dir() else _read_file(path, columns)
    texts: list[str] = []
    labels: list[str] = []
    groups: list[str] = []
    for number, (text_value, label_value, *group_value) in enumerate(rows, start=1):
        text = _read_text(text_value, path, number, columns.text)
        label = _read_cell(label_value, path, number, columns.label)
        texts.append(text)
        labels.append(label)
        if columns.group is not None:
            groups.append(_read_cell(group_value[0], path, number, columns.group))
            if not groups[-1]:
                raise DataError(describe_empty_cell(path, number, columns.group))
        # As json.dumps([text, label]), which makes an encoder for every list, in half the time.
        digest.update(f"[{json.dumps(text)}, {json.dumps(label)}]".encode())
    if not texts:
        raise DataError(f"{path}: holds no rows, wanted labelled texts")
    return Dataset(texts, labels, groups or None, path, digest.hexdigest(), columns.label)


def describe_empty_cell(path: Path, number: int, column: str) -> str:
    """Return what to say of row `number` where the task, or a split, needs the cell."""
    return f"{path}: row {number}: column {column!r} is empty. Remove the row or fill the cell."


def _read_text(value: object, path: Path, number: int, column: str) -> str:
    if not isinstance(value, str):
        found = "null" if value is None else type(value).__name__
        problem = f"is {found}, wanted a text. Remove the row or give it a text."
    elif (index := _find_surrogate(value)) is None:
        return value
    elif "\udc80" <= value[index] <= "\udcff":  # these 128 stand for bytes that are not UTF-8
        problem = f"is not UTF-8 at character {index}. {CONVERT}"
    else:
        problem = (
            f"holds a lone surrogate at character {index}, wanted Unicode text. Remove the row or "
            "mend the cell."
        )
    raise DataError(f"{path}: row {number}: column {column!r} {problem}")


def _read_cell(value: object, path: Path, number: int, column: str) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return _read_text(text, path, number, column)


def _find_surrogate(text: str) -> int | None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def _read_folder(path: Path, columns: Columns) -> Iterator[tuple[object, ...]]:
    if columns.group is not None:
        raise DataError(
            f"{path}: a folder of texts has no column {columns.group!r}. Leave --group-column out, "
            "or put texts, labels and groups into one file."
        )
    folders = sorted(
        folder for folder in path.iterdir() if folder.is_dir() and folder.name != UNLABELLED_FOLDER
    )
    if not folders:
        raise DataError(f"{path}: no subfolder found, wanted one for each label")
    for folder in folders:
        for file in sorted(folder.glob("*.txt")):
            try:
                yield file.read_text(encoding="utf-8"), folder.name
            except UnicodeDecodeError as error:
                raise DataError(f"{file}: not UTF-8 at byte {error.start}. Convert it.") from None


def _read_file(path: Path, columns: Columns) -> Iterator[tuple[object, ...]]:
    file_format = _detect_format(path)
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty, wanted labelled texts")
    number = 0
    try:
        with path.open("rb") as stream:
            rows = open_rows(stream, file_format, columns.names)
            for row in rows:
                if row.number == 1 and rows.names is None and isinstance(row.fields, dict):
                    find_columns(list(row.fields), columns.names)
                if row.problem:
                    raise DataError(f"{path}: {_describe_problem(row)}")
                yield row.values
                number = row.number
    except ColumnError as error:
        raise DataError(f"{path}: {_describe_column(error, columns)}") from None
    except (InvalidInput, OSError) as error:
        raise DataError(f"{path}: cannot be read after row {number}: {error}") from error


def _detect_format(path: Path) -> Format:
    """Return the format, if files of it have columns."""
    try:
        file_format = detect_format(path.name, read_only=True)
    except InvalidInput:
        file_format = None
    if file_format is None or file_format.kind == "lines":
        raise DataError(
            f"{path}: unknown format, wanted a name that ends in {', '.join(FORMATS)} "
            "(each also with .gz or .zst), or a folder with a subfolder for each label"
        )
    return file_format


def _describe_problem(row: Row) -> str:
    cure = CONVERT if row.problem.startswith(NOT_UTF8) else "Mend the row or remove it."
    return f"row {row.number}: {row.problem}. {cure}"


def _describe_column(error: ColumnError, columns: Columns) -> str:
    if error.column in error.names:
        return f"column {error.column!r} stands there twice. Rename one."
    flags = ("--text-column", "--label-column", "--group-column")
    flag = flags[columns.names.index(error.column)]
    listed = ", ".join(repr(name) for name in error.names) or "none"
    return f"no column {error.column!r}; the columns are {listed}. Name it with {flag}."
