"""Splits of rows that have several labels: each label in about the same share of every part.

Iterative stratification (Sechidis, Tsoumakas & Vlahavas, ECML PKDD 2011, algorithm 1), of groups of
rows in place of rows: the label with the fewest rows left is dealt out first, each group to the
part that wants most of it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Sets = Sequence[frozenset[Hashable]]


def deal_out(members: Sequence[Sequence[int]], sets: Sets, wanted: Floats, seed: int) -> Ints:
    """Return the part of each group, int64, shape (groups,).

    Args:
        members: Rows of each group.
        sets: Labels of each row.
        wanted: float64, shape (parts, 1 + labels): rows that each part is to have, of all and of
            each label, in the order of `list_labels`.
    """
    counts = _count(members, sets)
    wanted = wanted.copy()
    left = np.asarray(counts.sum(axis=0), np.int64).ravel()[1:]
    by_label = sparse.csc_matrix(counts)
    random = np.random.default_rng(seed)
    order = random.permutation(len(members))  # among groups of as many rows of a label
    luck = random.random(len(wanted))  # among parts that want as much
    parts = np.full(len(members), -1, np.int64)

    def give(group: int, column: int) -> None:
        part = np.lexsort((luck, wanted[:, 0], wanted[:, column]))[-1]
        parts[group] = part
        row = slice(counts.indptr[group], counts.indptr[group + 1])
        columns, numbers = counts.indices[row], counts.data[row]
        wanted[part, columns] -= numbers
        left[columns[columns > 0] - 1] -= numbers[columns > 0]
        random.shuffle(luck)

    while left.any():
        label = int(np.where(left > 0, left, left.max() + 1).argmin())
        column = slice(by_label.indptr[label + 1], by_label.indptr[label + 2])
        groups, numbers = by_label.indices[column], by_label.data[column]
        is_free = parts[groups] < 0
        groups, numbers = groups[is_free], numbers[is_free]
        for place in np.lexsort((order[groups], -numbers)).tolist():  # the largest first
            give(int(groups[place]), label + 1)
    for group in sorted(np.flatnonzero(parts < 0).tolist(), key=lambda one: -len(members[one])):
        give(group, 0)  # of rows without any label
    return parts


def count_labels(sets: Sets) -> Ints:
    """Return the rows, and those of each label in the order of `list_labels`; int64, shape (1 +
    labels,)."""
    columns = {label: column for column, label in enumerate(list_labels(sets))}
    found = [columns[label] for labels in sets for label in labels]
    return np.concatenate([[len(sets)], np.bincount(found, minlength=len(columns))]).astype(
        np.int64
    )


def list_labels(sets: Sets) -> list[Hashable]:
    """Return the labels in the order of the first rows that have them."""
    return list(dict.fromkeys(label for labels in sets for label in sorted(labels, key=repr)))


def want_held_out(sets: Sets, share: float) -> Floats:
    """Return what `deal_out` takes for rows to train on and a share that is held out: of each label
    one row at least on both sides, if it has two."""
    counts = count_labels(sets)
    held_out = np.minimum(counts - 1, np.maximum(1, np.rint(counts * share)))
    return np.stack([counts - held_out, held_out]).astype(np.float64)


def want_folds(sets: Sets, num_folds: int) -> Floats:
    """Return what `deal_out` takes for folds of about equal shares."""
    return np.tile(count_labels(sets) / num_folds, (num_folds, 1))


def _count(members: Sequence[Sequence[int]], sets: Sets) -> sparse.csr_matrix:
    """Return the rows of each group, and those of each label; int64, shape (groups, 1 + labels)."""
    columns = {label: column for column, label in enumerate(list_labels(sets), start=1)}
    pairs = [
        (group, column)
        for group, rows in enumerate(members)
        for row in rows
        for column in (0, *(columns[label] for label in sets[row]))
    ]
    places = np.array(pairs, np.int64).reshape(-1, 2).T
    ones = np.ones(places.shape[1], np.int64)
    counts = sparse.coo_matrix((ones, (places[0], places[1])), (len(members), 1 + len(columns)))
    return counts.tocsr()
