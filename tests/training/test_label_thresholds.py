"""Thresholds: the best ones of many rows, and careful ones of few."""

import numpy as np
import pytest

from training.answers.label_thresholds import NEVER, best_f1, describe_precisions, keep_precisions
from training.answers.promises import keep_promise


def draw(num_rows: int, seed: int, mean: float = -2.0):
    """Return calibrated probabilities and what came true."""
    random = np.random.default_rng(seed)
    probabilities = 1 / (1 + np.exp(-random.normal(mean, 2, num_rows)))
    return probabilities, (random.random(num_rows) < probabilities).astype(np.float64)


def measure_f1(threshold, probabilities, targets):
    given = probabilities >= threshold
    return 2 * (given * targets).sum() / (given.sum() + targets.sum())


def test_without_a_prior_the_threshold_is_the_best_of_the_rows():
    probabilities, targets = np.array([0.9, 0.8, 0.3, 0.2]), np.array([1.0, 1.0, 0.0, 1.0])

    assert best_f1(probabilities, targets, np.ones(4), prior_rows=0) == pytest.approx(0.1)
    targets = np.array([1.0, 1.0, 0.0, 0.0])
    assert best_f1(probabilities, targets, np.ones(4), prior_rows=0) == pytest.approx(0.55)


def test_a_prior_makes_the_thresholds_of_few_rows_better():
    wide, true = draw(200_000, 99)
    gains = []
    for seed in range(40):
        probabilities, targets = draw(60, seed)
        weights = np.ones(60)
        with_prior, without = (
            measure_f1(best_f1(probabilities, targets, weights, rows), wide, true)
            for rows in (20.0, 0.0)
        )
        gains.append(with_prior - without)

    assert np.mean(gains) > 0.02


def test_a_label_whose_rows_keep_no_precision_is_never_given_and_told():
    probabilities, targets = draw(2_000, 1)
    outputs = np.stack([probabilities, np.linspace(0.01, 0.3, 2_000)], axis=1)
    both = np.stack([targets, np.zeros(2_000)], axis=1)

    found, told = keep_precisions(["a", "b"], outputs, both, np.ones(2_000), 0.9)

    assert 0.5 < found[0] < 1
    assert found[1] == NEVER
    given = probabilities >= found[0]
    assert told["precision"] == targets[given].mean()
    assert told["recall"] == targets[given].sum() / targets.sum()
    assert (told["is_reached"], told["never"]) == (True, {"b": {"rows": 0, "needed": None}})
    line = describe_precisions(told)
    assert f"keeps a precision of 0.9, nine times in ten: {told['precision']:.3f} of" in line
    assert "1 of 2 labels are never given" in line
    assert "'b' (0 rows: it takes a better model, not more rows alone)" in line


def test_no_label_that_keeps_a_precision_says_how_many_rows_would():
    outputs, targets = np.full((40, 2), 0.1), np.zeros((40, 2))
    outputs[:10], targets[:10] = 0.9, 1.0

    found, told = keep_precisions(["a", "b"], outputs, targets, np.ones(40), 0.9)

    assert found == [NEVER, NEVER]
    assert told["is_reached"] is False
    line = describe_precisions(told)
    assert "'a' (10 rows: about 22 would do if as large a share is right)" in line
    assert "so no label keeps a precision of 0.9: promise less" in line


@pytest.mark.parametrize("value", [0.0, 1e-12, 0.5, 1.0])
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_a_threshold_is_above_zero_and_one_at_most(value, target):
    rows = np.full(5, value), np.full(5, target), np.ones(5)

    assert 0 < best_f1(*rows) <= 1
    assert 0 < keep_promise(*rows, {"min_precision": 0.9}).threshold <= 1


def test_a_row_of_weight_two_is_two_rows():
    probabilities, targets = draw(80, 3)
    twice = np.repeat(np.arange(80), 2)

    weighted = best_f1(probabilities, targets, np.full(80, 2.0))

    assert weighted == best_f1(probabilities[twice], targets[twice], np.ones(160))
