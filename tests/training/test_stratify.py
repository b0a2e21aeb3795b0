"""Splits of rows with several labels: every label on both sides, groups whole."""

from pathlib import Path

import numpy as np
import pytest

from training.rows.readers import Dataset
from training.rows.split import fold_rows, split_rows

SHARES = [0.5, 0.3, 0.1, 0.05, 0.01]


def draw_sets(num_rows: int, seed: int) -> list[frozenset]:
    random = np.random.default_rng(seed)
    return [
        frozenset(label for label, share in enumerate(SHARES) if random.random() < share)
        for _ in range(num_rows)
    ]


def count(sets, rows) -> np.ndarray:
    return np.array([sum(label in sets[row] for row in rows) for label in range(len(SHARES))])


def make_dataset(num_rows: int, groups=None) -> Dataset:
    texts = [f"text{number} only{number}" for number in range(num_rows)]
    return Dataset(texts, [""] * num_rows, groups, Path("rows.csv"), "")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_label_is_held_out_in_its_share(seed):
    sets = draw_sets(2_000, seed)

    train, dev = split_rows(make_dataset(2_000), sets, 0.1, seed)

    assert sorted([*train, *dev]) == list(range(2_000))
    wanted = count(sets, range(2_000)) / 10
    assert (np.abs(count(sets, dev) - wanted) <= np.maximum(1, 0.05 * wanted)).all()
    assert len(dev) == pytest.approx(200, abs=10)


def test_folds_have_the_same_share_of_each_label_where_luck_would_not():
    sets = draw_sets(2_000, 0)

    folds = fold_rows(np.arange(2_000), sets, 5, seed=0)

    counts = np.stack([count(sets, np.flatnonzero(folds == fold)) for fold in range(5)])
    assert (counts.max(axis=0) - counts.min(axis=0) <= 2).all()
    sizes = np.bincount(folds)
    assert sizes.max() - sizes.min() <= 20
    assert (fold_rows(np.arange(2_000), sets, 5, seed=0) == folds).all()
    assert (fold_rows(np.arange(2_000), sets, 5, seed=1) != folds).any()


def test_groups_stay_whole():
    sets = draw_sets(600, 1)
    groups = np.random.default_rng(2).integers(0, 150, 600)
    numbers = np.unique(groups, return_inverse=True)[1]

    folds = fold_rows(numbers, sets, 4, seed=0)
    train, dev = split_rows(make_dataset(600, groups.astype(str).tolist()), sets, 0.2, 0)

    assert all(len({*folds[numbers == group].tolist()}) == 1 for group in {*numbers.tolist()})
    assert not {groups[row] for row in train} & {groups[row] for row in dev}
    assert len(dev) == pytest.approx(120, abs=30)


def test_a_label_of_two_rows_has_one_on_each_side_and_of_one_row_it_is_learned():
    sets = [frozenset("a")] * 38 + [frozenset("ab")] * 2 + [frozenset("c")]

    train, dev = split_rows(make_dataset(41), sets, 0.05, 0)

    assert sum("b" in sets[row] for row in dev) == 1
    assert 40 in train


def test_rows_without_any_label_are_dealt_out_too():
    sets = [frozenset()] * 90 + [frozenset("a")] * 10

    folds = fold_rows(np.arange(100), sets, 5, seed=0)

    assert np.bincount(folds).tolist() == [20] * 5


def test_all_rows_of_a_label_in_one_group_are_learned():
    sets = [frozenset("a")] * 20 + [frozenset("b")] * 6
    groups = [*map(str, range(20)), *["film"] * 6]

    train, dev = split_rows(make_dataset(26, groups), sets, 0.3, 0)

    assert {*range(20, 26)} <= {*train}
    assert dev
