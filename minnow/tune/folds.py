"""Which rows each trial learns from, and which it is measured on."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.rows.data import Data
from training.rows.readers import Dataset
from training.rows.split import fold_rows

Ints = NDArray[np.int64]

NUM_FOLDS = 5
# Of fewer rows the recipe leaves its LSTM out, so that they would say nothing of it.
FIRST_ROWS = 1_500
GROWTH = 4  # from a step to the next
MOST_MEASURED = 4_000  # rows of a fold: of so many the standard error of an accuracy is 0.5 points
ENOUGH_MEASURED = 200  # rows that the first step measures, if there are as many
SURE_ROWS = 2  # of each stratum that every part has


class Step(NamedTuple):
    """How much is known of a candidate.

    Args:
        rows: That it is fitted to.
        folds: That it was measured on.
    """

    rows: int
    folds: tuple[int, ...]


@dataclass(frozen=True)
class Folds:
    """The folds of the training rows, and the steps from a rough look to a sure one.

    Args:
        of_rows: int64, shape (rows,): the fold of each row.
        order: int64, shape (rows,): all rows, so that each stratum has its share of any beginning.
        steps: From the quickest on.
    """

    of_rows: Ints
    order: Ints
    steps: tuple[Step, ...]

    def learned(self, rows: int, fold: int) -> Ints:
        """Return the rows that a trial learns from, sorted."""
        outside = self.order[self.of_rows[self.order] != fold]
        return np.sort(outside[:rows])

    def measured(self, fold: int) -> Ints:
        """Return the rows that a trial is measured on, sorted."""
        inside = self.order[self.of_rows[self.order] == fold]
        return np.sort(inside[:MOST_MEASURED])


def make_folds(data: Data, seed: int) -> Folds:
    """Return the folds of the training rows; what repeats shares one, as in training's split."""
    strata = data.objective.strata(data.objective.encode(data.train.labels))
    folds = fold_rows(data.train.overlaps.groups, strata, NUM_FOLDS, seed)
    if not folds.any():  # all are one group
        folds = fold_rows(np.arange(len(strata)), strata, NUM_FOLDS, seed)
    sizes = np.bincount(folds)
    rest = len(folds) - int(sizes.max())  # rows to learn from, whichever fold is left out
    return Folds(folds, order_rows(strata, seed), make_steps(rest, sizes.tolist()))


def make_steps(rest: int, sizes: Sequence[int]) -> tuple[Step, ...]:
    """Return the steps: few rows and a fold first, all rows and all folds at the end.

        20,000 rows, five folds of 4,000 -> 1,500, 6,000, 20,000 rows and fold 0; then 20,000 rows
        and folds 0 to 2, then all folds

    Args:
        rest: Rows that are outside of any fold.
        sizes: Rows of each fold.
    """
    steps = []
    rows = FIRST_ROWS
    while rows * GROWTH / 2 <= rest:
        steps.append(Step(rows, (0,)))
        rows *= GROWTH
    first = 1
    while not steps and first < len(sizes) and sum(sizes[:first]) < ENOUGH_MEASURED:
        first += 1
    counts = sorted({first, min(len(sizes), max(first, 3)), len(sizes)})
    return (*steps, *(Step(rest, tuple(range(count))) for count in counts))


def order_rows(strata: Sequence[Hashable], seed: int) -> Ints:
    """Return all rows in an order of which any beginning has each stratum in about its share, and
    all of them at least `SURE_ROWS` times."""
    chance = np.random.default_rng(seed)
    members: dict[Hashable, list[int]] = defaultdict(list)
    plain = _rarest(strata)
    for row in chance.permutation(len(strata)).tolist():
        members[plain[row]].append(row)
    places = np.empty(len(strata))
    for rows in members.values():
        places[rows] = (np.arange(len(rows)) + chance.random()) / len(rows)
        places[rows[:SURE_ROWS]] -= 1
    return np.argsort(places, kind="stable")


def _rarest(strata: Sequence[Hashable]) -> list[Hashable]:
    """Return of a row of several strata the one that fewest rows have."""
    counts: Counter[Hashable] = Counter()
    for stratum in strata:
        counts.update(stratum if isinstance(stratum, frozenset) else [stratum])
    return [
        min(stratum, key=lambda one: (counts[one], repr(one)), default=None)
        if isinstance(stratum, frozenset)
        else stratum
        for stratum in strata
    ]


def take_rows(dataset: Dataset, rows: Ints) -> Dataset:
    """Return some of the rows, int64, shape (rows that stay,)."""
    numbers = rows.tolist()

    def take(values: list[Any] | None) -> list[Any] | None:
        return None if values is None else [values[number] for number in numbers]

    taken = {name: take(getattr(dataset, name)) for name in ("texts", "labels")}
    optional = {name: take(getattr(dataset, name)) for name in ("groups", "weights")}
    return dataclasses.replace(dataset, **taken, **optional)  # type: ignore[arg-type]
