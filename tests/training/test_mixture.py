"""The weight of each half: rows count in it as their weights say."""

import numpy as np
import pytest

from tests.helpers.objectives import single_label
from training.fitting.mixture import find_mixture


@pytest.mark.parametrize("num_labels", [2, 3])
def test_row_of_weight_two_is_as_two_rows(num_labels):
    random = np.random.default_rng(0)
    objective = single_label(num_labels)
    label_ids = random.integers(0, num_labels, 60)
    targets = np.eye(num_labels, dtype=np.float32)[label_ids]
    halves = random.normal(size=(60, 2 * objective.num_logits)) + np.tile(
        objective.logit_targets(targets), 2
    )
    weights = 1.0 + np.arange(60) % 3
    copies = np.repeat(np.arange(60), weights.astype(int))

    found = find_mixture(halves, targets, objective, weights)

    expected = find_mixture(halves[copies], targets[copies], objective)
    for part, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(part, other, rtol=1e-3, atol=1e-4)  # where the search stops
    plain = find_mixture(halves, targets, objective)
    assert np.abs(found.scales - plain.scales).max() > 0.01


@pytest.mark.parametrize("num_labels", [2, 4])
def test_label_of_which_the_half_says_too_little_is_shifted(num_labels):
    random = np.random.default_rng(1)
    objective = single_label(num_labels)
    true = random.normal(0, 2, (3000, objective.num_logits))
    odds = objective.outputs_of(true).cumsum(axis=1)
    label_ids = (random.random((3000, 1)) > odds).sum(axis=1).clip(0, num_labels - 1)
    targets = np.eye(num_labels, dtype=np.float32)[label_ids]
    told = true.copy()
    told[:, -1] -= 1.5

    found = find_mixture(2 * told, targets, objective)

    shifts = np.zeros(objective.num_logits)
    shifts[-1] = 1.5
    difference = found.shifts - shifts
    # Of several logits only the differences matter; 3,000 rows leave some chance.
    spread = np.abs(difference).max() if num_labels == 2 else np.ptp(difference)
    assert spread < 0.35
    assert found.scales[0] == pytest.approx(0.5, abs=0.05)


def test_half_that_makes_no_mistake_keeps_a_finite_scale():
    objective = single_label(3)
    targets = np.eye(3, dtype=np.float32)

    found = find_mixture(np.eye(3), targets, objective)

    assert 1 < found.scales[0] < 5
    np.testing.assert_allclose(found.shifts, 0, atol=1e-4)
