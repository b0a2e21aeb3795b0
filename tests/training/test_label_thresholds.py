"""Thresholds: the best ones of many rows, and careful ones of few."""

import numpy as np
import pytest

from training.label_thresholds import NEVER, best_f1, keep_precision


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


def test_a_promised_precision_is_kept_on_other_rows():
    wide, true = draw(200_000, 99)
    kept = []
    for seed in range(40):
        probabilities, targets = draw(500, seed)
        threshold = keep_precision(probabilities, targets, np.ones(500), 0.8)
        kept.append(true[wide >= threshold].mean())

    assert 0.8 < np.mean(kept) < 0.88
    assert np.mean(np.array(kept) > 0.77) > 0.8


def test_a_precision_that_no_row_has_gives_the_label_to_none():
    probabilities = np.linspace(0.01, 0.3, 50)

    assert keep_precision(probabilities, np.zeros(50), np.ones(50), 0.9) == NEVER


@pytest.mark.parametrize("choose", [best_f1, lambda *rows: keep_precision(*rows, 0.9)])
@pytest.mark.parametrize("value", [0.0, 1e-12, 0.5, 1.0])
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_a_threshold_is_above_zero_and_one_at_most(choose, value, target):
    threshold = choose(np.full(5, value), np.full(5, target), np.ones(5))

    assert 0 < threshold <= 1


def test_a_row_of_weight_two_is_two_rows():
    probabilities, targets = draw(80, 3)
    twice = np.repeat(np.arange(80), 2)

    weighted = best_f1(probabilities, targets, np.full(80, 2.0))

    assert weighted == best_f1(probabilities[twice], targets[twice], np.ones(160))
