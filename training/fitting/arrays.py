"""Arrays in one file (npz), which holds all of them or is not there."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.files import replacing
from training.progress import say

# What NumPy raises of an archive that was cut short or changed.
UNREADABLE = (EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error)


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write `arrays`, of any shapes and types, to `path`."""
    with replacing(path) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)


def load_arrays(path: Path) -> dict[str, NDArray[Any]] | None:
    """Return the arrays in `path`; None without a file, or, which is said, where it is not whole.

    Minnow replaces such a file as a whole. A disk or a person may still have cut it short.
    """
    if not path.exists():
        return None
    try:
        # NumPy leaves a file that it opened itself open when it turns out to be no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except UNREADABLE as error:
        say(f"{path}: cannot be read ({error}), what it held is computed again")
        return None
