"""Where training stands, in one file that is replaced as a whole."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from handler.files import replacing


@dataclass
class Progress:
    """How far training is.

    Args:
        epoch, batch: That come next, from 0 on.
        loss_sum, seconds: Of the epoch under way.
        history: A row for each epoch that is done.
        best_weights: Of the model, in its order, each of its own shape.
    """

    epoch: int = 0
    batch: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best_weights: list[NDArray[Any]] = field(default_factory=list)


def save_checkpoint(path: Path, model: keras.Model, progress: Progress) -> None:
    """Write model, optimizer and progress to `path` (npz), which holds the old or the new at any
    moment."""
    arrays = {f"variable_{i}": v.numpy() for i, v in enumerate(_variables(model))}
    arrays |= {f"best_{i}": weights for i, weights in enumerate(progress.best_weights)}
    state = asdict(progress) | {"best_weights": None}
    arrays["state"] = np.frombuffer(json.dumps(state).encode(), np.uint8)
    with replacing(path) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)


def load_checkpoint(path: Path, model: keras.Model) -> Progress:
    """Set model and optimizer to what `path` holds; return the progress, zero without a file."""
    if not path.exists():
        return Progress()
    with np.load(path, allow_pickle=False) as arrays:
        for i, variable in enumerate(_variables(model)):
            variable.assign(arrays[f"variable_{i}"])
        progress = Progress(**json.loads(arrays["state"].tobytes()))
        names = [name for name in arrays.files if name.startswith("best_")]
        progress.best_weights = [arrays[f"best_{i}"] for i in range(len(names))]
    return progress


def _variables(model: keras.Model) -> list[Any]:
    # `variables`, not `weights`: the states of dropout's random generators belong to it.
    return [*model.variables, *model.optimizer.variables]
