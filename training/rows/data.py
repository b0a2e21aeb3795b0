"""The rows of a run: where they come from, and how they are split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.inference.tasks import Ordinal, Regression
from training.answers.class_weights import settle_balance
from training.errors import DataError
from training.rows.added import Added, add_rows, read_added
from training.rows.columns import Columns
from training.rows.label_sets import describe_list_like, find_separator, say_several
from training.rows.numbers import read_column
from training.rows.readers import Dataset, read_dataset
from training.rows.soft_labels import SoftLabel
from training.rows.split import split_rows
from training.rows.unlabelled import Unlabelled, read_unlabelled
from training.tasks import Objective, find_task, make_objective


@dataclass(frozen=True)
class Sources:
    """Where the rows come from, and what is known of them.

    Args:
        dev: None: a part of `train` is held out.
        task: The task's `kind` and fields, as far as they are given; the labels tell the rest.
        aims: What the task's thresholds are to reach, as `Objective.aims` has it.
        word_vectors: A file or folder of vectors that others have learned.
        unlabelled: A file or folder of texts without labels.
        added: Further labelled rows beside those of `train`.
    """

    train: Path
    dev: Path | None = None
    test: Path | None = None
    columns: Columns = Columns()
    task: Mapping[str, Any] = field(default_factory=dict)
    word_vectors: Path | None = None
    unlabelled: Path | None = None
    aims: Mapping[str, Any] = field(default_factory=dict)
    added: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """Every file or folder that is read."""
        paths = (self.train, self.dev, self.test, self.word_vectors, self.unlabelled, self.added)
        return [path for path in paths if path is not None]


@dataclass(frozen=True)
class Data:
    """The rows that were read, and how their labels are learned.

    Args:
        train: With the rows that were added.
        added: What became of those; None: there were none.
        words: The words of the tokenizer, where more rows were counted than are here; None: those
            of `train`.
    """

    train: Dataset
    dev: Dataset | None
    test: Dataset | None
    columns: Columns
    objective: Objective
    word_vectors: Path | None = None
    unlabelled: Unlabelled | None = None
    added: Added | None = None
    words: Sequence[str] | None = None

    def describe(self) -> dict[str, Any]:
        """Return path, rows and hash of each file by role, as `metadata.json` keeps them."""
        roles = {"train": self.train, "dev": self.dev, "test": self.test}
        described: dict[str, Any] = {
            role: {"path": str(part.path), "rows": len(part), "sha256": part.sha256}
            for role, part in roles.items()
            if part is not None
        }
        if self.added is not None:
            described["train"]["rows"] -= self.added.new
            described["added"] = self.added.describe()
        if self.word_vectors is not None:
            described["word_vectors"] = {"path": str(self.word_vectors)}
        if self.unlabelled is not None:
            described["unlabelled"] = self.unlabelled.describe()
        return described

    def split(self, dev_fraction: float, seed: int) -> tuple[Part, Part]:
        """Return the rows to train on and the development rows, which `train` lends where there is
        no file of them; always the same for one seed."""
        if self.dev is not None:
            return whole_part(self.train, self.train.overlaps.groups), whole_part(self.dev)
        strata = self.objective.strata(self.objective.encode(self.train.labels))
        rows = split_rows(self.train, strata, dev_fraction, seed)
        weights = self.train.weights
        train, dev = (
            Part(
                [self.train.texts[row] for row in part],
                [self.train.labels[row] for row in part],
                [row + 1 for row in part],
                self.train.overlaps.groups[part],
                None if weights is None else [weights[row] for row in part],
            )
            for part in rows
        )
        return train, dev

    def is_torn(self, train: Part, dev: Part) -> bool:
        """Say whether what `split` gave has rows on both sides that repeat each other, as no
        development row would be left otherwise."""
        return self.dev is None and bool(np.intersect1d(train.groups, dev.groups).size)


@dataclass(frozen=True)
class Part:
    """Rows of one use.

    Args:
        labels: As `Dataset` has them.
        rows: Number of each in its file, from 1.
        groups: int64, shape (rows,): the group of each row. Rows that repeat each other, wholly,
            nearly or in part, share one, and so do those of one group of the user's column.
        weights: What each row counts; None: all the same.
    """

    texts: list[str]
    labels: list[str]
    rows: Sequence[int]
    groups: NDArray[np.int64]
    weights: Sequence[float] | None = None


def read_sources(sources: Sources) -> Data:
    """Return the rows, checked; TensorFlow is not needed for it.

    Raises:
        DataError: A file cannot be read, or its labels cannot be learned.
        SettingsError: There is no such task.
    """
    kind = sources.task.get("kind")
    train = read_dataset(sources.train, say_several(sources.columns, kind))
    if kind is None and (separator := find_separator(train.labels)):
        raise DataError(f"{train.label_place}: {describe_list_like(train.labels, separator)}")
    dev, test = (
        read_dataset(path, train.columns) if path is not None else None
        for path in (sources.dev, sources.test)
    )
    added = more = None
    if sources.added is not None:
        more = read_added(sources.added, train.columns)
        train, added = _add(train, more, dev, test)
    objective = make_objective(find_task(train.labels, sources.task), sources.aims)
    if more is not None:
        _check_added(more, objective.task.kind)
    objective.check(train, *(other for other in (dev, test) if other is not None))
    objective = settle_balance(objective, train)
    if sources.word_vectors is not None and not sources.word_vectors.exists():
        raise DataError(f"{sources.word_vectors}: no such file or folder")
    unlabelled = None
    if sources.unlabelled is not None:
        known = {text for part in (train, dev, test) if part is not None for text in part.texts}
        unlabelled = read_unlabelled(sources.unlabelled, sources.columns, known)
    vectors = sources.word_vectors
    return Data(train, dev, test, train.columns, objective, vectors, unlabelled, added)


def read_again(metadata: Mapping[str, Any], objective: Objective, folder: Path) -> Data:
    """Return the training and development rows of the finished run in `folder`.

    Raises:
        DataError: A file is gone, or not what the run was trained on.
    """
    columns = Columns.from_json(metadata["columns"])
    train = _read_unchanged(metadata["data"]["train"], columns, folder)
    dev = metadata["data"].get("dev")
    dev_set = _read_unchanged(dev, columns, folder) if dev is not None else None
    described = metadata["data"].get("added")
    if described is not None:
        test = metadata["data"].get("test")
        test_set = _read_unchanged(test, columns, folder) if test is not None else None
        path = Path(described["path"])
        added = _check_unchanged(_read(path, read_added, columns, folder), described, folder)
        train, _ = _add(train, added, dev_set, test_set)
    return Data(train, dev_set, None, columns, objective)


def _check_added(added: Dataset, kind: str) -> None:
    """Raise DataError for a label that is no number where all are, by its own file and row; among
    those of the other file it would have the number of none."""
    is_soft = any(isinstance(label, SoftLabel) for label in added.labels)
    if kind in (Regression.kind, Ordinal.kind) and not is_soft:
        read_column(added)


def _add(
    train: Dataset, added: Dataset, dev: Dataset | None, test: Dataset | None
) -> tuple[Dataset, Added]:
    held_out = [text for part in (dev, test) if part is not None for text in part.texts]
    return add_rows(train, added, held_out)


def join_parts(first: Part, second: Part, chosen: NDArray[np.int64]) -> Part:
    """Return some of the rows of two parts of one file, numbered from 0 through both."""
    texts, labels = [*first.texts, *second.texts], [*first.labels, *second.labels]
    rows = [*first.rows, *second.rows]
    numbers = chosen.tolist()
    weights = None
    if first.weights is not None and second.weights is not None:
        both = [*first.weights, *second.weights]
        weights = [both[number] for number in numbers]
    return Part(
        [texts[number] for number in numbers],
        [labels[number] for number in numbers],
        [rows[number] for number in numbers],
        np.concatenate([first.groups, second.groups])[chosen],
        weights,
    )


def whole_part(dataset: Dataset, groups: NDArray[np.int64] | None = None) -> Part:
    """Return all rows of a file.

    Args:
        groups: Of the rows, if they will be split.
    """
    num_rows = len(dataset)
    groups = np.arange(num_rows) if groups is None else groups
    return Part(dataset.texts, dataset.labels, range(1, num_rows + 1), groups, dataset.weights)


def _read_unchanged(described: Mapping[str, Any], columns: Columns, folder: Path) -> Dataset:
    found = _read(Path(described["path"]), read_dataset, columns, folder)
    return _check_unchanged(found, described, folder)


def _read(
    path: Path, read: Callable[[Path, Columns], Dataset], columns: Columns, folder: Path
) -> Dataset:
    if not path.exists():
        raise DataError(
            f"{path}: no such file. {folder} was trained on its rows, which are needed again: put "
            "the file back, or train again."
        )
    return read(path, columns)


def _check_unchanged(dataset: Dataset, described: Mapping[str, Any], folder: Path) -> Dataset:
    if dataset.sha256 != described["sha256"]:
        raise DataError(
            f"{dataset.path}: sha256 is {dataset.sha256}, {folder} was trained on "
            f"{described['sha256']}. The file was changed: put the old one back, or train again."
        )
    return dataset
