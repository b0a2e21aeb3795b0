"""A single label: what its row of probabilities means to everybody who asks."""

import numpy as np
import pytest

from handler.errors import ArtefactError
from handler.inference.tasks import Options, SingleLabel, Tensor, read_task

TASK = SingleLabel(["neg", "new", "pos"])
ROW = [0.25, 0.125, 0.625]


def test_a_description_gives_the_task_again():
    task = read_task(TASK.describe())

    assert (task.kind, task.describe()) == ("single-label", TASK.describe())
    assert TASK.describe() == {"kind": "single-label", "labels": ["neg", "new", "pos"]}


def test_an_answer_has_the_best_label_and_all_scores():
    assert TASK.answer(ROW) == {
        "label": "pos",
        "score": 0.625,
        "scores": {"neg": 0.25, "new": 0.125, "pos": 0.625},
    }


@pytest.mark.parametrize(
    ("options", "scores"),
    [
        (Options(top_k=2), {"pos": 0.625, "neg": 0.25}),
        (Options(threshold=0.25), {"neg": 0.25, "pos": 0.625}),
        (Options(top_k=1, threshold=0.9), {}),
    ],
)
def test_options_choose_the_scores(options, scores):
    answer = TASK.answer(ROW, options)

    assert list(answer["scores"].items()) == list(scores.items())
    assert answer["label"] == "pos"


def test_the_schema_names_the_fields_of_an_answer():
    assert list(TASK.describe_answer()) == list(TASK.answer(ROW))


def test_cells_fit_the_columns():
    assert TASK.cells(ROW) == ("pos", 0.625)
    assert dict(TASK.columns) == {"predicted_label": str, "predicted_score": float}


def test_equal_scores_are_ranked_in_the_order_of_the_labels():
    assert TASK.rank([0.25, 0.5, 0.25]) == [("new", 0.5), ("neg", 0.25), ("pos", 0.25)]


def test_tensors_have_the_values_that_they_name():
    values = {tensor.name: list(TASK.tensor_values(tensor.name, ROW)) for tensor in TASK.tensors}

    assert values == {"label": ["pos"], "score": [0.625], "probabilities": ROW}
    assert TASK.tensors[2] == Tensor("probabilities", "FP32", 3)


@pytest.mark.parametrize(("score", "raw"), [(0.5, 0.0), (0.8, 1.386294), (1.0, 16.635532)])
def test_the_raw_score_of_a_probability_is_its_log_odds(score, raw):
    assert TASK.raw_score(score) == pytest.approx(raw, abs=1e-6)


def test_the_same_answer_is_the_same_label():
    left = np.array([[0.2, 0.1, 0.7], [0.5, 0.4, 0.1]], np.float32)
    right = np.array([[0.4, 0.1, 0.5], [0.4, 0.5, 0.1]], np.float32)

    assert TASK.same_answers(left, right).tolist() == [True, False]
    np.testing.assert_allclose(TASK.margins(left), [0.5, 0.1], rtol=0, atol=1e-6)
    assert left[0].tolist() == np.float32([0.2, 0.1, 0.7]).tolist()  # not sorted in place


def test_an_unknown_kind_is_named():
    with pytest.raises(
        ArtefactError, match="the task is 'ranking', this build knows .*single-label"
    ):
        read_task({"kind": "ranking"})
