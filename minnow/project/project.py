"""Writes a project: a folder that `sam build` and `sam deploy` work in, without a checkout."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from handler.files import holding, write_json
from minnow.errors import CommandError
from minnow.nested import restore_imports
from minnow.project.file_list import find_files
from minnow.project.function import write_sources
from training.output_folders import (
    INNER_WORK,
    LITTER,
    NEW,
    Kind,
    find_obstacle,
    put_in_place,
    restore,
)

HANDLER = "handler"
MARK = "minnow.json"  # what was written, so that what was changed is told from it
WORK = Kind("an unfinished project", (), folders=INNER_WORK)
STACK = "minnow"  # begins the names of samconfig.toml's stacks
MAX_STACK = 24  # characters: name, kind, account and more are a bucket's name of 63 at most
INNER: dict[str, Kind] = {}
ANYTHING = Kind("a folder of a project", ("*",), folders=INNER)
INNER["*"] = ANYTHING
# Made by SAM and by Python; they are replaced with the project.
MADE = (".aws-sam", "__pycache__", ".pytest_cache")
PROJECT = Kind(
    "a project",
    (".gitignore",),
    MARK,
    ("minnow", "files"),
    {name: ANYTHING for name in (HANDLER, "events", "tests", *MADE)},
)


def write_project(folder: Path, bundle: Path, force: bool = False) -> str:
    """Write a project whole or not at all; return the name that its stacks begin with.

    Args:
        force: A project in `folder` is replaced, if nobody has changed it.

    Raises:
        CommandError: `folder` must not be written, or the bundle is none.
    """
    check_free(folder, force, [bundle])
    work = folder.with_name(f".{folder.name}.partial")
    if obstacle := find_obstacle(work, WORK, True, [bundle]):
        raise CommandError(f"{_name_argument(obstacle)} A project would be made there first.")
    stack = name_stack(folder)
    with holding(work, folder):
        restore(work, folder)
        made = work / NEW
        shutil.rmtree(made, ignore_errors=True)
        try:
            made.mkdir()
            _write_files(made, stack, bundle)
            check_free(folder, force, [bundle])
            if obstacle := put_in_place(work, folder, PROJECT, force):
                raise CommandError(_name_argument(obstacle))
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return stack


def check_free(folder: Path, force: bool, inputs: Iterable[Path]) -> None:
    """Raise CommandError unless `folder` may be written."""
    if obstacle := find_obstacle(folder, PROJECT, force, inputs):
        raise CommandError(_name_argument(obstacle))
    if folder.exists() and (changed := find_changed(folder)):
        raise CommandError(
            f"{folder}: {changed} was changed since the project was made, so nothing replaces it. "
            "Give another FOLDER."
        )


def find_changed(folder: Path) -> str:
    """Return the first file of a project that is not as it was written; "" where all are."""
    if not (folder / MARK).is_file():
        return ""
    written = json.loads((folder / MARK).read_text(encoding="utf-8"))["files"]
    if not isinstance(written, dict):
        return MARK
    found = _hash_files(folder)
    found.pop(MARK)
    names = sorted(written.keys() | found.keys())
    return next((name for name in names if written.get(name) != found.get(name)), "")


def name_stack(folder: Path) -> str:
    """Return a name that stacks and buckets may have: "My_Reviews/" -> "my-reviews"."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")
    name = re.sub(r"^[^a-z]+", "", name)[:MAX_STACK].strip("-")
    return name or STACK


def _name_argument(obstacle: str) -> str:
    """Return what stands in the way, in the words of a command whose folder is its argument."""
    return obstacle.replace("another --out", "another FOLDER")


def _write_files(folder: Path, stack: str, bundle: Path) -> None:
    for name, source in find_files().items():
        target = folder / (".gitignore" if name == "gitignore" else name)
        target.parent.mkdir(exist_ok=True)
        content = source.read_text(encoding="utf-8")
        if name == "samconfig.toml":
            for before in ('stack_name = "', '"Stack='):
                content = content.replace(f"{before}{STACK}-", f"{before}{stack}-")
        elif name.endswith(".py"):
            content = restore_imports(content)
        target.write_text(content, encoding="utf-8")
    write_sources(folder / HANDLER, bundle)
    version = metadata.version("minnow-maas")
    write_json(folder / MARK, {"minnow": version, "files": _hash_files(folder)})


def _hash_files(folder: Path) -> dict[str, str]:
    """Return path -> sha256 of every file but those that SAM, Python and file managers make."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not {*path.relative_to(folder).parts} & {*MADE, *LITTER}
    }
