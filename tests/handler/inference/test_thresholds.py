"""A single label with thresholds: which label is the answer, for one row and for many."""

import itertools

import numpy as np
import pytest

from handler.errors import ArtefactError
from handler.inference.tasks import Options, SingleLabel, read_task

SPAM = SingleLabel(["ham", "news", "spam"], {"spam": 0.2})
OVER, UNDER = [0.5, 0.25, 0.25], [0.5, 0.375, 0.125]
BINARY = SingleLabel(["ham", "spam"], {"spam": 0.25})
ALL = SingleLabel(["ham", "news", "spam"], {"ham": 1.0, "news": 0.5, "spam": 0.1})
SEVERAL = SingleLabel(["ham", "news", "spam", "sport"], {"spam": 0.1, "news": 0.3})
TASKS = (SingleLabel(["ham", "spam"]), BINARY, SPAM, ALL, SEVERAL)


@pytest.mark.parametrize(
    ("task", "row", "label"),
    [
        (SPAM, OVER, "spam"),
        (SPAM, UNDER, "ham"),
        (SPAM, [0.3, 0.5, 0.2], "spam"),
        (BINARY, [0.75, 0.25], "spam"),
        (BINARY, [0.76, 0.24], "ham"),
        (SingleLabel(["ham", "spam"], {"spam": 0.9}), [0.2, 0.8], "ham"),
        (ALL, [0.9, 0.05, 0.05], "ham"),
        (ALL, [0.6, 0.35, 0.05], "news"),
        (ALL, [0.8, 0.1, 0.1], "spam"),
        (SEVERAL, [0.1, 0.3, 0.2, 0.4], "spam"),
        (SEVERAL, [0.1, 0.6, 0.1, 0.2], "news"),
        (SEVERAL, [0.4, 0.25, 0.05, 0.3], "ham"),
    ],
)
def test_the_answer_follows_the_thresholds(task, row, label):
    answer = task.answer(row)

    column = task.labels.index(label)
    assert (answer["label"], answer["score"]) == (label, row[column])
    assert answer["scores"] == dict(zip(task.labels, row, strict=True))
    assert task.cells(row) == (label, row[column])
    assert task.predicted_labels(row) == (label,)
    assert task.explained_output(row) == column
    assert [list(task.tensor_values(name, row)) for name in ("label", "score")] == [
        [label],
        [row[column]],
    ]


def test_the_order_is_by_probability_whatever_the_answer():
    assert SPAM.rank(OVER)[0] == ("ham", 0.5)
    answer = SPAM.answer(OVER, Options(top_k=1))
    assert (answer["label"], answer["scores"]) == ("spam", {"ham": 0.5})


@pytest.mark.parametrize("task", TASKS, ids=lambda task: str(task.thresholds))
def test_many_rows_are_answered_as_each_alone(task):
    random = np.random.default_rng(0)
    outputs = random.dirichlet(np.full(task.num_outputs, 0.5), 2_000).astype(np.float32)
    levels = np.array([*task.thresholds.values(), 0.5], np.float32)
    for row, (column, level) in enumerate(itertools.product(range(task.num_outputs), levels)):
        outputs[row, column] = level  # exactly on a threshold

    chosen = task.choose_all(outputs)

    assert chosen.tolist() == [task.explained_output(row) for row in outputs.tolist()]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: str(task.thresholds))
def test_no_answer_changes_within_half_of_its_margin(task):
    random = np.random.default_rng(1)
    outputs = random.dirichlet(np.full(task.num_outputs, 0.5), 2_000)

    margins = task.margins(outputs)
    moves = random.uniform(-0.499, 0.499, outputs.shape) * margins[:, None]

    assert (margins >= 0).all()
    assert margins.max() > 0.1
    assert task.same_answers(outputs, outputs + moves).all()


def test_a_description_with_thresholds_gives_the_task_again():
    described = SPAM.describe()

    assert described == {
        "kind": "single-label",
        "labels": ["ham", "news", "spam"],
        "thresholds": {"spam": 0.2},
    }
    assert read_task(described).answer(OVER) == SPAM.answer(OVER)


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ({}, r"^task.thresholds is an object of 0 fields, wanted an object with a threshold"),
        ([0.5], r"^task.thresholds is an array of 1, wanted an object"),
        (None, r"^task.thresholds is null, wanted an object"),
        ({"spam": 0}, r"^task.thresholds\['spam'\] is 0, wanted more than 0 and at most 1"),
        ({"spam": 1.1}, r"^task.thresholds\['spam'\] is 1.1, wanted more than 0 and at most 1"),
        ({"spam": -1}, r"is -1, wanted more than 0"),
        ({"spam": "0.5"}, r"^task.thresholds\['spam'\] is '0.5', wanted a finite number"),
        ({"spam": True}, r"is true, wanted a finite number"),
        ({"spam": float("nan")}, r"is nan, wanted a finite number"),
        ({"spam": 10**400}, r"wanted a finite number"),
        ({"Spam": 0.5}, r"^task.thresholds names 'Spam', which is no label"),
        ({"spam": 0.5, "a\x1b[2J": 0.5}, r"names 'a\\x1b\[2J', which is no label"),
    ],
)
def test_thresholds_that_do_not_fit_are_refused(thresholds, message):
    with pytest.raises(ArtefactError, match=message):
        read_task({"kind": "single-label", "labels": ["ham", "spam"], "thresholds": thresholds})
