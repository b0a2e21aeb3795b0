"""Word vectors as text: `word 0.1 -0.2 …` a line, as GloVe, word2vec and fastText's .vec write it.

Lines end with a line feed alone and fields with a blank or tab: other signs that count as line
ends or blanks in Unicode are parts of words there.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError
from training.vectors.header import MAX_DIM, check_dim, parse_header
from training.vectors.selection import MAX_WORD_BYTES, Selection
from training.vectors.source import FETCH_AGAIN

BOM = b"\xef\xbb\xbf"
# Room for a number with all digits of a double, for each dimension.
MAX_LINE_BYTES = MAX_WORD_BYTES + 32 * MAX_DIM
NUMBER = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf(inity)?)", re.IGNORECASE)
DECIMAL = re.compile(rb"[-+]?\d*\.\d+([eE][-+]?\d+)?")
MEND = f"Mend or remove the line, or: {FETCH_AGAIN[0].lower()}{FETCH_AGAIN[1:]}"


def read_text(blocks: Iterator[bytes], selection: Selection, path: Path) -> NDArray[np.float32]:
    """Return the vectors of the words that `selection` takes, shape (words, dim).

    Of rows that are not kept only the number of fields is looked at, so that millions of them take
    seconds. A row with more fields than the first is a word with blanks in it, as a thousand of
    GloVe 840B are, and no token.

    Args:
        path: For errors.

    Raises:
        DataError: Rows of different width, what is no number or not finite, a header that says
            another number of rows; the message names the line.
    """
    return _TextTable(selection, path).read(blocks)


class _TextTable:
    """Rows read so far."""

    def __init__(self, selection: Selection, path: Path) -> None:
        self._selection = selection
        self._path = path
        self._dim = 0
        self._claimed_rows: int | None = None
        self._number = 0  # lines that were read

    def read(self, blocks: Iterator[bytes]) -> NDArray[np.float32]:
        parts: list[NDArray[np.float32]] = []
        for lines in self._split_lines(blocks):
            parts.append(self._parse_values(self._take_lines(lines)))
            if self._selection.is_full:
                break
        else:
            self._check_count()
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)

    def _split_lines(self, blocks: Iterator[bytes]) -> Iterator[list[bytes]]:
        rest = b""
        for block in blocks:
            *lines, rest = (rest + block).split(b"\n")
            if len(rest) > MAX_LINE_BYTES:
                raise DataError(
                    f"{self._path}: line {self._number + len(lines) + 1} has over "
                    f"{MAX_LINE_BYTES:,} bytes: it is no text of word vectors. {FETCH_AGAIN}"
                )
            if lines:
                yield lines
        if rest:
            yield [rest]

    def _take_lines(self, lines: list[bytes]) -> list[tuple[int, bytes]]:
        """Return line number and numbers of the rows that are kept."""
        if not self._number:
            lines = self._begin(lines)
        kept = []
        dim, selection = self._dim, self._selection
        for number, line in enumerate(lines, self._number + 1):
            line = line.rstrip()
            if line.count(b" ") == dim:
                end = line.find(b" ")
                if selection.take(line[:end]):
                    kept.append((number, line[end + 1 :]))
            elif (row := self._split_row(line, number)) and selection.take(row[0]):
                kept.append((number, row[1]))
            if selection.is_full:
                break
        self._number += len(lines)
        return kept

    def _begin(self, lines: list[bytes]) -> list[bytes]:
        """Read the width from the first line; return the lines without a header."""
        first = lines[0].removeprefix(BOM).rstrip()
        if header := parse_header(first, self._path):
            self._claimed_rows, self._dim = header
            self._number = 1
            return lines[1:]
        fields = first.split()
        while self._dim < len(fields) - 1 and NUMBER.fullmatch(fields[-1 - self._dim]):
            self._dim += 1
        if self._dim == 0:
            raise DataError(
                f"{self._path}: line 1 holds no word with numbers behind it, so it is no text of "
                "word vectors: wanted GloVe's or word2vec's, .npy, or a static embedding model"
            )
        check_dim(self._dim, self._path, "line 1")
        return [first, *lines[1:]]

    def _split_row(self, line: bytes, number: int) -> tuple[bytes, bytes] | None:
        """Return word and numbers of a row whose fields do not stand one blank apart; None: there
        is no row."""
        fields = line.split()
        surplus = len(fields) - 1 - self._dim
        if not fields:
            return None
        if surplus < 0 or any(DECIMAL.fullmatch(field) for field in fields[1 : 1 + surplus]):
            said = "the header says" if self._claimed_rows is not None else "line 1 has"
            raise DataError(
                f"{self._path}: line {number} has {len(fields) - 1} numbers, {said} "
                f"{self._dim}. {MEND}"
            )
        return b" ".join(fields[: 1 + surplus]), b" ".join(fields[1 + surplus :])

    def _parse_values(self, kept: list[tuple[int, bytes]]) -> NDArray[np.float32]:
        """Return the vectors of the rows, shape (rows, dim)."""
        text = b" ".join(numbers for _, numbers in kept)
        with warnings.catch_warnings():
            # How NumPy says that it came to something that is no number.
            warnings.simplefilter("error", DeprecationWarning)
            try:
                values = np.fromstring(text, np.float32, sep=" ")
            except (DeprecationWarning, ValueError):
                values = np.zeros(0, np.float32)
        if values.size != len(kept) * self._dim or not np.isfinite(values).all():
            raise self._find_fault(kept)
        return values.reshape(len(kept), self._dim)

    def _find_fault(self, kept: list[tuple[int, bytes]]) -> DataError:
        """Return the error of the first row that is none."""
        largest = float(np.finfo(np.float32).max)
        for number, numbers in kept:
            fields = numbers.split()
            if len(fields) != self._dim:
                problem = f"has {len(fields)} numbers, wanted {self._dim}"
                return DataError(f"{self._path}: line {number} {problem}. {MEND}")
            for place, field in enumerate(fields, start=1):
                if not NUMBER.fullmatch(field):
                    problem = "is no number"
                elif not math.isfinite(float(field)) or abs(float(field)) > largest:
                    problem = "is not finite"
                else:
                    continue
                return DataError(
                    f"{self._path}: line {number}: field {place + 1} {problem}. {MEND}"
                )
        return DataError(f"{self._path}: lines {kept[0][0]} to {kept[-1][0]}: no numbers. {MEND}")

    def _check_count(self) -> None:
        claimed, found = self._claimed_rows, self._selection.num_rows
        if claimed is not None and claimed != found:
            problem = "was cut short" if found < claimed else "has another header"
            raise DataError(
                f"{self._path}: line 1 says {claimed:,} words, {found:,} follow: the file "
                f"{problem}. {FETCH_AGAIN}"
            )
