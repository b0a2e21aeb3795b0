"""Which of the bundles that were tried a budget takes."""

from dataclasses import replace

import numpy as np
import pytest

from export.compress.points import (
    Budget,
    Point,
    find_best,
    find_nearest,
    is_quick,
    keeps,
    measure_scores,
)
from tests.helpers.objectives import single_label

BUDGET = Budget(max_size_bytes=1000, max_drop=0.3)
POINT = Point("whole", "int8", 900, score=0.9, drop=0.2, log_loss=0.3, latency_ms=2.0)
QUICK = replace(POINT, times_faster=6.0, latency_ms=0.5)


def test_lowest_log_loss_is_best_of_those_that_keep_the_budget():
    accurate = replace(POINT, drop=0.0, log_loss=0.4)
    too_large = replace(POINT, size_bytes=1001, log_loss=0.1)
    failed = Point("width-0.5", "int8", error="too far from Keras")

    assert find_best([accurate, POINT, too_large, failed], BUDGET) == POINT
    assert find_best([too_large, failed], BUDGET) is None


@pytest.mark.parametrize(
    ("changes", "is_kept"),
    [
        ({}, True),
        ({"size_bytes": 1000, "drop": 100 * (0.872 - 0.869)}, True),
        ({"size_bytes": 1001}, False),
        ({"drop": 0.31}, False),
        ({"drop": -2.0}, True),
        ({"error": "too far from Keras"}, False),
    ],
)
def test_budget_is_kept_up_to_its_last_byte_and_point(changes, is_kept):
    assert keeps(replace(POINT, **changes), BUDGET) is is_kept


@pytest.mark.parametrize(
    "speed",
    [{"max_latency_ms": 1.0}, {"min_speedup": 5.0}, {"max_latency_ms": 0.5, "min_speedup": 6.0}],
)
def test_speed_is_part_of_the_budget(speed):
    budget = replace(BUDGET, **speed)

    assert keeps(QUICK, budget)
    assert not keeps(POINT, budget)
    # Before training, accuracy says nothing.
    assert is_quick(replace(QUICK, drop=40.0), budget)
    assert not is_quick(POINT, budget)


def test_nearest_weighs_a_point_of_accuracy_as_the_whole_size():
    too_large = replace(POINT, size_bytes=1500)
    inaccurate = replace(POINT, drop=0.7)
    failed = Point("width-0.5", "int8", error="too far from Keras")

    assert find_nearest([failed, too_large, inaccurate], BUDGET) == inaccurate
    assert find_nearest([too_large, replace(POINT, drop=0.9)], BUDGET) == too_large


def test_drop_has_the_error_of_the_rows_that_differ():
    targets = np.eye(2)[[0, 1, 1, 1]]
    baseline = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3]])
    one_lost = np.array([[0.8, 0.2], [0.2, 0.8], [0.5, 0.5], [0.9, 0.1]])
    objective = single_label(2)

    accuracy, log_loss, error = measure_scores(one_lost, baseline, targets, (objective, objective))

    assert accuracy == 0.5
    assert log_loss == pytest.approx(-np.log([0.8, 0.8, 0.5, 0.1]).mean())
    weighted = measure_scores(
        one_lost, baseline, targets, (objective, objective), np.array([1, 1, 1, 2])
    )
    assert (weighted[0], weighted[2]) == (accuracy, error)  # counts of rows
    assert weighted[1] == pytest.approx(-np.log([0.8, 0.8, 0.5, 0.1, 0.1]).mean())
    differences = np.array([0, 0, 1, 0])
    assert error == pytest.approx(100 * differences.std() / 2)  # of a mean of 4 rows
    assert measure_scores(baseline, baseline, targets, (objective, objective))[2] == 0
