"""Rows: what every reader yields and every writer takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

LABEL = "predicted_label"
SCORE = "predicted_score"
VERSION = "model_version"
COLUMNS = (LABEL, SCORE, VERSION)
# Decimals of a score: float32 holds seven digits, and a batch of other rows moves the last two.
DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file.

    Args:
        number: 1 for the first row of data.
        text: What is to be scored, not yet checked.
        fields: The row as its writer wants it back.
        problem: Why the row cannot be read; empty if it can.
    """

    number: int
    text: object
    fields: Any = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """A place between two rows: rows before it, and their bytes before any compression."""

    row: int = 0
    offset: int = 0


Label = tuple[str, float]  # label, score


class Rows(Protocol):
    """A file's rows from `position` on; `header` is what its output begins with."""

    position: Position
    header: bytes

    def __iter__(self) -> Iterator[Row]: ...

    def encode(self, rows: Sequence[Row], labels: Sequence[Label], version: str) -> bytes:
        """Return the rows as the same format, with the columns of COLUMNS."""
