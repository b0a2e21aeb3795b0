"""Cutting a development split from the training rows, and all of them into folds."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError
from training.rows import stratify
from training.rows.readers import Dataset

Ints = NDArray[np.int64]


def split_rows(
    dataset: Dataset, strata: Sequence[Hashable], dev_fraction: float, seed: int
) -> tuple[list[int], list[int]]:
    """Return (train rows, development rows), every stratum in about the same share of both.

    Each stratum keeps a row to train on. Rows of several strata each are dealt out as
    `training/rows/stratify.py` says. Rows of one group stay on one side, so that no development
    text was also trained on, nearly or in part (`training/rows/overlaps.py`). Where such groups
    leave no development row, those of the group column, or of equal texts, take their place.

    Args:
        strata: What each row is, as `Objective.strata` says.
        dev_fraction: Share of the rows that is held out, 0 to 1.

    Raises:
        DataError: The groups leave no development row.
    """
    overlaps = dataset.overlaps
    hold_out = _hold_out_sets if _is_several(strata) else _hold_out
    for groups in (overlaps.groups, overlaps.exact_groups):
        train_rows, dev_rows = hold_out(groups, strata, dev_fraction, seed)
        if dev_rows:
            return train_rows, dev_rows
    raise DataError(_describe_unsplit(dataset, int(overlaps.exact_groups.max()) + 1))


def fold_rows(groups: Ints, strata: Sequence[Hashable], num_folds: int, seed: int) -> Ints:
    """Return the fold of each row, from 0, for cross-validation; always the same for one seed.

    Groups stay whole, and each stratum is in about equal shares in all folds: the largest groups
    first, each goes to the fold that has the least of its strata. No fold is empty. A stratum of
    several groups is never all in one fold, where groups are of one stratum each; where they are
    of several it is avoided as far as one pass finds a way.

    Args:
        groups: int64, shape (rows,): the group of each row.
        strata: What each row is, as `Objective.strata` says.
        num_folds: Folds that are wanted, 2 or more; there are fewer where there are fewer groups.

    Returns:
        int64, shape (rows,); there are `max() + 1` folds.

    Raises:
        ValueError: Less than two folds, or not a stratum for each row.
    """
    if num_folds < 2:
        raise ValueError(f"num_folds is {num_folds}, wanted 2 or more")
    if len(groups) != len(strata):
        raise ValueError(f"{len(groups)} rows have groups, {len(strata)} have strata")
    members = list(_gather(groups).values())
    if _is_several(strata):
        return _fold_sets(members, strata, min(num_folds, len(members)), seed)
    random.Random(seed).shuffle(members)
    members.sort(key=len, reverse=True)
    folds = [_Fold() for _ in range(min(num_folds, len(members)))]
    totals = Counter(strata)
    result = np.empty(len(groups), np.int64)
    for rows in members:
        counts = Counter(strata[row] for row in rows)
        costs = [fold.cost(counts, totals) for fold in folds]
        chosen = costs.index(min(costs))
        folds[chosen].add(counts)
        result[rows] = chosen
    return result


class _Fold:
    """The rows of each stratum that a fold has so far."""

    def __init__(self) -> None:
        self.counts: Counter[Hashable] = Counter()
        self.size = 0

    def cost(self, group: Counter[Hashable], totals: Counter[Hashable]) -> tuple[int, float, int]:
        """Return how ill the group would stand here: by strata of which all rows would be in this
        fold, then by what it has of the group's strata, then by its size."""
        complete, share = 0, 0.0
        for stratum, count in group.items():
            there, total = self.counts[stratum], totals[stratum]
            complete += there > 0 and there + count == total
            share += count * there / total
        return complete, share, self.size

    def add(self, group: Counter[Hashable]) -> None:
        self.counts += group
        self.size += group.total()


def _hold_out(
    groups: Ints, strata: Sequence[Hashable], dev_fraction: float, seed: int
) -> tuple[list[int], list[int]]:
    """Return (train rows, development rows); none of the latter where no group has room."""
    room = {
        stratum: min(count - 1, max(1, round(count * dev_fraction)))
        for stratum, count in Counter(strata).items()
    }
    members = list(_gather(groups).values())
    random.Random(seed).shuffle(members)
    train_rows: list[int] = []
    dev_rows: list[int] = []
    for rows in members:
        wanted = Counter(strata[row] for row in rows)
        if all(count <= room[stratum] for stratum, count in wanted.items()):
            dev_rows += rows
            for stratum, count in wanted.items():
                room[stratum] -= count
        else:
            train_rows += rows
    return sorted(train_rows), sorted(dev_rows)


def _is_several(strata: Sequence[Hashable]) -> bool:
    return any(isinstance(stratum, frozenset) for stratum in strata)


def _hold_out_sets(
    groups: Ints, sets: Sequence[Any], dev_fraction: float, seed: int
) -> tuple[list[int], list[int]]:
    """Return what `_hold_out` does, of rows of several strata."""
    members = list(_gather(groups).values())
    wanted = stratify.want_held_out(sets, dev_fraction)
    parts = stratify.deal_out(members, sets, wanted, seed)
    train_labels = {label for part, rows in zip(parts, members, strict=True) if not part
                    for row in rows for label in sets[row]}  # fmt: skip
    for group in np.flatnonzero(parts).tolist():  # a group with all rows of a label goes back
        labels = {label for row in members[group] for label in sets[row]}
        if not labels <= train_labels:
            parts[group] = 0
            train_labels |= labels
    both: tuple[list[int], list[int]] = ([], [])
    for part, rows in zip(parts.tolist(), members, strict=True):
        both[part].extend(rows)
    return sorted(both[0]), sorted(both[1]) if both[0] else []


def _fold_sets(
    members: Sequence[Sequence[int]], sets: Sequence[Any], num_folds: int, seed: int
) -> Ints:
    """Return what `fold_rows` does, of rows of several strata."""
    parts = stratify.deal_out(members, sets, stratify.want_folds(sets, num_folds), seed)
    used = np.unique(parts)  # none is empty
    result = np.empty(len(sets), np.int64)
    for part, rows in zip(np.searchsorted(used, parts).tolist(), members, strict=True):
        result[list(rows)] = part
    return result


def _gather(groups: Ints) -> dict[int, list[int]]:
    """Return the rows of each group, in the order of first rows."""
    members: dict[int, list[int]] = defaultdict(list)
    for row, group in enumerate(groups.tolist()):
        members[group].append(row)
    return members


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
