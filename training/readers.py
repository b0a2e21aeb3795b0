"""Labelled texts: a file that `handler.rows` reads, or a folder; here its rows become a dataset."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from handler.errors import InvalidInput
from handler.rows.columns import SHOWN_NAMES, ColumnError
from handler.rows.formats import KINDS, Format, detect_format
from handler.rows.json_lines import NOT_UTF8
from handler.rows.options import Found, ReadOptions
from handler.rows.reader import open_rows
from handler.rows.rows import Row
from training.errors import DataError
from training.folders import read_folder
from training.labels import LabelProblem, format_label, normalize_label
from training.overlaps import Overlaps, find_overlaps

FORMATS = tuple(f".{ending}" for ending, kind in KINDS.items() if kind != "lines")
CONVERT = "Name its encoding with --encoding, or convert it: iconv -f ENCODING -t UTF-8 OLD > NEW"
FLAGS = ("--text-column", "--label-column", "--group-column")


@dataclass(frozen=True)
class Columns:
    """Which columns hold what, and how they are read.

    Args:
        text: "text" stands for an evident one too, such as "review", where there is none of that
            name; "title,body" joins two.
        label: As for the text.
        group: Optional.
        options: How the file is read, as far as it is not found.
        normalize_labels: Take labels that differ by case, blanks or number form for one.
    """

    text: str = "text"
    label: str = "label"
    group: str | None = None
    options: ReadOptions = ReadOptions()
    normalize_labels: bool = False

    @property
    def names(self) -> list[str]:
        """The columns to read, in the order of the fields."""
        return [self.text, self.label] + ([] if self.group is None else [self.group])

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Columns:
        """Return the columns whose `dataclasses.asdict` was stored."""
        return cls(**{**fields, "options": ReadOptions(**fields.get("options", {}))})

    def resolve(self, found: Found) -> Columns:
        """Return the columns by the names that the file has for them."""
        if not found.columns:
            return self
        text, label, *group = found.columns
        return dataclasses.replace(self, text=text, label=label, group=group[0] if group else None)


@dataclass(frozen=True)
class Dataset:
    """Labelled texts in file order.

    Args:
        labels: As they stand in the file, without blanks around; "" where there is none, which some
            tasks allow.
        groups: None without a group column.
        label_column: Where the labels stand, for errors.
        columns: What was asked for, by the names that the file has.
        found: How the file was read.
    """

    texts: list[str]
    labels: list[str]
    groups: list[str] | None
    path: Path
    sha256: str
    label_column: str = Columns.label
    columns: Columns = field(default=Columns(), compare=False)
    found: Found = field(default=Found(), compare=False)

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def overlaps(self) -> Overlaps:
        """Which rows repeat each other; found once, in some seconds for 25,000 long texts."""
        return find_overlaps(self.texts, self.groups)


def read_dataset(path: Path, columns: Columns | None = None) -> Dataset:
    """Return every row of `path`.

    Raises:
        DataError: Unknown format, missing column, a row that cannot be read, a text or group that
            is null, a cell that is not Unicode text, a label that is none, or no row at all; the
            message holds the file, the row (1 is the first after the header), the column and what
            to do.
    """
    columns = columns or Columns()
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    reader = _Reader(path, columns)
    texts: list[str] = []
    labels: list[str] = []
    groups: list[str] = []
    digest = hashlib.sha256()
    for number, (text_value, label_value, *group_value) in enumerate(reader.read(), start=1):
        text = reader.read_text(text_value, number, columns.text)
        label = reader.read_label(label_value, number)
        texts.append(text)
        labels.append(label)
        if columns.group is not None:
            groups.append(reader.read_group(group_value[0], number, columns.group))
        # As json.dumps([text, label]), which makes an encoder for every list, in half the time.
        digest.update(f"[{json.dumps(text)}, {json.dumps(label)}]".encode())
    if not texts:
        raise DataError(f"{path}: holds no rows, wanted labelled texts")
    resolved = columns.resolve(reader.found)
    return Dataset(
        texts,
        labels,
        groups or None,
        path,
        digest.hexdigest(),
        resolved.label,
        resolved,
        reader.found,
    )


def describe_empty_cell(path: Path, number: int, column: str) -> str:
    """Return what to say of row `number` where the task, or a split, needs the cell."""
    return f"{path}: row {number}: column {column!r} is empty. Remove the row or fill the cell."


class _Reader:
    """The rows of one path; `found` once the first was read."""

    def __init__(self, path: Path, columns: Columns) -> None:
        self.path = path
        self.columns = columns
        self.found = Found()
        self._labels: dict[object, str] = {}  # cell -> label: there are few, and a check takes time

    def read(self) -> Iterator[tuple[object, ...]]:
        if self.path.is_dir():
            if self.columns.group is not None:
                raise DataError(
                    f"{self.path}: a folder of texts has no column {self.columns.group!r}. Leave "
                    "--group-column out, or put texts, labels and groups into one file."
                )
            return iter(read_folder(self.path, self.columns.options.encoding))
        return self._read_file()

    def read_text(self, value: object, number: int, column: str) -> str:
        if not isinstance(value, str):
            found = "null" if value is None else type(value).__name__
            problem = f"is {found}, wanted a text. Remove the row or give it a text."
        elif (index := _find_surrogate(value)) is None:
            return value
        elif "\udc80" <= value[index] <= "\udcff":  # these 128 stand for bytes that are not UTF-8
            problem = f"is not {self.found.encoding.upper()} at character {index}. {CONVERT}"
        else:
            problem = (
                f"holds a lone surrogate at character {index}, wanted Unicode text. Remove the row "
                "or mend the cell."
            )
        raise DataError(f"{self.path}: row {number}: column {column!r} {problem}")

    def read_label(self, value: object, number: int) -> str:
        key = value if isinstance(value, str) else None
        if key is not None and (known := self._labels.get(key)) is not None:
            return known
        column = self.columns.label
        try:
            label = format_label(value)
        except LabelProblem as error:
            raise DataError(
                f"{self.path}: row {number}: column {column!r} {error}. Mend the cell or remove "
                "the row."
            ) from None
        label = self.read_text(label, number, column)
        if self.columns.normalize_labels:
            label = normalize_label(label)
        if key is not None:
            self._labels[key] = label
        return label

    def read_group(self, value: object, number: int, column: str) -> str:
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        group = "" if value is None else self.read_text(text, number, column)
        if not group:
            raise DataError(describe_empty_cell(self.path, number, column))
        return group

    def _read_file(self) -> Iterator[tuple[object, ...]]:
        path = self.path
        file_format = _detect_format(path)
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty, wanted labelled texts")
        number = 0
        try:
            with path.open("rb") as stream:
                rows = open_rows(
                    stream, file_format, self.columns.names, options=self.columns.options
                )
                self.found = rows.found
                for row in rows:
                    if row.problem:
                        raise DataError(f"{path}: {_describe_problem(row)}")
                    yield row.values
                    number = row.number
        except ColumnError as error:
            raise DataError(f"{path}: {_describe_column(error, self.columns)}") from None
        except (InvalidInput, OSError) as error:
            raise DataError(f"{path}: cannot be read after row {number}: {error}") from error


def _find_surrogate(text: str) -> int | None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def _detect_format(path: Path) -> Format:
    try:
        return detect_format(path.name, read_only=True)
    except InvalidInput:
        raise DataError(
            f"{path}: unknown format, wanted a name that ends in {', '.join(FORMATS)}, .txt with "
            "fastText's labels (each also with .gz or .zst), or a folder with a subfolder for each "
            "label"
        ) from None


def _describe_problem(row: Row) -> str:
    cure = CONVERT if row.problem.startswith(NOT_UTF8) else "Mend the row or remove it."
    return f"row {row.number}: {row.problem}. {cure}"


def _describe_column(error: ColumnError, columns: Columns) -> str:
    flags = [FLAGS[columns.names.index(column)] for column in error.columns]
    if error.advice:
        return f"{error}."
    if any(column in error.names for column in error.columns):
        return f"column {error.column!r} stands there twice. Rename one."
    shown = ", ".join(repr(name) for name in error.names[:SHOWN_NAMES]) or "none"
    if error.is_ambiguous:
        return f"several columns could be {error.column!r}: {shown}. Name it with {flags[0]}."
    if len(error.names) > SHOWN_NAMES:
        shown += f" and {len(error.names) - SHOWN_NAMES} more"
    wanted = " and no column ".join(repr(column) for column in error.columns)
    it = "it" if len(flags) == 1 else "them"
    return f"no column {wanted}; the columns are {shown}. Name {it} with {' and '.join(flags)}."
