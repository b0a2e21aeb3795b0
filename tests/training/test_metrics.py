import numpy as np
import pytest

from training.figures.metrics import (
    calibration_error,
    calibration_noise,
    count_confusions,
    headline,
    measure_classes,
)


def test_confusions_are_counted_by_true_and_predicted_label():
    counts = count_confusions(np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 0, 0]), 3)

    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [2, 0, 0]]


def test_figures_of_a_label_without_rows_or_guesses_are_undefined():
    classes = measure_classes(np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]]), ("a", "b", "c"))

    assert classes["a"] == pytest.approx({"precision": 1, "recall": 1 / 2, "f1": 2 / 3, "rows": 2})
    assert classes["b"] == pytest.approx({"precision": 1 / 2, "recall": 1, "f1": 2 / 3, "rows": 1})
    assert classes["c"] == {"precision": None, "recall": None, "f1": None, "rows": 0}


def test_calibration_is_weighted_by_the_rows_of_a_bin():
    # Three rows in the last bin, two of them right; one row of confidence 0.5, right.
    probabilities = np.array([[1.0, 0.0]] * 3 + [[0.5, 0.5]])

    error = calibration_error(np.array([0, 0, 1, 0]), probabilities)

    assert error == pytest.approx((3 * (1 - 2 / 3) + 0.5) / 4)


def test_sure_and_right_is_calibrated():
    assert calibration_error(np.array([0, 1]), np.eye(2)) == 0.0


@pytest.mark.parametrize("num_rows", [300, 3_000])
def test_true_probabilities_show_the_error_of_their_noise(num_rows):
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.full(3, 0.4), num_rows)
    errors = []
    for _ in range(50):
        ends = probabilities.cumsum(axis=1)
        label_ids = (random.random((num_rows, 1)) > ends).sum(axis=1).clip(0, 2)
        errors.append(calibration_error(label_ids, probabilities))

    assert calibration_noise(probabilities) == pytest.approx(np.mean(errors), rel=0.1)


def test_headline_has_the_single_numbers():
    figures = {"rows": 4, "accuracy": 0.75, "classes": {}, "labels": ["a"]}

    assert headline(figures) == {"rows": 4, "accuracy": 0.75}
