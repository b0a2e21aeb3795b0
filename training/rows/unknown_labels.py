"""Labels that a model does not know, told by their rows: what a cell holds may be a text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from training.errors import DataError
from training.rows.label_sets import shares_of

SHOWN = 10  # labels that are named, of those that are known


def check_known(labels: Sequence[str], known: Collection[str]) -> None:
    """Raise DataError for rows whose labels the model does not know; without the file's name."""
    if told := _count_unknown(labels, known):
        names = ", ".join(map(repr, list(known)[:SHOWN])) + (" …" if len(known) > SHOWN else "")
        raise DataError(
            f"{told} that the model does not know; it knows {names}. Is this the right "
            "--label-column?"
        )


def check_same(path: Path, labels: Sequence[str], known: Collection[str], train: Path) -> None:
    """Raise DataError for rows of one file whose labels the rows learned from do not have.

    Args:
        path, train: The two files.
        known: The labels of `train`.
    """
    if told := _count_unknown(labels, known):
        raise DataError(
            f"{path}: {told} that no row of {train} has. Use the same labels in both; is this the "
            "right --label-column?"
        )


def _count_unknown(labels: Sequence[str], known: Collection[str]) -> str:
    """Return how many rows have unknown labels, and the first of them; "" where none has."""
    named = {*known}
    rows = [(row, shares_of(label).keys() - named) for row, label in enumerate(labels, 1)]
    found = [(row, unknown) for row, unknown in rows if unknown]
    if not found:
        return ""
    count = len(set().union(*(unknown for _, unknown in found)))
    what = "a label" if count == 1 else f"{count:,} labels"
    if len(found) == 1:
        return f"row {found[0][0]:,} has {what}"
    return f"{len(found):,} rows, row {found[0][0]:,} the first, have {what}"
