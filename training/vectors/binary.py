"""word2vec's binary file: `400000 300`, then word, blank and float32 values for each row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError
from training.vectors.header import parse_header
from training.vectors.selection import Selection
from training.vectors.source import FETCH_AGAIN

MAX_WORD_BYTES = 16 << 10  # phrases too, which are passed over; the longest of Google's has 98
FLOAT = np.dtype("<f4")


def read_binary(blocks: Iterator[bytes], selection: Selection, path: Path) -> NDArray[np.float32]:
    """Return the vectors of the words that `selection` takes, shape (words, dim).

    Args:
        path: For errors.

    Raises:
        DataError: The file ends within a row or before the header's last one, goes on behind it,
            or has a value that is not finite; the message names the byte.
    """
    return _BinaryTable(blocks, path).read(selection)


class _BinaryTable:
    """A window of the file: `_buffer` from byte `_start` on, read up to `_position` in it."""

    def __init__(self, blocks: Iterator[bytes], path: Path) -> None:
        self._blocks = blocks
        self._path = path
        self._buffer = next(blocks, b"")
        self._start = 0
        self._position = 0

    def read(self, selection: Selection) -> NDArray[np.float32]:
        line, _, _ = self._buffer.partition(b"\n")
        header = parse_header(line, self._path)
        if header is None:
            raise DataError(f"{self._path}: line 1 is no header of word2vec. {FETCH_AGAIN}")
        num_rows, dim = header
        self._position = len(line) + 1
        kept, places = [], []
        while selection.num_rows < num_rows and not selection.is_full:
            word, place = self._find_word(dim * FLOAT.itemsize, num_rows, selection.num_rows)
            if selection.take(word):
                kept.append(self._buffer[place : self._position])
                places.append(self._start + place)
        if not selection.is_full:
            self._check_end(num_rows)
        vectors = np.frombuffer(b"".join(kept), FLOAT).reshape(len(kept), dim).astype(np.float32)
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            place = places[int(np.argmin(finite))]
            problem = f"the vector at byte {place:,} has values that are not finite"
            raise DataError(f"{self._path}: {problem}. {FETCH_AGAIN}")
        return vectors

    def _find_word(self, size: int, num_rows: int, done: int) -> tuple[bytes, int]:
        """Return the next word and where its vector begins in the buffer; go behind both."""
        end = self._buffer.find(b" ", self._position)
        if end < 0 or end + 1 + size > len(self._buffer):
            self._fill(MAX_WORD_BYTES + 1 + size)
            end = self._buffer.find(b" ", self._position)
        if end - self._position > MAX_WORD_BYTES or (
            end < 0 and len(self._buffer) - self._position > MAX_WORD_BYTES
        ):
            raise DataError(
                f"{self._path}: byte {self._start + self._position:,} should begin a word, and no "
                f"blank follows it: the file is damaged, or is not word2vec's. {FETCH_AGAIN}"
            )
        if end < 0 or end + 1 + size > len(self._buffer):
            raise DataError(
                f"{self._path}: ends at byte {self._start + len(self._buffer):,}, within word "
                f"{done + 1:,} of {num_rows:,} that line 1 says: it was cut short. {FETCH_AGAIN}"
            )
        word = self._buffer[self._position : end].lstrip(b"\n")  # the end of the row before
        self._position = end + 1 + size
        return word, end + 1

    def _fill(self, size: int) -> None:
        """Read on until so many bytes stand behind the position, or the file ends."""
        parts = [self._buffer[self._position :]]
        room = size - len(parts[0])
        self._start += self._position
        self._position = 0
        while room > 0 and (block := next(self._blocks, b"")):
            parts.append(block)
            room -= len(block)
        self._buffer = b"".join(parts)

    def _check_end(self, num_rows: int) -> None:
        rest = self._buffer[self._position :]
        while rest or (rest := next(self._blocks, b"")):
            if rest.strip():
                raise DataError(
                    f"{self._path}: line 1 says {num_rows:,} words, and more follows them: the "
                    f"header is wrong, or the file is not word2vec's. {FETCH_AGAIN}"
                )
            rest = b""
