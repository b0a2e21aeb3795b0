"""The rows of one file or folder, and what its cells hold: a text, a label, a weight, a group."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from handler.errors import InvalidInput
from handler.rows.columns import ColumnError
from handler.rows.formats import KINDS, Format, detect_format
from handler.rows.json_lines import NOT_UTF8
from handler.rows.options import Found
from handler.rows.reader import open_rows
from handler.rows.rows import START, Position, Row
from training.errors import ColumnsError, DataError
from training.rows.columns import Columns, describe_column
from training.rows.folders import read_folder
from training.rows.label_sets import LabelSet, is_list, read_list
from training.rows.labels import LabelProblem, format_label, normalize_label
from training.rows.soft_labels import (
    is_soft,
    read_label_columns,
    read_probabilities,
    read_shares,
    read_soft_label,
    read_weight,
)

FORMATS = tuple(f".{ending}" for ending, kind in KINDS.items() if kind != "lines")
# Option of a column that a folder of texts cannot have -> what it holds.
BESIDE = {
    "--label-columns": "probabilities",
    "--group-column": "groups",
    "--weight-column": "weights",
}
CONVERT = "Name its encoding with --encoding, or convert it: iconv -f ENCODING -t UTF-8 OLD > NEW"


def describe_empty_cell(path: Path, number: int, column: str) -> str:
    """Return what to say of row `number` where the task, or a split, needs the cell."""
    return f"{path}: row {number}: column {column!r} is empty. Remove the row or fill the cell."


class RowReader:
    """The rows of one path; `found` once the first was read."""

    def __init__(self, path: Path, columns: Columns) -> None:
        self.path = path
        self.columns = columns
        self.found = Found()
        self._labels: dict[object, str] = {}  # cell -> label: there are few, and a check takes time

    def read(self) -> Iterator[tuple[object, ...]]:
        if self.path.is_dir():
            for name, flag in self.columns.fields[1:]:
                if flag != "--label-column":
                    raise DataError(
                        f"{self.path}: a folder of texts has no column {name!r}. Leave {flag} "
                        f"out, or put texts, labels and {BESIDE[flag]} into one file."
                    )
            return iter(read_folder(self.path, self.columns.options.encoding))
        return self.read_file(self.columns.names)

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
            if is_list(value, self.columns):
                return read_list(value, self.columns)
            if is_soft(value):
                if self.columns.several:
                    return LabelSet(read_probabilities(value, self.columns.normalize_labels))
                return read_soft_label(value, self.columns.normalize_labels)
            label = format_label(value, self.columns.most_characters)
        except LabelProblem as error:
            raise self.describe(number, error) from None
        label = self.read_text(label, number, column)
        if self.columns.normalize_labels:
            label = normalize_label(label)
        if key is not None:
            self._labels[key] = label
        return label

    def read_label_columns(self, values: Sequence[object], number: int) -> str:
        try:
            if self.columns.several:
                for name, value in zip(self.columns.labels, values, strict=True):
                    if value is None or (isinstance(value, str) and not value.strip()):
                        raise DataError(
                            f"{self.path}: row {number}: column {name!r} is empty, wanted 0 or 1, "
                            "or a probability. Fill the cell or remove the row."
                        )
                return LabelSet(read_shares(self.columns.labels, values))
            return read_label_columns(self.columns.labels, values)
        except LabelProblem as error:
            raise self.describe(number, error) from None

    def read_weight(self, value: object, number: int, column: str) -> float:
        try:
            return read_weight(value)
        except LabelProblem as error:
            error.column = column
            raise self.describe(number, error) from None

    def read_group(self, value: object, number: int, column: str) -> str:
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        group = "" if value is None else self.read_text(text, number, column)
        if not group:
            raise DataError(describe_empty_cell(self.path, number, column))
        return group

    def describe(self, number: int, problem: LabelProblem) -> DataError:
        """Return the error of a row whose label is none."""
        place = problem.column and f"column {problem.column!r}"
        place = place or self.columns.resolve(self.found).label_place
        return DataError(
            f"{self.path}: row {number}: {place} {problem}. Mend the cell or remove the row."
        )

    def read_file(
        self, names: Sequence[str], start: Position = START
    ) -> Iterator[tuple[object, ...]]:
        path = self.path
        file_format = _detect_format(path)
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty, wanted texts")
        number = start.row
        try:
            with path.open("rb") as stream:
                rows = open_rows(stream, file_format, names, start, options=self.columns.options)
                self.found = rows.found
                for row in rows:
                    if row.problem:
                        raise DataError(f"{path}: {_describe_problem(row)}")
                    yield row.values
                    number = row.number
        except ColumnError as error:
            raise ColumnsError(f"{path}: {describe_column(error, self.columns)}") from None
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
