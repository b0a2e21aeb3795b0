"""The rows of a run: where they come from, how they are split, and what a model reads of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.inference.tokenizer import Tokenizer
from training.columns import Columns
from training.errors import DataError
from training.readers import Dataset, read_dataset
from training.split import split_rows
from training.tasks import Objective, find_task, make_objective
from training.tokenizer import encode_texts


@dataclass(frozen=True)
class Sources:
    """Where the rows come from, and what is known of them.

    Args:
        dev: None: a part of `train` is held out.
        task: The task's `kind` and fields, as far as they are given; the labels tell the rest.
    """

    train: Path
    dev: Path | None = None
    test: Path | None = None
    columns: Columns = Columns()
    task: Mapping[str, Any] = field(default_factory=dict)

    @property
    def paths(self) -> list[Path]:
        """Every file or folder that is read."""
        return [path for path in (self.train, self.dev, self.test) if path is not None]


@dataclass(frozen=True)
class Data:
    """The rows that were read, and how their labels are learned."""

    train: Dataset
    dev: Dataset | None
    test: Dataset | None
    columns: Columns
    objective: Objective

    def describe(self) -> dict[str, Any]:
        """Return path, rows and hash of each file by role, as `metadata.json` keeps them."""
        roles = {"train": self.train, "dev": self.dev, "test": self.test}
        return {
            role: {"path": str(part.path), "rows": len(part), "sha256": part.sha256}
            for role, part in roles.items()
            if part is not None
        }

    def split(self, dev_fraction: float, seed: int) -> tuple[Part, Part]:
        """Return the rows to train on and the development rows, which `train` lends where there is
        no file of them; always the same for one seed."""
        if self.dev is not None:
            return whole_part(self.train), whole_part(self.dev)
        strata = self.objective.strata(self.train.labels)
        rows = split_rows(self.train, strata, dev_fraction, seed)
        weights = self.train.weights
        train, dev = (
            Part(
                [self.train.texts[row] for row in part],
                [self.train.labels[row] for row in part],
                [row + 1 for row in part],
                None if weights is None else [weights[row] for row in part],
            )
            for part in rows
        )
        return train, dev


@dataclass(frozen=True)
class Part:
    """Rows of one use.

    Args:
        labels: As `Dataset` has them.
        rows: Number of each in its file, from 1.
        weights: What each row counts; None: all the same.
    """

    texts: list[str]
    labels: list[str]
    rows: Sequence[int]
    weights: Sequence[float] | None = None


@dataclass(frozen=True)
class Encoded:
    """What a model reads of rows, and what it shall answer.

    Args:
        token_ids: Of each text, without padding.
        targets: float32, shape (rows, num_outputs): 1 in the column of the label, or soft.
        weights: float32, shape (rows,): what each row counts in a loss, 1 in the mean; None: ones.
    """

    token_ids: Sequence[Sequence[int]]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32] = None  # type: ignore[assignment]  # never None from outside

    def __post_init__(self) -> None:
        if self.weights is None:
            object.__setattr__(self, "weights", np.ones(len(self.token_ids), np.float32))

    @property
    def is_weighted(self) -> bool:
        """Whether rows count differently."""
        return bool((self.weights != 1).any())


def read_sources(sources: Sources) -> Data:
    """Return the rows, checked; TensorFlow is not needed for it.

    Raises:
        DataError: A file cannot be read, or its labels cannot be learned.
        SettingsError: There is no such task.
    """
    train = read_dataset(sources.train, sources.columns)
    dev, test = (
        read_dataset(path, train.columns) if path is not None else None
        for path in (sources.dev, sources.test)
    )
    objective = make_objective(find_task(train.labels, sources.task))
    objective.check(train, *(other for other in (dev, test) if other is not None))
    return Data(train, dev, test, train.columns, objective)


def read_again(metadata: Mapping[str, Any], objective: Objective, folder: Path) -> Data:
    """Return the training and development rows of the finished run in `folder`.

    Raises:
        DataError: A file is gone, or not what the run was trained on.
    """
    columns = Columns.from_json(metadata["columns"])
    train = _read_unchanged(metadata["data"]["train"], columns, folder)
    dev = metadata["data"].get("dev")
    dev_set = _read_unchanged(dev, columns, folder) if dev is not None else None
    return Data(train, dev_set, None, columns, objective)


def encode_part(part: Part, tokenizer: Tokenizer, objective: Objective) -> Encoded:
    """Return the token ids, targets and weights of the rows."""
    weights = None
    if part.weights is not None:
        numbers = np.array(part.weights)
        weights = (numbers / numbers.mean()).astype(np.float32)
    token_ids = encode_texts(tokenizer, part.texts)
    targets = objective.encode(part.labels)
    return Encoded(token_ids, targets, weights)  # type: ignore[arg-type]


def map_ids(encoded: Encoded, id_map: NDArray[np.int32]) -> Encoded:
    """Return the rows in other token ids.

    Args:
        id_map: int32, shape (vocab_size,): token id -> new token id.
    """
    token_ids = [id_map[list(ids)].tolist() for ids in encoded.token_ids]
    return dataclasses.replace(encoded, token_ids=token_ids)


def whole_part(dataset: Dataset) -> Part:
    """Return all rows of a file."""
    return Part(dataset.texts, dataset.labels, range(1, len(dataset) + 1), dataset.weights)


def _read_unchanged(described: Mapping[str, Any], columns: Columns, folder: Path) -> Dataset:
    path = Path(described["path"])
    if not path.exists():
        raise DataError(
            f"{path}: no such file. {folder} was trained on its rows, which are needed again: put "
            "the file back, or train again."
        )
    dataset = read_dataset(path, columns)
    if dataset.sha256 != described["sha256"]:
        raise DataError(
            f"{path}: sha256 is {dataset.sha256}, {folder} was trained on {described['sha256']}. "
            "The file was changed: put the old one back, or train again."
        )
    return dataset
