"""Rows: what every reader of a file yields and every writer takes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from handler.inference.tasks import SCORED_COLUMNS, Cell
from handler.rows.options import Found

# The last column of a scored file, after those of the task.
MODEL_VERSION = "model_version"
# Decimals of a number: float32 holds seven digits, and a batch of other rows moves the last two.
DECIMALS = 6


class Row(NamedTuple):  # made in half the time of a frozen dataclass, which counts here
    """One row of a file.

    Args:
        number: 1 for the first row of data.
        values: One for each column that was asked for, not yet checked; the first is the text.
            Empty if the row cannot be read.
        fields: The row as its writer wants it back.
        problem: Why the row cannot be read; empty if it can.
    """

    number: int
    values: tuple[object, ...]
    fields: Any = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """A place between two rows: rows before it, and their bytes before any compression."""

    row: int = 0
    offset: int = 0


START = Position()


def find_replaced(names: Collection[str], added: Collection[str]) -> tuple[str, ...]:
    """Return the columns of a file that new ones take the place of: of the same name and, in a file
    that a model has scored, whatever that model may have added.

    Args:
        names: The file's columns.
        added: The new ones, without the version.
    """
    new = {*added, MODEL_VERSION}
    if added and MODEL_VERSION in names:
        new |= SCORED_COLUMNS
    return tuple(name for name in names if name in new)


def describe_replaced(replaced: Collection[str], added: Collection[str]) -> tuple[str, ...]:
    """Return what is to be said of columns that are left out, as another model's; none of those
    that get new values."""
    others = [name for name in replaced if name not in (*added, MODEL_VERSION)]
    return (f"without the columns of an earlier model: {', '.join(others)}",) if others else ()


class Rows(Protocol):
    """A file's rows from `position` on.

    Attributes:
        names: The file's columns, in order; None where every row names its own, or none does.
        header: What the output begins with, before any compression.
        found: How the file is read.
        position: The place behind the last row that was read.
    """

    @property
    def names(self) -> Sequence[str] | None: ...
    @property
    def header(self) -> bytes: ...
    @property
    def found(self) -> Found: ...
    @property
    def position(self) -> Position: ...

    def __iter__(self) -> Iterator[Row]: ...

    def encode(self, rows: Sequence[Row], cells: Sequence[Sequence[Cell]], version: str) -> bytes:
        """Return rows in the file's own format, with the columns that were added to it.

        Args:
            rows: Rows of this file that could be read.
            cells: One sequence for each row, one cell for each added column but the version.
            version: The model's version, the same for every row.
        """


def format_cells(cells: Iterable[Cell]) -> list[str]:
    """Return cells as texts: `("pos", 0.5)` -> `["pos", "0.500000"]`; a `Number` as it is."""
    return [f"{cell:.{DECIMALS}f}" if isinstance(cell, float) else cell for cell in cells]
