"""What stands before the rows of word2vec's files: `400000 300`."""

from __future__ import annotations

import re
from pathlib import Path

from training.errors import DataError
from training.vectors.source import FETCH_AGAIN

# Of the largest language models; a wider row would be a file that is something else.
MAX_DIM = 16_384
_HEADER = re.compile(rb"\s*(\d{1,20})[ \t]+(\d{1,20})\s*")


def parse_header(line: bytes, path: Path) -> tuple[int, int] | None:
    """Return the number of rows and dimensions that a first line says; None: it is no header.

    Raises:
        DataError: So many dimensions cannot be.
    """
    found = _HEADER.fullmatch(line)
    if found is None:
        return None
    num_rows, dim = int(found[1]), int(found[2])
    check_dim(dim, path, "line 1")
    return num_rows, dim


def check_dim(dim: int, path: Path, where: str) -> None:
    """Raise DataError unless vectors can have `dim` dimensions.

    Args:
        where: The place in the file that says so.
    """
    if not 2 <= dim <= MAX_DIM:
        raise DataError(
            f"{path}: {where} says {dim} dimensions, wanted 2 to {MAX_DIM:,}: it is no file of "
            f"word vectors, or is damaged. {FETCH_AGAIN}"
        )
