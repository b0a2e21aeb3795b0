"""What a shadow's line tells of two predictions of the same texts, by kind of task."""

import pytest

from handler.inference.agreement import MAX_CHANGES, measure_agreement
from handler.inference.classifier import Prediction
from handler.inference.tasks import MultiLabel, Ordinal, Regression, Selective, SingleLabel
from handler.inference.tasks.selective import Abstain


def measure(task, rows, other_rows, other=None):
    predictions, others = (
        [Prediction(row, False, 1, 1) for row in given] for given in (rows, other_rows)
    )
    return measure_agreement(task, other or task, predictions, others)


def test_a_single_label_agrees_where_it_is_the_same():
    task = SingleLabel(["neg", "pos"])

    found = measure(
        task, [[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]], [[0.7, 0.3], [0.4, 0.6], [0.4, 0.6]]
    )

    assert found == {
        "texts": 3,
        "agreed": 2,
        "score_difference": pytest.approx((0.2 + 0.4 + 0) / 3, abs=1e-6),
        "score_shift": pytest.approx((0.7 - 0.9 + 0.6 - 0.8 + 0) / 3, abs=1e-6),
        "changed": {"neg": {"pos": 1}},
    }


def test_labels_are_told_by_name_where_a_version_has_others_or_another_order():
    task, other = SingleLabel(["neg", "pos"]), SingleLabel(["pos", "neg", "mixed"])

    found = measure(task, [[0.9, 0.1], [0.8, 0.2]], [[0.1, 0.9, 0.0], [0.2, 0.0, 0.8]], other)

    assert (found["agreed"], found["changed"]) == (1, {"neg": {"mixed": 1}})
    assert found["score_difference"] == pytest.approx(0.8 / 2)


def test_an_answer_that_is_withheld_is_an_answer_of_its_own():
    plain = SingleLabel(["neg", "pos"])
    task = Selective(plain, Abstain(0.9, 0.7))

    found = measure(
        task, [[0.9, 0.1], [0.4, 0.6], [0.4, 0.6]], [[0.6, 0.4], [0.45, 0.55], [0.1, 0.9]]
    )

    assert (found["agreed"], found["changed"]) == (1, {"neg": {"": 1}, "": {"pos": 1}})


def test_several_labels_agree_where_all_are_the_same_and_each_change_counts():
    task = MultiLabel(["a", "b", "c"], [0.5, 0.5, 0.5])

    found = measure(task, [[0.9, 0.9, 0.1], [0.9, 0.1, 0.1]], [[0.1, 0.9, 0.9], [0.9, 0.1, 0.1]])

    assert (found["agreed"], found["changed"]) == (1, {"a": {"": 1}, "": {"c": 1}})
    assert found["score_difference"] == pytest.approx(1.6 / 3 / 2, abs=1e-6)
    assert found["score_shift"] == 0


def test_ordered_labels_are_compared_by_their_values_too():
    task = Ordinal(["1", "2", "5"])

    found = measure(task, [[1, 0, 0], [0, 1, 0]], [[0, 0, 1], [0, 1, 0]])

    assert found == {
        "texts": 2,
        "agreed": 1,
        "score_difference": 2.0,
        "score_shift": 2.0,
        "changed": {"1": {"5": 1}},
    }


def test_numbers_agree_within_a_tenth_of_the_standard_deviation():
    task = Regression(0, 10, 5, 2.0)

    found = measure(task, [[5.0], [5.0], [5.0]], [[5.1], [5.3], [4.0]])

    assert found == {
        "texts": 3,
        "agreed": 1,
        "score_difference": pytest.approx(1.4 / 3, abs=1e-6),
        "score_shift": pytest.approx(-0.6 / 3, abs=1e-6),
    }


def test_the_rarest_changes_of_many_are_counted_together():
    labels = [f"label {number}" for number in range(MAX_CHANGES + 10)]
    task = SingleLabel(labels)
    rows = [[float(column == row) for column in range(len(labels))] for row in range(len(labels))]

    found = measure(task, rows, rows[1:] + rows[:1])

    assert sum(len(one) for one in found["changed"].values()) == MAX_CHANGES
    assert (found["agreed"], found["changed_others"]) == (0, 10)
