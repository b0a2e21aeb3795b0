"""Promised precision and recall: kept on other rows, refused where rows are too few to tell."""

import numpy as np
import pytest

from training.answers.promises import bound_share, check_enough, count_rows, keep_promise
from training.errors import SettingsError
from training.rows.label_sets import LabelSet

DRAWS = 30


def draw(num_rows, share=0.02, seed=0, distance=3.0, certainty=1.0):
    """Return probabilities of a rare label, and which rows have it.

    Args:
        distance: By how many standard deviations its rows stand out.
        certainty: Above 1 the model is surer than it should be.
    """
    random = np.random.default_rng(seed)
    is_label = random.random(num_rows) < share
    shown = random.normal(size=num_rows) + distance * is_label
    logits = np.log(share / (1 - share)) + distance * shown - distance**2 / 2
    return 1 / (1 + np.exp(-certainty * logits)), is_label


def measure(probabilities, is_label, threshold):
    told = probabilities >= threshold
    return (told & is_label).sum() / max(told.sum(), 1), (told & is_label).sum() / is_label.sum()


@pytest.mark.parametrize("aim", ["min_precision", "min_recall"])
@pytest.mark.parametrize("wanted", [0.8, 0.9])
@pytest.mark.parametrize("certainty", [1.0, 1.4])
@pytest.mark.parametrize(
    ("num_rows", "share", "most"), [(3_000, 0.02, 0.12), (3_000, 0.1, 0.09), (40_000, 0.02, 0.04)]
)
def test_a_promise_is_kept_on_other_rows(aim, wanted, certainty, num_rows, share, most):
    """In the mean of draws, in nearly nine draws of ten, and not by far more than was asked."""
    others, truth = draw(200_000, share, seed=1, certainty=certainty)
    kept = []
    for seed in range(2, 2 + DRAWS):
        probabilities, is_label = draw(num_rows, share, seed, certainty=certainty)
        found = keep_promise(probabilities, is_label, np.ones(num_rows), {aim: wanted})
        if found.is_kept:
            figures = measure(others, truth, found.threshold)
            kept.append(figures[0] if aim == "min_precision" else figures[1])

    assert len(kept) >= DRAWS * 0.25
    assert wanted <= np.mean(kept) < wanted + most
    # The bound alone would allow a tenth; choosing the lowest of many thresholds adds some.
    assert np.sum(np.array(kept) < wanted) <= DRAWS * 0.15


@pytest.mark.parametrize("certainty", [1.0, 1.4])
def test_what_cannot_be_kept_is_hardly_ever_promised(certainty):
    """No threshold of these has a precision of 0.8 for more than a thirtieth of its rows."""
    is_promised = [
        keep_promise(
            *draw(6_000, 0.01, seed, 2.0, certainty), np.ones(6_000), {"min_precision": 0.8}
        )
        for seed in range(DRAWS)
    ]

    assert np.mean([promise.is_kept for promise in is_promised]) < 0.1


def test_precision_takes_the_lowest_threshold_and_recall_the_highest():
    rows = (*draw(50_000), np.ones(50_000))

    lower, higher = (keep_promise(*rows, {"min_precision": wanted}) for wanted in (0.7, 0.9))
    assert lower.threshold < higher.threshold
    assert lower.recall > higher.recall
    some, most = (keep_promise(*rows, {"min_recall": wanted}) for wanted in (0.5, 0.95))
    assert some.threshold > most.threshold
    assert some.precision > most.precision


def test_few_right_rows_promise_nothing_and_tell_how_many_would():
    probabilities = np.array([0.8, 0.78, 0.75] + [0.01] * 297)
    is_label = np.array([True] * 3 + [False] * 297)

    found = keep_promise(probabilities, is_label, np.ones(300), {"min_precision": 0.8})

    assert not found.is_kept
    assert (found.precision, found.recall) == (1.0, 1.0)
    assert found.bound == pytest.approx(0.1 ** (1 / 3))  # n of n right: the nth root
    assert found.needed == 11
    assert 0.8**11 < 0.1 < 0.8**10


def test_weights_are_no_more_rows_than_there_are():
    probabilities, is_label = draw(3_000)
    aim = {"min_precision": 0.8}

    once = keep_promise(probabilities, is_label, np.ones(3_000), aim)
    assert keep_promise(probabilities, is_label, np.full(3_000, 7.0), aim) == once
    uneven = np.where(np.arange(3_000) % 5 == 0, 9.0, 0.1)
    assert keep_promise(probabilities, is_label, uneven, aim).bound < once.bound + 0.05
    few = keep_promise(probabilities, is_label, uneven, {"min_precision": 0.97})
    assert not few.is_kept


@pytest.mark.parametrize("is_label", [np.zeros(50, bool), np.ones(50, bool)])
@pytest.mark.parametrize("aim", ["min_precision", "min_recall"])
def test_rows_of_one_label_alone_are_survived(is_label, aim):
    found = keep_promise(np.linspace(0, 1, 50), is_label, np.ones(50), {aim: 0.8})

    assert 0 < found.threshold <= 1
    assert np.isfinite(found[:4]).all()
    assert found.is_kept == is_label.all()


def test_equal_probabilities_are_not_parted():
    found = keep_promise(
        np.full(100, 0.25), np.arange(100) < 25, np.ones(100), {"min_precision": 0.15}
    )

    assert found.is_kept
    assert 0 < found.threshold <= 0.25


def test_the_bound_is_that_of_the_binomial_distribution():
    from scipy.stats import binom

    bound = float(bound_share(np.array(0.9), 50))

    # With the truth at the bound, 45 or more of 50 come in a tenth of all cases.
    assert 1 - binom.cdf(44, 50, bound) == pytest.approx(0.1, abs=1e-9)
    assert bound_share(np.array([0.0, 0.0]), np.array([0.0, 9.0])).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("share", "wanted", "rows"), [(1, 0.9, 22), (1, 0.98, 114), (0.9, 0.8, 35), (0.8, 0.8, None)]
)
def test_the_rows_that_a_promise_needs_are_the_fewest(share, wanted, rows):
    assert count_rows(share, wanted) == rows
    if rows is not None:
        assert bound_share(np.array(share), rows) >= wanted > bound_share(np.array(share), rows - 1)


def test_a_promise_of_too_few_rows_is_refused_before_training():
    labels = ["ham"] * 500 + ["spam"] * 21
    of_spam = {"threshold_label": "spam", "min_precision": 0.9}

    with pytest.raises(
        SettingsError, match=r"^--min-precision 0.9 needs 22 rows of 'spam' or more"
    ):
        check_enough(of_spam, labels)
    check_enough(of_spam, [*labels, "spam"])
    check_enough({}, [])
    several = [LabelSet({"a": 1.0, "b": 1.0})] * 21 + [LabelSet({})] * 99
    with pytest.raises(SettingsError, match="needs 22 rows of any label or more.*there are 21"):
        check_enough({"min_precision": 0.9}, several)
    check_enough({"min_precision": 0.9}, [*several, LabelSet({"b": 1.0})])
