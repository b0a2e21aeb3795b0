"""Where training stands, in one file that is replaced as a whole."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from training.fitting.arrays import load_arrays, save_arrays


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
    save_arrays(path, arrays)


def load_checkpoint(path: Path, model: keras.Model) -> Progress:
    """Set model and optimizer to what `path` holds; return the progress.

    Without a file, or where it is not whole, the progress is zero and the model as it was.
    """
    arrays = load_arrays(path)
    if arrays is None:
        return Progress()
    progress = Progress(**json.loads(arrays["state"].tobytes()))
    for i, variable in enumerate(_variables(model)):
        variable.assign(arrays[f"variable_{i}"])
    num_best = sum(name.startswith("best_") for name in arrays)
    progress.best_weights = [arrays[f"best_{i}"] for i in range(num_best)]
    return progress


def _variables(model: keras.Model) -> list[Any]:
    # `variables`, not `weights`: the states of dropout's random generators belong to it.
    return [*model.variables, *model.optimizer.variables]
