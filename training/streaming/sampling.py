"""A sample of rows by a hash of their texts, which is the same however the rows are shared out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

HASH_BYTES = 8
KEYS = 1 << (8 * HASH_BYTES)  # a key is less

Row = tuple[int, str, str]  # key, text, label


def hash_text(text: str, seed: int) -> int:
    """Return the key of a text: a number from 0 to `KEYS`, the same for texts that differ by case
    and blanks alone."""
    content = " ".join(text.casefold().split()).encode()
    salt = seed.to_bytes(8, "little")
    return int.from_bytes(hashlib.blake2b(content, digest_size=HASH_BYTES, salt=salt).digest())


class Sample:
    """The rows whose keys are lowest ("bottom-k sampling", Cohen & Kaplan 2007).

    Two samples added to each other are the sample of all their rows, in any order. At most twice
    what it holds is in memory.

    Args:
        most_rows, most_characters: What it holds at most.
    """

    def __init__(self, most_rows: int, most_characters: int) -> None:
        self._most_rows = most_rows
        self._most_characters = most_characters
        self._rows: list[Row] = []
        self._characters = 0
        self._limit: Row = (KEYS, "", "")

    def add(self, row: Row) -> None:
        if row >= self._limit:
            return
        self._rows.append(row)
        self._characters += len(row[1])
        if len(self._rows) > 2 * self._most_rows or self._characters > 2 * self._most_characters:
            self._cut()

    def add_all(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.add(row)

    @property
    def rows(self) -> list[Row]:
        """The rows, by their keys."""
        self._cut()
        return self._rows

    def _cut(self) -> None:
        self._rows.sort()
        characters = 0
        for number, row in enumerate(self._rows):
            characters += len(row[1])
            if number >= self._most_rows or characters > self._most_characters:
                self._limit = row  # there are enough before it, whatever comes
                del self._rows[number:]
                break
        self._characters = sum(len(row[1]) for row in self._rows)
