"""The plan of features: what is told out of folds, and what pays."""

import numpy as np
import pytest

from tests.helpers.objectives import single_label
from training.fitting.encoded import Encoded
from training.linear import cache as cache_module
from training.linear.cache import FeatureCache
from training.linear.features import find_features
from training.linear.plan import (
    Find,
    _ridge_loss,
    choose_plan,
    cross_fit,
    find_planned,
    fold,
)
from training.linear.weights import Plan


def make_inflected(num_rows: int = 120) -> Encoded:
    """Return texts whose label says the stem of a word that no other text has."""
    random = np.random.default_rng(0)
    ends = ["".join(random.choice(list("abcdefghij"), 4)) for _ in range(num_rows)]
    label_ids = np.arange(num_rows) % 2
    stems = np.array(["kalo", "mirut"])[label_ids]
    words = ["[PAD]", "[UNK]", *(stem + end for stem, end in zip(stems, ends, strict=True))]
    ids = [[2 + row] for row in range(num_rows)]
    return Encoded(ids, np.eye(2, dtype=np.float32)[label_ids], words=words)


def test_letters_pay_where_words_are_inflected():
    rows = make_inflected()

    plan = choose_plan(rows, single_label(2), seed=0)

    assert plan.letters > 0
    features = find_planned(rows, plan)
    told = cross_fit(features, rows.targets[:, 1:], fold(rows, single_label(2), 0), plan, 0)
    assert np.mean((told[:, 0] > 0) == (rows.targets[:, 1] > 0)) > 0.95


def test_letters_are_left_out_where_words_are_characters():
    rows = Encoded(
        [[2], [3]] * 20, np.eye(2, dtype=np.float32)[[0, 1] * 20], words=["", "", "好", "坏"]
    )

    assert choose_plan(rows, single_label(2), seed=0).letters == 0


def test_row_is_told_by_others_alone():
    random = np.random.default_rng(1)
    ids = [[2 + row] for row in range(60)]  # a word of its own tells nothing of another row
    targets = random.integers(0, 2, (60, 1)).astype(float)
    features = find_features(ids, [()] * 60, [str(n) for n in range(62)], False)
    folds = np.arange(60) % 3

    told = cross_fit(features, targets, folds, Plan(letters=0.0), 0)

    for one in range(3):
        assert np.ptp(told[folds == one]) < 1e-6


def test_row_of_weight_two_is_as_two_rows():
    random = np.random.default_rng(2)
    points = random.normal(size=(40, 3)).astype(np.float32)
    targets = np.eye(3, dtype=np.float32)[(points[:, 0] > 0) + (points[:, 1] > 0).astype(int)]
    weights = 1 + np.arange(40, dtype=np.float32) % 2
    twice = np.repeat(np.arange(40), weights.astype(int))
    folds, kernel = np.arange(40) % 4, points @ points.T
    rows = Encoded([[2]] * 40, targets, weights=weights)
    copies = Encoded([[2]] * len(twice), targets[twice])

    weighted = _ridge_loss(kernel, rows, folds, single_label(3))

    copied = _ridge_loss(kernel[np.ix_(twice, twice)], copies, folds[twice], single_label(3))
    plain = _ridge_loss(kernel, Encoded([[2]] * 40, targets), folds, single_label(3))
    assert weighted == pytest.approx(copied, rel=1e-4)  # both are sums of float32
    assert weighted != pytest.approx(plain, rel=1e-3)


def count_finds(monkeypatch) -> list[int]:
    """Count how often features are found, by the number of rows."""
    found: list[int] = []

    def find(rows: Encoded, plan: Plan):
        found.append(len(rows.token_ids))
        return find_planned(rows, plan)

    monkeypatch.setattr(cache_module, "find_planned", find)
    return found


def test_features_are_found_once_for_all_plans(monkeypatch):
    rows = make_inflected()
    found = count_finds(monkeypatch)
    find: Find = FeatureCache(rows).find

    plan = choose_plan(rows, single_label(2), 0, find)
    without = find(rows, plan._replace(letters=0.0))
    find(rows.select(np.arange(5)), plan)

    assert found == [120, 5]
    expected = find_planned(rows, plan._replace(letters=0.0))
    assert without.blocks.keys() == expected.blocks.keys() == {"words", "phrases"}
    assert (without.hashes.keys(), without.parts) == (expected.hashes.keys(), {})
    for kind, block in without.blocks.items():
        assert (block != expected.blocks[kind]).nnz == 0


def test_features_that_were_left_out_are_found_again(monkeypatch):
    rows = make_inflected()
    found = count_finds(monkeypatch)
    find = FeatureCache(rows).find

    find(rows, Plan(letters=0.0))
    assert "letters" in find(rows, Plan(letters=1.0)).blocks

    assert found == [120, 120]
