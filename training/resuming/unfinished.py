"""Work in progress: of which data and settings it is, so that none goes on from another's."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from handler.files import empty_folder, write_json
from training.errors import RunError
from training.progress import say
from training.run_folder import STARTED


def claim(partial: Path, started: dict[str, Any], force: bool) -> None:
    """Empty `partial` for a new training, unless it holds the same one, unfinished.

    Args:
        started: What the training is of: settings, data, task.
        force: Give up one that is another's.

    Raises:
        RunError: It holds another one.
    """
    note = partial / STARTED
    signature = hashlib.sha256(repr(sorted(_flatten(started))).encode()).hexdigest()
    started = {"signature": signature, **started}
    if note.exists():
        found = _read_started(note)
        if found.get("signature") == signature:
            return
        if found and not force:
            changed = sorted(set(_flatten(found)) ^ set(_flatten(started)))
            names = sorted({name for name, _ in changed} - {"signature"})
            raise RunError(
                f"{partial}: holds unfinished training of other settings or data "
                f"({', '.join(names)} differ). Repeat them to go on, or start anew with --force."
            )
    empty_folder(partial, STARTED)
    write_json(note, started)


def _read_started(note: Path) -> dict[str, Any]:
    """Return what the unfinished training is; empty where it does not tell any more."""
    try:
        found = json.loads(note.read_text("utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        say(f"{note}: cut short, the training starts anew")
        return {}
    return found


def _flatten(value: Any, name: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        parts = [_flatten(part, f"{name}.{key}".strip(".")) for key, part in value.items()]
        return [pair for part in parts for pair in part]
    return [(name, repr(list(value) if isinstance(value, tuple) else value))]
