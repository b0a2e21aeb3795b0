"""Reading the run folder that training wrote (`docs/artefacts.md`)."""

from __future__ import annotations

import errno
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.errors import ExportError

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Run:
    """What export needs of a run.

    Args:
        metadata: Parsed `metadata.json`.
        tokenizer: Bytes of `tokenizer.json`.
        token_ids: Shape (rows, longest), int32, right-padded: the reference batch.
        probabilities: Shape (rows, num_classes), float32: what Keras gives for it.
    """

    folder: Path
    metadata: dict[str, Any]
    tokenizer: bytes
    token_ids: NDArray[np.int32]
    probabilities: NDArray[np.float32]

    @property
    def model_path(self) -> Path:
        return self.folder / "model.keras"


def read_run(folder: Path) -> Run:
    """Return the run in `folder`.

    Raises:
        ExportError: It is missing, incomplete, or of a format that this build does not read.
    """
    path = folder / "metadata.json"
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
        found = metadata["format_version"]
        if found != FORMAT_VERSION:
            raise ExportError(
                f"{path}: format_version is {found}, this build reads {FORMAT_VERSION}. "
                "Train again."
            )
        # NumPy leaves a file that it opened itself open when it turns out to be no archive.
        with (
            (folder / "reference.npz").open("rb") as file,
            np.load(file, allow_pickle=False) as reference,
        ):
            token_ids, probabilities = reference["token_ids"], reference["probabilities"]
        tokenizer = (folder / "tokenizer.json").read_bytes()
        run = Run(folder, metadata, tokenizer, token_ids, probabilities)
        if not run.model_path.is_file():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(run.model_path))
    except FileNotFoundError as error:
        raise ExportError(
            f"{error.filename}: no such file. A run is made by: minnow train DATA --out {folder}"
        ) from error
    except (EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ExportError(f"{folder}: the run cannot be read ({error}). Train again.") from error
    return run
