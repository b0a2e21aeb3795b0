"""The run folder: what training leaves for export.

model.keras      stock Keras layers only, so that `keras.saving.load_model` needs no code of ours
tokenizer.json   Hugging Face `tokenizers`
metadata.json    format version, labels, settings, data hashes, library versions, metrics
reference.npz    token_ids int32 (64, max_length) and Keras' probabilities (64, num_classes)
history.csv, learning_curves.png, confusion_matrix.png, report.md    for people
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.errors import RunError

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Run:
    """A finished run folder; `labels[i]` names column i of the probabilities."""

    folder: Path
    metadata: dict[str, Any]

    @property
    def labels(self) -> list[str]:
        labels: list[str] = self.metadata["labels"]
        return labels

    @property
    def model_path(self) -> Path:
        return self.folder / "model.keras"

    @property
    def tokenizer_path(self) -> Path:
        return self.folder / "tokenizer.json"


def is_run(folder: Path) -> bool:
    """Say whether `folder` is a finished run."""
    return (folder / "metadata.json").is_file()


def read_run(folder: Path) -> Run:
    """Return the run in `folder`.

    Raises:
        RunError: It is missing, incomplete, or of a format that this build does not read.
    """
    path = folder / "metadata.json"
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(
            f"{path}: no such file. A run folder is made by: minnow train DATA --out {folder}"
        ) from error
    except ValueError as error:
        raise RunError(f"{path}: not JSON. Train again.") from error
    found = metadata.get("format_version") if isinstance(metadata, dict) else None
    if found != FORMAT_VERSION:
        raise RunError(
            f"{path}: format_version is {found}, this build reads {FORMAT_VERSION}. Train again."
        )
    for name in ("model.keras", "tokenizer.json", "reference.npz"):
        if not (folder / name).is_file():
            raise RunError(f"{folder / name}: no such file. The run is incomplete: train again.")
    return Run(folder, metadata)


def write_json(path: Path, document: Any) -> None:
    """Write `document` to `path`, which holds the old or the new content at any moment."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", "utf-8")
    os.replace(temporary, path)
