"""Several labels: what their row of probabilities means to everybody who asks."""

import json

import numpy as np
import pytest

from handler.errors import ArtefactError
from handler.inference.bundle import read_bundle
from handler.inference.tasks import MultiLabel, Options, Tensor, read_task
from tests.helpers.hostile import change
from tests.helpers.multi_label import TASK as DESCRIBED
from tests.helpers.multi_label import copy_bundle

TASK = MultiLabel(["fear", 'joy, "all"', "love"], [0.5, 0.25, 0.75])
SCORES = {"fear": 0.5, 'joy, "all"': 0.625, "love": 0.625}
ROW = list(SCORES.values())
NONE = [0.25, 0.125, 0.5]


def test_a_description_gives_the_task_again():
    task = read_task(TASK.describe())

    assert task.describe() == TASK.describe()
    assert TASK.describe() == {
        "kind": "multi-label",
        "labels": list(SCORES),
        "thresholds": [0.5, 0.25, 0.75],
    }


def test_an_answer_has_the_labels_over_their_thresholds_the_most_probable_first():
    assert TASK.answer(ROW) == {"labels": ['joy, "all"', "fear"], "scores": SCORES}


def test_a_text_may_have_no_label():
    answer = TASK.answer(NONE)

    assert answer["labels"] == []
    assert len(answer["scores"]) == 3
    assert TASK.cells(NONE) == ("[]", "[]")
    assert TASK.predicted_labels(NONE) == ()


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (Options(top_k=1), ['joy, "all"']),
        (Options(threshold=0.6), ['joy, "all"', "love"]),
        (Options(top_k=3, threshold=0.9), []),
    ],
)
def test_options_choose_the_scores_and_not_the_labels(options, shown):
    answer = TASK.answer(ROW, options)

    assert list(answer["scores"]) == shown
    assert answer["labels"] == ['joy, "all"', "fear"]


def test_the_schema_names_the_fields_of_an_answer():
    assert list(TASK.describe_answer()) == list(TASK.answer(ROW))


def test_cells_are_json_whatever_a_label_holds():
    labels, scores = TASK.cells(ROW)

    assert json.loads(labels) == ['joy, "all"', "fear"]
    assert json.loads(scores) == [0.625, 0.5]
    assert dict(TASK.columns) == {"predicted_labels": str, "predicted_scores": str}


def test_tensors_have_the_values_that_they_name():
    values = {tensor.name: list(TASK.tensor_values(tensor.name, ROW)) for tensor in TASK.tensors}

    assert values == {"labels": ['["joy, \\"all\\"", "fear"]'], "scores": ROW}
    assert TASK.tensors[1] == Tensor("scores", "FP32", 3)


def test_all_labels_are_ranked_and_equal_ones_in_their_order():
    assert TASK.rank(ROW) == [('joy, "all"', 0.625), ("love", 0.625), ("fear", 0.5)]


@pytest.mark.parametrize(("row", "column"), [(ROW, 1), (NONE, 2), ([0.5, 0.0, 0.7], 0)])
def test_the_first_label_of_the_answer_is_explained(row, column):
    assert TASK.explained_output(row) == column


def test_the_same_answer_is_the_same_set():
    left = np.array([ROW, NONE, NONE], np.float32)
    right = np.array([[0.9, 0.3, 0.0], NONE, [0.25, 0.125, 0.8]], np.float32)

    assert TASK.same_answers(left, right).tolist() == [True, True, False]
    np.testing.assert_allclose(TASK.margins(left), [0.0, 0.125, 0.125], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("row", "flaw"),
    [(ROW, ""), ([1, 1, 1], ""), ([0, 0, 0], ""), ([0.5, -0.1, 0], "outside 0 to 1")],
)
def test_probabilities_need_not_sum_to_one(row, flaw):
    assert flaw in TASK.find_flaw(row)
    assert bool(TASK.find_flaw(row)) == bool(flaw)


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ([0.5], "thresholds is an array of 1, wanted an array of 2 to 10000"),
        ([0.5, 0.5, 0.5], "task.thresholds has 3 numbers, wanted 2: one for each label"),
        ([0, 0.5], r"thresholds\[0\] is 0, wanted a number above 0 and 1 at most"),
        ([0.5, 1.5], r"thresholds\[1\] is 1.5, wanted a number above 0"),
        ([0.5, -1e-9], r"thresholds\[1\] is -1e-09, wanted"),
        ([0.5, True], r"thresholds\[1\] is true, wanted a finite number"),
        ([0.5, "0.5"], r"thresholds\[1\] is '0.5', wanted a finite number"),
        ([0.5, None], r"thresholds\[1\] is null, wanted"),
        (0.5, "thresholds is 0.5, wanted an array"),
        ({"pos": 0.5}, "thresholds is an object of 1 fields, wanted an array"),
    ],
)
def test_a_bundle_with_other_thresholds_is_refused(tiny_bundle, tmp_path, thresholds, message):
    bundle = copy_bundle(tiny_bundle, tmp_path / "bundle")
    change(("task", "thresholds"), thresholds)(bundle)

    with pytest.raises(ArtefactError, match=message):
        read_bundle(bundle)


@pytest.mark.parametrize("name", ["labels", "thresholds"])
def test_a_field_that_is_missing_is_named(name):
    with pytest.raises(ArtefactError, match=rf"task\.{name} is missing"):
        read_task({field: value for field, value in DESCRIBED.items() if field != name})
