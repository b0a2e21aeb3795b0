"""Further labelled rows beside those of a file, such as what came back from production.

A row whose text stands in the file already says what its label is now. One that repeats a
development or test row, wholly, nearly or in part, is left out: figures would tell of what was
learned by heart.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.errors import ColumnsError, DataError
from training.rows.cells import describe_empty_cell
from training.rows.columns import Columns
from training.rows.readers import Dataset, read_dataset


@dataclass(frozen=True)
class Added:
    """What became of the rows that were added.

    Args:
        rows: That were read.
        new: Of them, those behind the last row of the file now.
        replaced: Of texts that the file has, with another label: that one counts now.
        same: Of texts that the file has, with that label, or that a later row repeats.
        held_out: That repeat a development or test row, and were left out.
        first: Number of the first new row, from 1, as if they stood in the file.
        sha256: Of all rows that were read.
    """

    path: Path
    rows: int
    new: int
    replaced: int
    same: int
    held_out: int
    first: int
    sha256: str

    def describe(self) -> dict[str, Any]:
        """Return path, rows, hash and counts, as `metadata.json` keeps them."""
        return {**dataclasses.asdict(self), "path": str(self.path)}

    def format(self) -> str:
        """Return one line for people: what was added, and what was not."""
        kinds = (
            (self.replaced, "replace the label of their text"),
            (self.same, "say nothing new"),
            (self.held_out, "left out, as they repeat development or test rows"),
        )
        told = "".join(f", {count:,} {kind}" for count, kind in kinds if count)
        numbered = f" (numbered from {self.first:,} on)" if self.new else ""
        return f"added: {self.path}, {self.new:,} of {self.rows:,} rows are new{numbered}{told}"


def read_added(path: Path, columns: Columns) -> Dataset:
    """Return rows that shall be added to those that were read by `columns`; their columns have the
    same names, or are `text` and `label`. What is UTF-8, as Minnow writes it, is read so, whatever
    the encoding of those.

    Raises:
        DataError: As `read_dataset`, and for a row without a label.
    """
    found = _read_utf8(path, columns) or _read_named(path, columns)
    for row, label in enumerate(found.labels, start=1):
        if type(label) is str and not label:
            raise DataError(describe_empty_cell(path, row, found.label_column))
    return found


def _read_utf8(path: Path, columns: Columns) -> Dataset | None:
    """Return rows of UTF-8 where `columns` name another encoding; None for others, and for those
    of ASCII alone, which some encodings use as well."""
    if columns.options.encoding is None:
        return None
    options = dataclasses.replace(columns.options, encoding=None)
    try:
        found = _read_named(path, dataclasses.replace(columns, options=options))
    except DataError:
        return None
    is_ascii = all(value.isascii() for value in (*found.texts, *found.labels))
    return None if is_ascii else found


def _read_named(path: Path, columns: Columns) -> Dataset:
    """Return rows by `columns`, or else by `text` and `label`."""
    several = bool(columns.several)
    plain = Columns(
        several=several, normalize_labels=columns.normalize_labels, separator=columns.separator
    )
    try:
        return read_dataset(path, dataclasses.replace(columns, several=several))
    except ColumnsError as error:
        try:
            return read_dataset(path, plain)
        except ColumnsError:
            raise error from None


def add_rows(train: Dataset, added: Dataset, held_out: Sequence[str]) -> tuple[Dataset, Added]:
    """Return the rows of both, and what became of the added ones; always the same for the same.

    Args:
        held_out: Texts of development and test rows.
    """
    is_out = _find_held_out(added.texts, held_out)
    last = {text: row for row, text in enumerate(added.texts) if not is_out[row]}  # it counts
    labels, known = list(train.labels), set(train.texts)
    now = {text: added.labels[row] for text, row in last.items() if text in known}
    changed = set[str]()
    for row, text in enumerate(train.texts):
        if text in now and not _is_same(now[text], labels[row]):
            labels[row] = now[text]
            changed.add(text)
    replaced = len(changed)
    new = [row for text, row in sorted(last.items(), key=lambda item: item[1]) if text not in known]
    groups = train.groups and [
        *train.groups,
        *(added.groups[row] if added.groups else f"added {row + 1}" for row in new),
    ]
    weights = train.weights and [
        *train.weights,
        *(added.weights[row] if added.weights else 1.0 for row in new),
    ]
    joined = dataclasses.replace(
        train,
        texts=[*train.texts, *(added.texts[row] for row in new)],
        labels=[*labels, *(added.labels[row] for row in new)],
        groups=groups,
        weights=weights,
    )
    num_out = sum(is_out)
    counts = (len(added), len(new), replaced, len(added) - len(new) - replaced - num_out, num_out)
    return joined, Added(added.path, *counts, len(train) + 1, added.sha256)


def _find_held_out(texts: Sequence[str], held_out: Sequence[str]) -> list[bool]:
    """Return for each text whether it repeats one that is held out."""
    if not held_out:
        return [False] * len(texts)
    from training.rows.overlaps import find_repeats  # SciPy, which reading needs not

    return [bool(repeats) for repeats in find_repeats(texts, held_out)]


def _is_same(left: str, right: str) -> bool:
    """Say whether two labels are the same, soft ones too."""
    return left == right and getattr(left, "probabilities", None) == getattr(
        right, "probabilities", None
    )
