"""What an unfinished scoring keeps beside its output: `scored.csv.partial`, held by one process.

rows          what takes the output's place in the end
cells         of Parquet: what the rows are made of when all are scored
rejected      the rejected rows so far
state.json    whose work it is, and how much of it is sure; then that it is finished
upload.json   how far an output in S3 is sent

Finished files are put in place by renaming, each once, which a run after a kill carries on. While a
command has more files to score, the state of a finished one stays: the same command, run again,
knows it as its own and passes it over.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from handler.errors import InvalidInput
from handler.files import check_idle, empty_folder, holding, write_json
from handler.rows.rows import Position

START = {"row": 0, "offset": 0, "bytes": 0, "rejected_bytes": 0, "num_rejected": 0}


class Work:
    """The files of the work on one output.

    Args:
        output: A file, or `s3://BUCKET/KEY`, whose work stands below the user's cache folder.
        review: The file of the rows that are not answered; None: they get none.
    """

    def __init__(self, output: str, review: Path | None = None) -> None:
        self.output = output
        self.target_review = review
        self.is_object = "://" in output
        self.folder = _find_cache(output) if self.is_object else Path(f"{output}.partial")
        self.rows = self.folder / "rows"
        self.rejected = self.folder / "rejected"
        self.cells = self.folder / "cells"
        self.state = self.folder / "state.json"
        self.upload = self.folder / "upload.json"

    @property
    def review(self) -> Path | None:
        """Where the rows that are not answered stand before they are in place: beside it."""
        target = self.target_review
        return None if target is None else target.with_name(f".{target.name}.partial")

    @property
    def target(self) -> Path:
        return Path(self.output)

    @property
    def target_rejected(self) -> Path:
        return Path(f"{self.output}.rejected")

    def read(self) -> dict[str, Any]:
        """Return the state; empty where there is none, or none that can be read."""
        try:
            state = json.loads(self.state.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def read_position(self, identity: list[Any], written: Path) -> dict[str, int]:
        """Return how far an earlier run of the very same job is, or the start of a new one.

        Args:
            written: The rows or cells so far.
        """
        state = self.read()
        try:
            if (
                _is_same(state.get("identity"), identity)
                and written.stat().st_size >= state["bytes"]
                and self.rejected.stat().st_size >= state["rejected_bytes"]
            ):
                return {name: int(state[name]) for name in START}
        except (OSError, KeyError, TypeError, ValueError):
            pass
        return START

    def read_finished(self, identity: list[Any]) -> dict[str, Any] | None:
        """Return the summary, if the very same job was finished and its output is still there."""
        state = self.read()
        finished: dict[str, Any] | None = state.get("finished")
        if not finished or not _is_same(state.get("identity"), identity):
            return None
        is_there = self.rows.exists() or (not self.is_object and self.target.exists())
        return finished if is_there else None

    def save_position(
        self,
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
        write_json(self.state, state)

    def save_finished(self, identity: list[Any], summary: Mapping[str, Any]) -> None:
        """Write down that all is scored: what follows is putting it in place."""
        write_json(self.state, {"identity": identity, "finished": summary})

    def put_review_in_place(self) -> None:
        """Rename the file of the rows that are not answered, where it is not in place yet."""
        if self.review is not None and self.target_review is not None and self.review.exists():
            self.review.replace(self.target_review)

    def put_in_place(self) -> None:
        """Rename what is not in place yet: the result last, so where it stands all of it stands."""
        if self.rejected.exists() and self.rejected.stat().st_size:
            self.rejected.replace(self.target_rejected)
        elif self.rejected.exists():
            self.target_rejected.unlink(missing_ok=True)
            self.rejected.unlink()
        if self.rows.exists():
            self.rows.replace(self.target)

    def check_free(self, identity: list[Any] | None = None) -> None:
        """Raise InvalidInput where a file would be replaced that this work did not put there.

        Args:
            identity: Whose work it must be; None: anyone's.
        """
        state = self.read()
        is_same = identity is None or _is_same(state.get("identity"), identity)
        is_finished = is_same and "finished" in state
        for path, own in self._list_targets():
            is_own = is_finished and not own.exists()
            if os.path.lexists(path) and not is_own:
                raise describe_taken(path)

    def _list_targets(self) -> list[tuple[Path, Path]]:
        """Return the files that are put in place, and where each stands before; no object of S3."""
        files = [(self.target, self.rows), (self.target_rejected, self.rejected)]
        review = self.review
        own = [] if self.target_review is None or review is None else [(self.target_review, review)]
        return own + ([] if self.is_object else files)

    def remove(self) -> None:
        """Leave nothing to go on from; the folder goes when it is no longer held."""
        empty_folder(self.folder)


def check_outputs(works: Sequence[Work], force: bool) -> None:
    """Check, before anything is spent, that every output can be made by this process.

    Raises:
        InvalidInput: A file would be replaced, without `force`.
        OSError: Another process is at work on it.
    """
    for work in works:
        check_idle(work.folder, work.output)
        if not force:
            work.check_free()


def remove_finished(outputs: Sequence[str]) -> None:
    """Forget that a command has finished these outputs: it has finished all of them."""
    for work in map(Work, outputs):
        if work.folder.exists():
            with holding(work.folder, work.output):
                if "finished" in work.read():
                    work.remove()


def describe_taken(path: Path) -> InvalidInput:
    """Return the error of an output that would be replaced."""
    return InvalidInput(f"{path}: exists already. Name another file by --out; --force replaces it")


def _is_same(found: object, identity: list[Any]) -> bool:
    # What is compared was JSON on one side: tuples are lists there.
    return bool(found == json.loads(json.dumps(identity)))


def _find_cache(url: str) -> Path:
    """Return where the work for `url` stands, the same for a run after one that stopped."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = hashlib.sha256(url.encode()).hexdigest()[:16]
    return cache / "minnow" / f"{name}.partial"
