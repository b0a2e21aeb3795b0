"""A matrix in NumPy's `.npy`, with its words in a file beside it."""

from __future__ import annotations

import math
import tokenize
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError
from training.vectors.header import check_dim
from training.vectors.selection import Selection
from training.vectors.source import FETCH_AGAIN

MAGIC = b"\x93NUMPY"
VOCABULARY = "vocab.txt"
MAX_LINE_BYTES = 64 << 10
# NumPy reads the header as a literal of Python, and passes on what comes of broken ones.
HEADER_ERRORS = (
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    SyntaxError,
    RecursionError,
    MemoryError,
    tokenize.TokenError,
)
KINDS = "fi"  # floats, and whole numbers such as int8


def read_array_file(path: Path, selection: Selection) -> NDArray[np.float32]:
    """Return the vectors of the words that `selection` takes, shape (words, dim).

    The words of NAME.npy stand in NAME.vocab, NAME.txt or vocab.txt, one a line in the order of the
    rows; a count may follow each, as GloVe's own vocab.txt has.

    Raises:
        DataError: It is no matrix of numbers, cut short, has another number of rows than there are
            words, or values that are not finite.
    """
    table = _open_table(path)
    vocabulary = _find_vocabulary(path)
    num_words, rows = 0, []
    for row, word in enumerate(_read_words(vocabulary)):
        num_words += 1
        if selection.take(word):
            rows.append(row)
    if num_words != len(table):
        raise DataError(
            f"{path}: has {len(table):,} rows, {vocabulary.name} has {num_words:,} words: they do "
            "not belong together. Give the words of these rows, one a line."
        )
    with np.errstate(over="ignore"):  # of float64; it is found below
        vectors = table[rows].astype(np.float32)
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        row = rows[int(np.argmin(finite))]
        raise DataError(f"{path}: row {row:,} has values that are not finite. {FETCH_AGAIN}")
    return vectors


def _open_table(path: Path) -> NDArray[Any]:
    """Return the matrix as a view of the file."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # that Python 2 may have written it
                shape, is_fortran, kind = read_header(file)
            begin = file.tell()
    except HEADER_ERRORS:
        raise DataError(f"{path}: the header of .npy is damaged. {FETCH_AGAIN}") from None
    if len(shape) != 2 or kind.kind not in KINDS:
        raise DataError(
            f"{path}: holds {kind} of shape {shape}, wanted numbers of shape (words, dimensions)"
        )
    check_dim(shape[1], path, "its header")
    size, wanted = path.stat().st_size, begin + math.prod(shape) * kind.itemsize
    if size < wanted or shape[0] < 1:
        raise DataError(
            f"{path}: has {size:,} bytes, {wanted:,} are wanted for shape {shape}: it was cut "
            f"short. {FETCH_AGAIN}"
        )
    return np.memmap(path, kind, "r", begin, shape, "F" if is_fortran else "C")


def _find_vocabulary(path: Path) -> Path:
    names = (path.with_suffix(".vocab"), path.with_suffix(".txt"), path.with_name(VOCABULARY))
    for name in names:
        if name.is_file():
            return name
    raise DataError(
        f"{path}: its words are missing: wanted one a line in {names[0].name}, {names[1].name} or "
        f"{VOCABULARY} beside it"
    )


def _read_words(path: Path) -> Iterator[bytes]:
    """Yield the words of a vocabulary, without counts where its first line has one."""
    with path.open("rb") as file:
        number, has_counts = 0, False
        while line := file.readline(MAX_LINE_BYTES):
            number += 1
            if len(line) == MAX_LINE_BYTES:
                raise DataError(
                    f"{path}: line {number} has over {MAX_LINE_BYTES:,} bytes, wanted one word a "
                    "line"
                )
            word = line.rstrip(b"\r\n")
            if number == 1:
                has_counts = _has_count(word)
            yield word.split()[0] if has_counts and _has_count(word) else word


def _has_count(line: bytes) -> bool:
    fields = line.split()
    return len(fields) == 2 and fields[1].isdigit()
