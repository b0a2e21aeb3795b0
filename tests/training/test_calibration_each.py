"""Several labels: each logit is calibrated for itself, and rare labels near the common scale."""

import numpy as np
import pytest

from handler.inference.tasks import MultiLabel
from training.answers.calibration import calibrate
from training.linear.logit import balance_sides
from training.objectives.multi_label import MultiLabelObjective

OBJECTIVE = MultiLabelObjective(MultiLabel(["a", "b", "c"]))


def test_each_label_finds_its_scale_and_shift():
    random = np.random.default_rng(0)
    true = random.normal(0, 2, (4_000, 3))
    targets = (random.random(true.shape) < 1 / (1 + np.exp(-true))).astype(np.float32)
    logits = true / [0.5, 1.0, 2.0] + [1.0, 0.0, -1.0]

    found = calibrate([logits], targets, OBJECTIVE, [0.0])

    assert found.scales.shape == (1, 3)
    np.testing.assert_allclose(found.scales[0], [0.5, 1.0, 2.0], rtol=0.15)
    np.testing.assert_allclose(found.shifts, [-0.5, 0.0, 2.0], atol=0.25)


def test_a_label_of_few_rows_keeps_near_the_common_scale():
    random = np.random.default_rng(1)
    true = random.normal(-1, 2, (1_000, 3))
    targets = (random.random(true.shape) < 1 / (1 + np.exp(-true))).astype(np.float32)
    targets[:, 2] = 0
    targets[:2, 2] = 1  # which says that its logits are worth nothing

    found = calibrate([true], targets, OBJECTIVE, [0.0])

    assert found.scales[0, 2] > 0.3
    assert found.scales[0, 0] == pytest.approx(1, abs=0.15)


def test_two_halves_have_scales_of_each_label():
    random = np.random.default_rng(2)
    first, second = random.normal(0, 2, (2, 3_000, 3))
    true = first * [1.0, 0.0, 0.5] + second * [0.0, 1.0, 0.5]
    targets = (random.random(true.shape) < 1 / (1 + np.exp(-true))).astype(np.float32)

    found = calibrate([first, second], targets, OBJECTIVE, [0.1, 0.0])

    assert found.scales.shape == (2, 3)
    assert found.scales[0, 0] > 0.8
    assert found.scales[0, 1] == pytest.approx(0.1, abs=0.02)
    assert found.scales[1, 1] > 0.8


def test_texts_with_a_rare_label_count_more_and_the_bias_takes_it_back():
    target = np.zeros(100)
    target[:5] = 1

    weights, shift = balance_sides(target)

    assert 0.05 < weights[:5].sum() / weights.sum() < 0.5
    assert shift == pytest.approx(np.log(weights[-1] / weights[0]))
    assert balance_sides(np.zeros(4)) == (pytest.approx(np.ones(4)), 0.0)
