"""Cutting a development split from the training rows."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError
from training.readers import Dataset


def split_rows(
    dataset: Dataset, strata: Sequence[Hashable], dev_fraction: float, seed: int
) -> tuple[list[int], list[int]]:
    """Return (train rows, development rows), every stratum in about the same share of both.

    Each stratum keeps a row to train on. Rows of one group stay on one side. Without a group column
    equal texts are a group, so that no development text was also trained on.

    Args:
        strata: What each row is, as `Objective.strata` says.
        dev_fraction: Share of the rows that is held out, 0 to 1.

    Raises:
        DataError: The groups leave no development row.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for row, group in enumerate(dataset.groups or dataset.texts):
        members[group].append(row)
    room = {
        stratum: min(count - 1, max(1, round(count * dev_fraction)))
        for stratum, count in Counter(strata).items()
    }
    groups = list(members.values())
    random.Random(seed).shuffle(groups)
    train_rows: list[int] = []
    dev_rows: list[int] = []
    for rows in groups:
        wanted = Counter(strata[row] for row in rows)
        if all(count <= room[stratum] for stratum, count in wanted.items()):
            dev_rows += rows
            for stratum, count in wanted.items():
                room[stratum] -= count
        else:
            train_rows += rows
    if not dev_rows:
        raise DataError(_describe_unsplit(dataset, len(members)))
    return sorted(train_rows), sorted(dev_rows)


def _describe_unsplit(dataset: Dataset, num_groups: int) -> str:
    """Return why there is no development row, and what to do."""
    what = "group" if dataset.groups else "different text"
    what = f"{num_groups} {what}" if num_groups == 1 else f"{num_groups} {what}s"
    if dataset.groups:
        return (
            f"{dataset.path}: {what} cannot be split into train and development rows. Give "
            "development data with --dev FILE, or a finer --group-column."
        )
    return (
        f"{dataset.path}: only {what}, which cannot be split into train and development rows. Is "
        "--text-column the column of the texts? Else give development data with --dev FILE."
    )


def fold_rows(
    groups: Sequence[Hashable], strata: Sequence[Hashable], num_folds: int, seed: int
) -> NDArray[np.int64]:
    """PLACEHOLDER until the branch of splits is merged."""
    order = np.random.default_rng(seed).permutation(len(strata))
    folds = np.zeros(len(strata), np.int64)
    counts: Counter[Hashable] = Counter()
    for row in order:
        folds[row] = counts[strata[row]] % num_folds
        counts[strata[row]] += 1
    return folds
