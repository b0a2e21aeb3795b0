"""What an unfinished scoring keeps beside its output, and what tells that it was finished.

While a command has more files to score, the state of a finished one stays: the same command, run
again, knows it as its own and passes it over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from handler.errors import InvalidInput
from handler.files import write_json
from handler.rows.rows import Position


def read_state(
    path: Path, identity: list[Any], partial: Path, rejected_partial: Path
) -> dict[str, Any]:
    """Return the state of an earlier run of the very same job, or that of a new one."""
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if (
            state.pop("identity") == identity
            and partial.stat().st_size >= state["bytes"]
            and rejected_partial.stat().st_size >= state["rejected_bytes"]
        ):
            return state
    except (OSError, ValueError, KeyError, AttributeError):
        pass
    return {"row": 0, "offset": 0, "bytes": 0, "rejected_bytes": 0, "num_rejected": 0}


def save_state(
    path: Path,
    identity: list[Any],
    end: Position,
    output: BinaryIO,
    rejects: BinaryIO,
    num_rejected: int,
) -> None:
    """Write down what is sure to be on the disk, after it is."""
    for file in (output, rejects):
        file.flush()
        os.fsync(file.fileno())
    state = {
        "identity": identity,
        **asdict(end),
        "bytes": output.tell(),
        "rejected_bytes": rejects.tell(),
        "num_rejected": num_rejected,
    }
    write_json(path, state)


def remove_work(target: Path) -> None:
    """Remove what an unfinished run keeps beside `target`."""
    for ending in (".partial", ".state.json", ".rejected.partial", ".partial.joined"):
        beside(target, ending).unlink(missing_ok=True)


def save_finished(target: Path, identity: list[Any], summary: Mapping[str, Any]) -> None:
    """Write down that `target` is finished, until the command is."""
    write_json(beside(target, ".state.json"), {"identity": identity, "finished": summary})


def read_finished(target: Path, identity: list[Any]) -> dict[str, Any] | None:
    """Return the summary of `target`, if the very same command has finished it and then stopped."""
    state = _read_json(beside(target, ".state.json"))
    # What is compared was JSON on one side: tuples are lists there.
    same = state.get("identity") == json.loads(json.dumps(identity))
    finished: dict[str, Any] | None = state.get("finished") if same else None
    return finished


def remove_finished(outputs: Sequence[str]) -> None:
    """Forget that a command has finished these outputs: it has finished all of them."""
    for output in outputs:
        if "://" not in output:
            beside(Path(output), ".state.json").unlink(missing_ok=True)


def check_outputs(outputs: Sequence[str]) -> None:
    """Raise InvalidInput for an output that stands already and is not of a command that stopped.

    Raises:
        InvalidInput: A file would be replaced.
    """
    for target in (Path(output) for output in outputs if "://" not in output):
        if "finished" in _read_json(beside(target, ".state.json")):
            continue  # compared with the job itself later
        rejected = beside(target, ".rejected")
        # A run that is stopped while it puts its files in place has put the rejected rows first.
        own = () if beside(target, ".partial").exists() else (rejected,)
        for path in (target, *own):
            if os.path.lexists(path):
                raise describe_taken(path)


def describe_taken(path: Path) -> InvalidInput:
    """Return the error of an output that would be replaced."""
    return InvalidInput(f"{path}: exists already. Name another file by --out; --force replaces it")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
