"""Weights and shifts of logits, found on rows that nothing was fitted to."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from tests.helpers.objectives import single_label
from training.answers.calibration import MIN_WIDE, find_mixture


def draw_rows(num_labels: int, shifts: list[float], num_rows: int = 4000):
    """Return logits of a half that knows nothing of how frequent labels are, and targets that are
    drawn by twice those logits, shifted."""
    objective = single_label(num_labels)
    random = np.random.default_rng(0)
    logits = random.normal(size=(num_rows, objective.num_logits))
    powers = np.exp(objective.output_logits(2 * logits + shifts))
    cuts = np.cumsum(powers / powers.sum(axis=1, keepdims=True), axis=1)
    label_ids = (cuts < random.random((num_rows, 1))).sum(axis=1)
    return objective, logits, np.eye(num_labels)[label_ids]


@pytest.mark.parametrize(("num_labels", "shifts"), [(2, [1.0]), (3, [1.0, 0.0, -1.0])])
def test_scale_and_frequencies_are_found(num_labels, shifts):
    objective, logits, targets = draw_rows(num_labels, shifts)

    weights, found, loss = find_mixture(logits, targets, objective)

    np.testing.assert_allclose(weights, [2.0], atol=0.15)  # within what 4,000 rows tell
    np.testing.assert_allclose(found, shifts, atol=0.15)
    assert loss < objective.logits_loss(2 * logits, targets)


def test_few_rows_shift_little():
    objective = single_label(2)

    weights, shifts, _ = find_mixture(np.zeros((2, 1)), np.eye(2)[[1, 1]], objective)

    assert weights.tolist() == [1.0]
    assert 0.05 < shifts[0] < 0.2


def test_half_that_misleads_is_silenced_and_the_wide_one_never():
    objective, logits, targets = draw_rows(3, [0.0, 0.0, 0.0], 500)

    weights, _, _ = find_mixture(np.hstack([-logits, -logits]), targets, objective)

    assert weights.tolist() == [MIN_WIDE, 0.0]


@pytest.mark.parametrize("num_labels", [2, 4])
def test_gradient_is_that_of_the_loss(num_labels):
    objective, logits, targets = draw_rows(num_labels, [0.0] * (num_labels - (num_labels == 2)), 3)
    targets[0] = 1 / num_labels  # a soft label

    found = objective.loss_slopes(logits, targets)

    wanted = approx_fprime(
        logits.ravel(), lambda flat: objective.logits_loss(flat.reshape(logits.shape), targets)
    )
    np.testing.assert_allclose(found.ravel(), wanted, atol=1e-6)  # of differences of 1.5e-8
