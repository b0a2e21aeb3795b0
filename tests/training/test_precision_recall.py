import numpy as np
import pytest
from sklearn import metrics

from tests.helpers.objectives import single_label
from training.figures.plots import plot_precision_recall
from training.figures.precision_recall import (
    CURVE_POINTS,
    DRAWN_CURVES,
    average_precision,
    find_curve,
)


@pytest.mark.parametrize("digits", [1, 2, 9])  # of few digits many scores are equal
def test_curve_and_average_precision_are_those_of_scikit_learn(digits):
    random = np.random.default_rng(digits)
    is_label = random.random(400) < 0.1
    scores = (random.random(400) + is_label).round(digits)

    precision, recall = find_curve(scores, is_label)

    expected = metrics.precision_recall_curve(is_label, scores)
    np.testing.assert_allclose(precision[::-1], expected[0][:-1], rtol=1e-12)
    np.testing.assert_allclose(recall[::-1], expected[1][:-1], rtol=1e-12)
    wanted = metrics.average_precision_score(is_label, scores)
    assert average_precision(scores, is_label) == pytest.approx(wanted)


def test_label_without_rows_has_no_precision():
    assert average_precision(np.array([0.5, 0.1]), np.array([False, False])) is None


def test_curves_of_many_labels_are_the_worst_and_short(tmp_path):
    random = np.random.default_rng(0)
    objective = single_label(20)
    label_ids = random.integers(0, 20, 3_000)
    skill = np.linspace(0, 4, 20)[label_ids]  # the first labels are hardest
    logits = random.normal(size=(3_000, 20))
    logits[np.arange(3_000), label_ids] += skill
    outputs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    figures = objective.evaluate([objective.task.labels[one] for one in label_ids], outputs)

    curves = figures["precision_recall"]
    assert set(curves) == {f"label {number}" for number in range(DRAWN_CURVES)}
    assert all(len(curve["recall"]) <= CURVE_POINTS for curve in curves.values())
    assert all(curve["recall"][-1] == 1.0 for curve in curves.values())
    assert all(np.diff(curve["recall"]).min() >= 0 for curve in curves.values())
    plot_precision_recall(figures, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"
