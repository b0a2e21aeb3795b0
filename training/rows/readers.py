"""Labelled texts: a file that `handler.rows` reads, or a folder; here its rows become a dataset."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from handler.rows.options import Found
from training.errors import DataError
from training.rows.cells import RowReader
from training.rows.columns import Columns
from training.rows.label_sets import LabelSet, settle_labels
from training.rows.soft_labels import SoftLabel

if TYPE_CHECKING:
    from training.rows.overlaps import Overlaps


@dataclass(frozen=True)
class Dataset:
    """Labelled texts in file order.

    Args:
        labels: As they stand in the file, without blanks around; "" where there is none, which some
            tasks allow; a `SoftLabel` where it is probabilities, a `LabelSet` where a row can have
            several.
        groups: None without a group column.
        label_column: Where the labels stand, where they have one column.
        columns: What was asked for, by the names that the file has.
        found: How the file was read.
        weights: What each row counts, above 0; None without a weight column.
    """

    texts: list[str]
    labels: list[str]
    groups: list[str] | None
    path: Path
    sha256: str
    label_column: str = Columns.label
    columns: Columns = field(default=Columns(), compare=False)
    found: Found = field(default=Found(), compare=False)
    weights: list[float] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def label_place(self) -> str:
        """Where the labels stand, for errors: `rows.csv: column 'label'`."""
        columns = replace(self.columns, label=self.label_column)
        return f"{self.path}: {columns.label_place}"

    @cached_property
    def overlaps(self) -> Overlaps:
        """Which rows repeat each other; found once, in some seconds for 25,000 long texts."""
        from training.rows.overlaps import find_overlaps  # SciPy, which reading needs not

        return find_overlaps(self.texts, self.groups)


def read_dataset(path: Path, columns: Columns | None = None) -> Dataset:
    """Return every row of `path`.

    Raises:
        DataError: Unknown format, missing column, a row that cannot be read, a text or group that
            is null, a cell that is not Unicode text, a label or weight that is none, or no row at
            all; the message holds the file, the row (1 is the first after the header), the column
            and what to do.
    """
    columns = columns or Columns()
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    reader = RowReader(path, columns)
    texts: list[str] = []
    labels: list[str] = []
    groups: list[str] = []
    weights: list[float] = []
    digest = hashlib.sha256()
    others = 1 + max(1, len(columns.labels))  # where the columns behind the labels begin
    for number, values in enumerate(reader.read(), start=1):
        text = reader.read_text(values[0], number, columns.text)
        if columns.labels:
            label: str = reader.read_label_columns(values[1:others], number)
        else:
            label = reader.read_label(values[1], number)
        texts.append(text)
        labels.append(label)
        if columns.group is not None:
            groups.append(reader.read_group(values[others], number, columns.group))
        # As json.dumps([text, label]), which makes an encoder for every list, in half the time.
        content = f"{json.dumps(text)}, {_dump_label(label)}"
        if columns.weight is not None:
            weights.append(reader.read_weight(values[-1], number, columns.weight))
            content += f", {weights[-1]!r}"
        digest.update(f"[{content}]".encode())
    if not texts:
        raise DataError(f"{path}: holds no rows, wanted labelled texts")
    labels, columns = settle_labels(labels, columns, reader.describe)
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
        weights or None,
    )


def read_texts(path: Path, columns: Columns) -> Iterator[str]:
    """Yield the text of every row of a file, "" where there is none; no other column is looked for.

    Raises:
        DataError: Unknown format, missing column, a row that cannot be read, a cell that is not
            Unicode text.
    """
    reader = RowReader(path, columns)
    for number, (value,) in enumerate(reader.read_file([columns.text]), start=1):
        yield "" if value is None else reader.read_text(value, number, columns.text)


def _dump_label(label: str) -> str:
    if isinstance(label, SoftLabel | LabelSet):
        return json.dumps(label.probabilities, sort_keys=True)
    return json.dumps(label)
