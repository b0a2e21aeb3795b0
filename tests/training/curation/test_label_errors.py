"""Confident learning on probabilities that can be followed by hand."""

import numpy as np
import pytest

from training.curation.label_errors import count_confident, find_label_errors

# Six rows, labels 0 and 1: the third and the last are told of the other label.
PROBABILITIES = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.1, 0.9], [0.95, 0.05]])
GIVEN = np.array([0, 0, 0, 1, 1, 1])


def test_the_confident_joint_is_that_of_the_paper():
    # Thresholds: 0 (0.9 + 0.8 + 0.1) / 3 = 0.6, 1 (0.8 + 0.9 + 0.05) / 3 = 0.583.
    joint = count_confident(PROBABILITIES, GIVEN)

    np.testing.assert_array_equal(joint, [[2, 1], [1, 2]])


def test_the_joint_is_scaled_to_the_rows_of_each_label():
    probabilities = np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9], [0.2, 0.8]])

    # Of label 0, whose threshold is 0.5, all rows are told but one that is told of 1.
    joint = count_confident(probabilities, np.array([0, 0, 0, 1]))

    np.testing.assert_allclose(joint.sum(axis=1), [3, 1], rtol=1e-12)
    np.testing.assert_array_equal(joint, [[2, 1], [0, 1]])


def test_rows_that_are_told_of_another_label_are_found_the_most_suspect_first():
    errors = find_label_errors(PROBABILITIES, GIVEN)

    assert errors.rows.tolist() == [5, 2]
    assert errors.suggested.tolist() == [1, 1, 1, 0, 0, 0]


@pytest.mark.parametrize("num_labels", [2, 77])
def test_nothing_is_suspected_where_all_labels_are_told(num_labels):
    given = np.arange(2 * num_labels) % num_labels
    probabilities = np.full((len(given), num_labels), 0.1 / num_labels)
    probabilities[np.arange(len(given)), given] += 0.9

    assert find_label_errors(probabilities, given).rows.tolist() == []


def test_a_label_that_no_row_has_is_never_told_with_confidence():
    probabilities = np.array([[0.1, 0.1, 0.8], [0.2, 0.3, 0.5], [0.3, 0.5, 0.2]])

    joint = count_confident(probabilities, np.array([0, 1, 1]))

    assert joint[:, 2].tolist() == [0, 0, 0]
    assert joint[2].tolist() == [0, 0, 0]


def test_flipped_labels_of_seventy_seven_are_found():
    chance = np.random.default_rng(0)
    given = chance.integers(0, 77, 3000)
    probabilities = chance.dirichlet(np.full(77, 0.05), 3000) * 0.3
    probabilities[np.arange(3000), given] += 0.7
    flipped = chance.choice(3000, 150, replace=False)
    wrong = given.copy()
    wrong[flipped] = (wrong[flipped] + chance.integers(1, 77, 150)) % 77

    found = find_label_errors(probabilities, wrong).rows

    assert set(found.tolist()) <= set(flipped.tolist())
    assert len(found) > 100  # the others stand below the threshold of their own label
