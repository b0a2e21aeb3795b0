"""The folders that commands write, and what may be replaced: only what is wholly Minnow's own.

Every kind of folder says which files it holds. One that holds anything else, or lacks the file
that proves what it is, is never replaced, with --force or without.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from handler.files import PARTIAL

NEW, OLD = "new", "old"  # in the folder of the work: what is made, and what it replaces
# What file managers leave in a folder that was looked at.
LITTER = (".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Kind:
    """One kind of folder.

    Args:
        title: What people call it, with its article.
        files: Names that may stand in it, or patterns of them; and those that the list or object
            `files` in `mark` names.
        mark: The JSON file that proves it; "": any folder whose files are known.
        fields: That the object in `mark` has.
        folders: Pattern of a name -> what such a folder inside may hold.
    """

    title: str
    files: tuple[str, ...]
    mark: str = ""
    fields: tuple[str, ...] = ()
    folders: Mapping[str, Kind] = field(default_factory=dict)


# Inside a folder of work: `new` is Minnow's alone, `old` was looked at before it came there.
MADE = Kind("what is made", ("*",))
INNER_WORK = {NEW: MADE, OLD: MADE}


def find_obstacle(out: Path, kind: Kind, force: bool, inputs: Iterable[Path] = ()) -> str:
    """Return why `out` must not be written as `kind`, in one sentence or two; "" where it may.

    Args:
        force: A folder of that kind may be replaced.
        inputs: Files and folders that the command reads.
    """
    if problem := _check_place(out, kind, inputs):
        return f"{out}: {problem}"
    if not out.exists():
        return ""
    if not out.is_dir():
        return f"{out}: is a file, wanted the name of a folder for {kind.title}."
    if problem := find_problem(out, kind):
        return (
            f"{out}: exists already and is not {kind.title} ({problem}), so nothing replaces it. "
            "Give another --out."
        )
    if not force:
        return f"{out}: exists already. Give another --out, or --force to replace it."
    return ""


def find_problem(folder: Path, kind: Kind) -> str:
    """Return what shows that `folder` is not wholly Minnow's own; "" where it is, or is empty."""
    if folder.is_symlink():
        return "it is a symbolic link"
    if not folder.is_dir():
        return "it is a file"
    if not any(entry for entry in folder.iterdir() if not _is_beginning(entry, kind)):
        return ""
    listed: set[str] = set()
    if kind.mark:
        document = _read_object(folder / kind.mark)
        if document is None:
            return f"no {kind.mark}"
        if not set(kind.fields) <= document.keys():
            return f"its {kind.mark} is not that of {kind.title}"
        listed = {str(name) for name in document.get("files") or ()}
    foreign = _find_foreign(folder, kind, listed)
    return f"{foreign} is no part of it" if foreign else ""


def put_in_place(work: Path, out: Path, kind: Kind, force: bool) -> str:
    """Rename the finished folder `work/new` to `out`; return why that may not be, as
    `find_obstacle`, "" when done.

    What stood there is moved aside first and looked at again: work takes hours, in which people put
    files into folders.

    Args:
        work: The folder that is held while `out` is made.
    """
    finished, old = work / NEW, work / OLD
    if obstacle := find_obstacle(out, kind, force):
        return obstacle
    if not out.exists():
        finished.rename(out)
        return ""
    out.rename(old)
    try:
        if problem := find_problem(old, kind):
            return f"{out}: is not {kind.title} any more ({problem}), so nothing replaces it."
        finished.rename(out)
    finally:
        restore(work, out)
    return ""


def restore(work: Path, out: Path) -> None:
    """Put back what was moved aside for `out`, or remove it where `out` is there: also after a kill
    between the two renames."""
    old = work / OLD
    if not os.path.lexists(old):
        return
    if os.path.lexists(out):
        shutil.rmtree(old)
    else:
        old.rename(out)


def _check_place(out: Path, kind: Kind, inputs: Iterable[Path]) -> str:
    place = out.parent.resolve() / out.name
    if out.name in ("", "..") or Path.cwd().is_relative_to(place):
        return f"is the folder that you are in, or one around it; {kind.title} has its own folder."
    if out.is_symlink():
        return "is a symbolic link. Name the folder itself, or one that is not there yet."
    for path in inputs:
        found = path.resolve()
        if found == place or found.is_relative_to(place):
            return f"holds the input {path}. Give another --out."
        if place.is_relative_to(found):
            return f"lies inside the input {path}. Give another --out."
    parent = next(folder for folder in place.parents if os.path.lexists(folder))
    if not parent.is_dir():
        return f"cannot be made, {parent} is a file. Give another --out."
    if not os.access(parent, os.W_OK | os.X_OK):
        return f"cannot be made, {parent} is read-only for you. Give another --out."
    return ""


def _find_foreign(folder: Path, kind: Kind, listed: set[str]) -> str:
    """Return the first entry that no folder of this kind has; "" where there is none."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            inner = _find_inner(entry.name, kind, listed)
            if inner is None:
                return entry.name
            if found := _find_foreign(Path(entry.path), inner, set()):
                return f"{entry.name}/{found}"
        elif not entry.is_file(follow_symlinks=False) or not _is_known(entry.name, kind, listed):
            return entry.name
    return ""


def _find_inner(name: str, kind: Kind, listed: set[str]) -> Kind | None:
    """Return what the folder `name` inside one of this kind may hold; None: it may not be there."""
    written = name.removeprefix(PARTIAL)
    if written != name and _is_known(written, kind, listed):
        return Kind("a file that is not whole", (written,))
    return next((k for pattern, k in kind.folders.items() if fnmatchcase(name, pattern)), None)


def _is_beginning(entry: Path, kind: Kind) -> bool:
    """Say whether `entry` is all that a kill left of the first file of a folder."""
    return entry.name == f"{PARTIAL}{kind.mark}" and entry.is_dir() and not entry.is_symlink()


def _is_known(name: str, kind: Kind, listed: set[str]) -> bool:
    patterns = (kind.mark, *kind.files, *LITTER)
    return name in listed or any(fnmatchcase(name, pattern) for pattern in patterns)


def _read_object(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in `path`, empty for anything else; None where there is no file."""
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
