"""Training a smaller model on a finished run's rows, with the run's own model as teacher."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from training.batches import pad, shuffled_batches
from training.errors import DataError
from training.fit import Encoded, make_predictor
from training.readers import Columns, Dataset, read_dataset
from training.run_folder import Run
from training.settings import Settings
from training.split import split_rows
from training.tokenizer import encode_texts

IMPORTANCE_BATCHES = 64
IMPORTANCE_BATCH_SIZE = 32
# Share of the teacher's probabilities in what the student learns; the rest is the true label.
TEACHER_SHARE = 0.7


@dataclass(frozen=True)
class Rows:
    """The rows of a finished run, split as it was trained."""

    train: Encoded
    dev: Encoded
    dev_texts: list[str]
    dev_labels: list[str]


def load_rows(run: Run) -> Rows:
    """Return the run's training and development rows, read again from its data.

    Raises:
        DataError: A file is gone or not what the run was trained on.
    """
    dataset = _read_again(run, "train")
    tokenizer = Tokenizer.from_file(str(run.tokenizer_path))
    settings = run.metadata["settings"]
    if "dev" in run.metadata["data"]:
        dev_set, dev_rows = _read_again(run, "dev"), None
        train_rows = list(range(len(dataset)))
    else:
        train_rows, dev_rows = split_rows(dataset, settings["dev_fraction"], settings["seed"])
        dev_set = dataset
    dev_rows = list(range(len(dev_set))) if dev_rows is None else dev_rows
    dev_labels = [dev_set.labels[row] for row in dev_rows]
    dev_texts = [dev_set.texts[row] for row in dev_rows]
    return Rows(
        _encode(
            tokenizer,
            run,
            [dataset.texts[row] for row in train_rows],
            [dataset.labels[row] for row in train_rows],
        ),
        _encode(tokenizer, run, dev_texts, dev_labels),
        dev_texts,
        dev_labels,
    )


def importance_batches(rows: Rows) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Yield (token_ids, label_ids) of training rows, always the same."""
    lengths = [len(ids) for ids in rows.train.token_ids]
    batches = shuffled_batches(lengths, IMPORTANCE_BATCH_SIZE, seed=0)
    for batch in batches[:IMPORTANCE_BATCHES]:
        yield pad([rows.train.token_ids[row] for row in batch]), rows.train.label_ids[batch]


def fine_tune(
    student: keras.Model,
    teacher: NDArray[np.float32],
    rows: Rows,
    id_map: NDArray[np.int32] | None,
    settings: Settings,
    checkpoint: Path,
) -> list[dict[str, float]]:
    """Fit `student` in place to labels and teacher; return a row for each epoch, as `fit` does.

    Args:
        teacher: Its probabilities for `rows.train`, shape (rows, num_classes).
        id_map: Token id -> the student's token id; None: the same.
    """
    targets = mix_targets(teacher, rows.train.label_ids)
    train = replace(map_ids(rows.train, id_map), targets=targets)
    history: list[dict[str, float]] = load_recipe(settings).fine_tune_model(
        student, train, map_ids(rows.dev, id_map), settings, checkpoint
    )
    return history


def mix_targets(teacher: NDArray[np.float32], label_ids: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return what the student learns, shape (rows, num_classes): (0.9, 0.1), 1 -> (0.63, 0.37).

    Distillation (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015) at
    temperature 1: the cross-entropy with a mixture of label and teacher is the mixture of both
    cross-entropies.
    """
    targets = TEACHER_SHARE * teacher
    targets[np.arange(len(label_ids)), label_ids] += 1 - TEACHER_SHARE
    return targets


def fine_tune_settings(run: Run, epochs: int) -> Settings:
    """Return the run's own settings with `epochs`, and a patience that never ends it early."""
    settings = run.metadata["settings"] | {"epochs": epochs, "patience": epochs, "min_steps": 0}
    return Settings(**settings | {"units": tuple(settings["units"])})


def teach(model: keras.Model, rows: Rows, cache: Path) -> NDArray[np.float32]:
    """Return the teacher's probabilities for the training rows, by way of `cache` (npz).

    `model` is what the recipe's `make_teacher` gives.
    """
    if not cache.exists():
        temporary = cache.with_name(f"partial-{cache.name}")
        np.savez(temporary, probabilities=make_predictor(model)(rows.train.token_ids))
        temporary.replace(cache)
    with np.load(cache, allow_pickle=False) as arrays:
        probabilities: NDArray[np.float32] = arrays["probabilities"]
    return probabilities


def count_texts(rows: Rows, vocab_size: int) -> NDArray[np.float64]:
    """Return how many training texts have each token id, which is what a word is worth; padding and
    unknown are worth everything."""
    counts = np.zeros(vocab_size)
    for ids in rows.train.token_ids:
        counts[list(set(ids))] += 1
    counts[:2] = np.inf
    return counts


def load_recipe(settings: Settings) -> Any:
    """Return the module in `training/recipes` that `settings` names."""
    return importlib.import_module(f"training.recipes.{settings.recipe}")


def map_ids(encoded: Encoded, id_map: NDArray[np.int32] | None) -> Encoded:
    if id_map is None:
        return encoded
    return replace(encoded, token_ids=[id_map[list(ids)].tolist() for ids in encoded.token_ids])


def _read_again(run: Run, role: str) -> Dataset:
    data = run.metadata["data"][role]
    columns = Columns(**run.metadata["columns"])
    path = Path(data["path"])
    if not path.exists():
        raise DataError(
            f"{path}: no such file. The search trains on the rows of {run.folder}: put the file "
            "back, or train again."
        )
    dataset = read_dataset(path, columns)
    if dataset.sha256 != data["sha256"]:
        raise DataError(
            f"{path}: sha256 is {dataset.sha256}, {run.folder} was trained on {data['sha256']}. "
            "The file was changed: put the old one back, or train again."
        )
    return dataset


def check_teacher(run: Run, dev_labels: list[str]) -> None:
    """Raise DataError unless the run's accuracy is above the most frequent label's share.

    By more than a standard error of that share, so that luck does not count.
    """
    share = max(Counter(dev_labels).values()) / len(dev_labels)
    chance = share + (share * (1 - share) / len(dev_labels)) ** 0.5
    accuracy: float = run.metadata["metrics"]["dev"]["accuracy"]
    if accuracy <= chance:
        raise DataError(
            f"{run.folder}: its accuracy on development rows is {accuracy:.4f}, no better than "
            f"always the most frequent label ({share:.4f} of {len(dev_labels)} rows). Train a "
            "better model before making it smaller."
        )


def _encode(tokenizer: Tokenizer, run: Run, texts: list[str], labels: list[str]) -> Encoded:
    column: dict[Any, int] = {label: index for index, label in enumerate(run.labels)}
    label_ids = np.array([column[label] for label in labels], np.int32)
    return Encoded(encode_texts(tokenizer, texts), label_ids)
