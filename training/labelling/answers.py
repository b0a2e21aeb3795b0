"""The answers that were paid for: `labelled.csv.answers`, beside the output, and never removed.

A line is added, and is on the disk, as soon as an answer is there. Texts are known by their hash:
equal ones are asked once, and rows may be added or moved between two runs.

    {"format_version": 1, "labels": ["pos", "neg"], "labeller": {"command": "<sha256>"}}
    {"text": "<sha256>", "probabilities": [0.8, 0.2]}
    {"output": "<sha256>"}                     what the run is about to put in place
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.errors import LabellingError
from training.labelling.labeller import Probabilities

FORMAT_VERSION = 1


def hash_text(text: str) -> str:
    """Return what a text is known by."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Answers:
    """The answers of one labeller; several threads may add.

    Args:
        path: The file; made where it is not yet.
        labels: In whose order the probabilities stand.
        identity: Of the labeller.

    Raises:
        LabellingError: The file holds answers of another labeller or other labels, or is none.
    """

    def __init__(self, path: Path, labels: Sequence[str], identity: Mapping[str, str]) -> None:
        self.path = path
        self.outputs: set[str] = set()
        self._known: dict[bytes, Probabilities] = {}
        self._lock = threading.Lock()
        self._num_labels = len(labels)
        header = {"format_version": FORMAT_VERSION, "labels": [*labels], "labeller": {**identity}}
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)  # less the umask
        self._file = open(descriptor, "r+b")
        try:
            self._load(header)
        except BaseException:
            self._file.close()
            raise

    def __len__(self) -> int:
        return len(self._known)

    def find(self, text_hash: str) -> Probabilities | None:
        """Return the answer for a text, None where there is none yet."""
        return self._known.get(bytes.fromhex(text_hash))

    def add(self, answers: Mapping[str, Probabilities]) -> None:
        """Keep answers by the hash of their text; they are on the disk when this returns."""
        with self._lock:
            self._append(
                {"text": text_hash, "probabilities": list(answer)}
                for text_hash, answer in answers.items()
            )
            self._known |= {bytes.fromhex(name): answer for name, answer in answers.items()}

    def add_output(self, sha256: str) -> None:
        """Note the file that this work puts in place, and may replace again."""
        with self._lock:
            self._append([{"output": sha256}])
            self.outputs.add(sha256)

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._file.close()

    def _append(self, lines: Any) -> None:
        self._file.write("".join(f"{json.dumps(line)}\n" for line in lines).encode())
        self._file.flush()
        os.fsync(self._file.fileno())

    def _load(self, header: dict[str, Any]) -> None:
        end = 0
        first = f"{json.dumps(header)}\n".encode()
        for number, line in enumerate(self._file, start=1):
            is_ours = number > 1 or first.startswith(line)
            if is_ours and not line.endswith(b"\n"):
                break  # a kill came while it was written
            try:
                self._take(json.loads(line), number, header)
            except (ValueError, KeyError, TypeError, AttributeError):
                raise LabellingError(
                    f"{self.path}: line {number} is none that Minnow wrote. Remove the line, or "
                    "name another --out."
                ) from None
            end += len(line)
        self._file.truncate(end)
        self._file.seek(end)
        if not end:
            self._append([header])

    def _take(self, line: dict[str, Any], number: int, header: dict[str, Any]) -> None:
        if number == 1:
            if line.get("format_version") != FORMAT_VERSION:
                raise LabellingError(
                    f"{self.path}: holds no answers of format_version {FORMAT_VERSION}, which this "
                    "build reads. Name another --out, or move the file away."
                )
            changed = [name for name in ("labels", "labeller") if line[name] != header[name]]
            if changed:
                what = "other labels" if "labels" in changed else "another labeller"
                raise LabellingError(
                    f"{self.path}: holds answers of {what}, which were paid for. Name another "
                    "--out, or move the file away."
                )
        elif "output" in line:
            self.outputs.add(str(line["output"]))
        else:
            answer = tuple(map(float, line["probabilities"]))
            if len(answer) != self._num_labels:
                raise ValueError
            self._known[bytes.fromhex(line["text"])] = answer
