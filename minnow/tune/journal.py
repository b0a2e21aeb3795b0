"""The journal of a search: a line of JSON for each finished trial, on the disk before the next.

A line that a kill cut short is dropped, and so is nothing else: what stands in the journal is never
done again.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

from handler.files import naming
from minnow.tune.scores import Score
from training.errors import RunError

Choices = Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """One candidate, fitted to some rows and measured on a fold.

    Args:
        choices: What differs from the default recipe, as `minnow.tune.candidates` has it.
        rows: That it was fitted to.
        fold: Whose rows it was measured on.
        seconds: That it took, of which `cpu_s` are the processor's.
        value, without: As `Score` has them, of the int8 bundle.
        size_bytes: Of the bundle's model and tokenizer.
        latency_ms: p50 of one text, of the processor's time.
        error: Why there is no bundle; the figures are then 0.
        row_s: Seconds in which one row was measured.
        has_encoder: The model reads the order of words; of few rows that does not pay.
    """

    choices: Choices
    rows: int
    fold: int
    seconds: float
    value: float = 0.0
    without: list[float] = field(default_factory=list)
    size_bytes: int = 0
    latency_ms: float = 0.0
    error: str = ""
    cpu_s: float = 0.0
    row_s: float = 0.0
    has_encoder: bool = True

    @property
    def score(self) -> Score:
        return Score(self.value, self.without)

    @property
    def key(self) -> tuple[str, int, int]:
        """What is done once only."""
        return name_choices(self.choices), self.rows, self.fold


def name_choices(choices: Choices) -> str:
    """Return what differs from the default: "encoder=cnn units=128", or "default"."""
    parts = [f"{name}={_format(choices[name])}" for name in sorted(choices)]
    return " ".join(parts) or "default"


def _format(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


class Journal:
    """The trials so far, the seconds spent, and the candidate that was chosen."""

    def __init__(self, path: Path) -> None:
        """Read the journal in `path`, which need not be there.

        Raises:
            RunError: It holds something else.
        """
        self.path = path
        self.trials: dict[tuple[str, int, int], Trial] = {}
        self.spent_s = 0.0
        self.chosen: dict[str, Any] | None = None
        self.result: dict[str, Any] | None = None
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:  # a kill cut the last line short
            with path.open("r+b") as file:
                file.truncate(len(whole))
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                self._take(json.loads(line))
            except (KeyError, TypeError, ValueError) as error:
                raise RunError(
                    f"{path}: line {number} is no line of a journal. Start anew with --force."
                ) from error

    def _take(self, entry: dict[str, Any]) -> None:
        self.spent_s = max(self.spent_s, float(entry["spent_s"]))
        if "trial" in entry:
            trial = Trial(**entry["trial"])
            self.trials[trial.key] = trial
        self.chosen = entry.get("chosen", self.chosen)
        self.result = entry.get("result", self.result)

    def add(self, trial: Trial, spent_s: float) -> None:
        """Write down a finished trial."""
        self._write({"trial": dataclasses.asdict(trial), "spent_s": spent_s})

    def choose(self, chosen: dict[str, Any], spent_s: float) -> None:
        """Write down that the search is over, and what came of it."""
        self._write({"chosen": chosen, "spent_s": spent_s})

    def finish(self, result: dict[str, Any], spent_s: float) -> None:
        """Write down what the fitted winner is worth."""
        self._write({"result": result, "spent_s": spent_s})

    def spend(self, spent_s: float) -> None:
        """Write down how much time was spent, as after Ctrl-C."""
        self._write({"spent_s": spent_s})

    def _write(self, entry: dict[str, Any]) -> None:
        line = json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        with open(descriptor, "ab", buffering=0) as file, naming(self.path):
            length = os.fstat(descriptor).st_size
            try:
                _write_whole(file, line.encode())
                os.fsync(descriptor)
            except BaseException:  # a full disk: the next line must not be glued to half of one
                file.truncate(length)
                raise
        self._take(json.loads(line))


def _write_whole(file: FileIO, content: bytes) -> None:
    """Write all of the content; a disk that is almost full takes a part of it at first."""
    while content:
        content = content[file.write(content) :]
