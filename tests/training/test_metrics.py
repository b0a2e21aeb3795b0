import math

import numpy as np
import pytest

from training.errors import DataError
from training.metrics import calibration_error, evaluate, format_evaluation

NAMES = ("neg", "pos")
LABELS = ["neg", "neg", "pos", "pos"]
PROBABILITIES = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.25, 0.75]], np.float32)
# float32 probabilities against hand-computed float64.
ATOL = 1e-6


def test_figures_are_those_computed_by_hand():
    figures = evaluate(LABELS, PROBABILITIES, NAMES)

    # neg: precision 1/1, recall 1/2, F1 2/3; pos: precision 2/3, recall 2/2, F1 4/5.
    assert figures["rows"] == 4
    assert figures["accuracy"] == 0.75
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    log_loss = -(math.log(0.9) + math.log(0.4) + math.log(0.8) + math.log(0.75)) / 4
    assert figures["log_loss"] == pytest.approx(log_loss, abs=ATOL)
    # Each row stands in a bin of its own (13, 9, 12, 11 of 15): gaps .1, .6, .2, .25.
    assert figures["calibration_error"] == pytest.approx((0.1 + 0.6 + 0.2 + 0.25) / 4, abs=ATOL)
    assert figures["classes"]["neg"] == pytest.approx(
        {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "rows": 2}
    )
    assert figures["classes"]["pos"] == pytest.approx(
        {"precision": 2 / 3, "recall": 1.0, "f1": 4 / 5, "rows": 2}
    )
    assert figures["labels"] == ["neg", "pos"]
    assert figures["confusion_matrix"] == [[1, 1], [0, 2]]


def test_three_labels_of_which_one_is_not_in_the_data():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])

    figures = evaluate(["a", "b", "a"], probabilities, ("a", "b", "c"))

    # a: precision 1, recall 1/2, F1 2/3; b: F1 1; c has no rows and no F1 to average.
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert figures["classes"]["c"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "rows": 0}
    assert figures["confusion_matrix"] == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_unknown_label_is_refused():
    with pytest.raises(DataError) as caught:
        evaluate(["neg", "mixed", "odd"], PROBABILITIES[:3], NAMES)

    assert str(caught.value) == (
        "the data has 2 labels that the model does not know, the first is 'mixed'; "
        "it knows 'neg', 'pos'"
    )


def test_calibration_is_weighted_by_the_rows_of_a_bin():
    # Three rows in the last bin, two of them right; one row of confidence 0.5, right.
    probabilities = np.array([[1.0, 0.0]] * 3 + [[0.5, 0.5]])

    error = calibration_error(np.array([0, 0, 1, 0]), probabilities)

    assert error == pytest.approx((3 * (1 - 2 / 3) + 0.5) / 4)


def test_sure_and_right_is_calibrated():
    assert calibration_error(np.array([0, 1]), np.eye(2)) == 0.0


def test_text_for_people_shows_classes_and_confusion():
    lines = format_evaluation(evaluate(LABELS, PROBABILITIES, NAMES)).splitlines()

    assert lines[1] == "accuracy           0.7500"
    assert lines[7].split() == ["neg", "1.0000", "0.5000", "0.6667", "2"]
    assert lines[-2].split() == ["neg", "1", "1"]
    assert lines[-1].split() == ["pos", "0", "2"]
