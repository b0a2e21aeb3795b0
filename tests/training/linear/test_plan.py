"""The plan of features: what is told out of folds, and what pays."""

import numpy as np

from tests.helpers.objectives import single_label
from training.encoded import Encoded
from training.linear.features import find_features
from training.linear.plan import choose_plan, cross_fit, find_planned, fold
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
    told = cross_fit(features, rows.targets[:, 1:], fold(rows, 0), plan, 0)
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
