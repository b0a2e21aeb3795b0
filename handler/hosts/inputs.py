"""Which inputs a command names: files, patterns, folders, objects, all objects below a prefix."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from handler.errors import InvalidInput
from handler.hosts.shard_files import list_keys
from handler.objects.admission import name_marker

REJECTED = ".rejected"  # what scoring leaves beside its results


def expand_inputs(inputs: Sequence[str]) -> list[str]:
    """Return the inputs with patterns and prefixes replaced by what they match, in order of name.

    Args:
        inputs: Files, patterns, folders, `s3://BUCKET/KEY`, and `s3://BUCKET/PREFIX/`.

    Raises:
        InvalidInput: There is no such file, or nothing that a pattern or prefix matches.
        DeliveryError: The bucket does not answer.
    """
    names = []
    for name in inputs:
        if name.startswith("s3://") and name.endswith("/"):
            found = _list_objects(name)
        elif "://" not in name and Path(name).is_dir():
            found = _list_files(Path(name))
        elif "://" in name or Path(name).exists():
            found = [name]
        else:
            found = sorted(glob.glob(name))
        if not found:
            raise InvalidInput(f"{name}: no such file, and no file matches it as a pattern")
        names.extend(found)
    return names


def _list_files(folder: Path) -> list[str]:
    """Return the files of a folder, without those of its folders, but for hidden ones and what
    scoring has rejected."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    shown = [name for name in names if not name.startswith(("_", "."))]
    return [str(folder / name) for name in shown if not name.endswith(REJECTED)]


def _list_objects(prefix: str) -> list[str]:
    """Return the objects below a prefix, but for markers of other programs, what scoring has
    rejected, and whatever stands below a folder whose name begins with `_` or `.`."""
    found = []
    for key in sorted(list_keys(prefix)):
        *folders, name = key.split("/")
        is_hidden = any(folder.startswith(("_", ".")) for folder in folders)
        if not is_hidden and not name_marker(f"{prefix}{key}") and not name.endswith(REJECTED):
            found.append(f"{prefix}{key}")
    return found
