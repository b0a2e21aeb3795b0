"""Cutting a development split from the training rows."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

from training.errors import DataError
from training.readers import Dataset


def split_rows(dataset: Dataset, dev_fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Return (train rows, development rows), every label in about the same share of both.

    Rows of one group stay on one side. Without a group column equal texts are a group, so that no
    development text was also trained on.

    Raises:
        DataError: The groups leave no development row.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for row, group in enumerate(dataset.groups or dataset.texts):
        members[group].append(row)
    counts = Counter(dataset.labels)
    room = {
        label: min(count - 1, max(1, round(count * dev_fraction)))
        for label, count in counts.items()
    }
    groups = list(members.values())
    random.Random(seed).shuffle(groups)
    train_rows: list[int] = []
    dev_rows: list[int] = []
    for rows in groups:
        wanted = Counter(dataset.labels[row] for row in rows)
        if all(count <= room[label] for label, count in wanted.items()):
            dev_rows += rows
            for label, count in wanted.items():
                room[label] -= count
        else:
            train_rows += rows
    if not dev_rows or len({dataset.labels[row] for row in train_rows}) < 2:
        raise DataError(
            f"{dataset.path}: {len(members)} groups cannot be split into train and development "
            "rows. Give development data with --dev FILE, or a finer --group-column."
        )
    return sorted(train_rows), sorted(dev_rows)
