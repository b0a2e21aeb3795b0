"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MAKE_ROOM = "Make room, or write to another disk"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what is written there takes its place at the end.

    The temporary name keeps the ending (`a.npz` -> `.partial-a.npz`), by which libraries tell
    formats. If the block raises, the temporary file is removed and `path` is as it was.
    """
    temporary = path.with_name(f".partial-{path.name}")
    try:
        with naming(path):
            yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an error of the system the name of the file that is written, where it has none."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        is_full = error.errno == errno.ENOSPC or os.strerror(errno.ENOSPC) in str(error)
        code = errno.ENOSPC if is_full else error.errno or errno.EIO
        reason = error.strerror or str(error)
        if is_full:
            reason = f"the disk is full ({count_free(path) / 1e6:,.2f} MB free). {MAKE_ROOM}"
        raise OSError(code, reason, str(path)) from error


def check_room(path: Path, need_bytes: int) -> None:
    """Raise OSError unless `path`, which need not be there yet, can be written with so many bytes.

    Only what can be known: others may fill the disk meanwhile.
    """
    folder = _nearest_folder(path)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, f"cannot be written, {folder} is read-only for you", str(path))
    free = count_free(path)
    if free < need_bytes:
        need = f"needs about {need_bytes / 1e6:,.2f} MB, the disk has {free / 1e6:,.2f} MB free"
        raise OSError(errno.ENOSPC, f"{need}. {MAKE_ROOM}", str(path))


def count_free(path: Path) -> int:
    """Return the bytes that the disk of `path` has left."""
    return shutil.disk_usage(_nearest_folder(path)).free


def _nearest_folder(path: Path) -> Path:
    return next(folder for folder in path.resolve().parents if folder.is_dir())


def write_json(path: Path, document: Any) -> None:
    """Write `document` to `path` as indented JSON."""
    content = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(content, encoding="utf-8")
