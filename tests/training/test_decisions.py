"""Thresholds that are chosen on rows that the model was not fitted to."""

import numpy as np
import pytest

from handler.inference.tasks import SingleLabel
from training.answers.decisions import decide_logits, describe_decision, renew_aims
from training.answers.thresholds import maximize_macro_f1, weigh_costs
from training.errors import SettingsError
from training.objectives.single_label import SingleLabelObjective

MAIL = SingleLabel(["ham", "spam"])
THREE = SingleLabel(["ham", "news", "spam"])


def draw(num_rows, share=0.02, seed=0):
    """Return calibrated probabilities of a rare label, and which rows have it."""
    random = np.random.default_rng(seed)
    is_label = random.random(num_rows) < share
    distance = 3.0
    shown = random.normal(size=num_rows) + distance * is_label
    logits = np.log(share / (1 - share)) + distance * shown - distance**2 / 2
    return 1 / (1 + np.exp(-logits)), is_label


def measure(probabilities, is_label, threshold):
    told = probabilities >= threshold
    return (told & is_label).sum() / max(told.sum(), 1), (told & is_label).sum() / is_label.sum()


def outputs_of(probabilities):
    return np.stack([1 - probabilities, probabilities], axis=1)


def test_settled_answers_have_the_precision():
    probabilities, is_label = draw(20_000)
    aims = {"threshold_label": "spam", "min_precision": 0.8}
    targets = outputs_of(is_label.astype(float))

    objective = SingleLabelObjective(MAIL, aims).settle(outputs_of(probabilities), targets)

    threshold = objective.task.thresholds["spam"]
    precision, recall = measure(probabilities, is_label, threshold)
    assert 0.8 < precision < 0.84
    assert objective.settled["precision"] == pytest.approx(precision)
    assert objective.settled["recall"] == pytest.approx(recall)
    answers = outputs_of(probabilities)
    figures = objective.evaluate(["spam" if one else "ham" for one in is_label], answers)
    assert figures["classes"]["spam"]["precision"] == pytest.approx(precision)
    right = (probabilities >= threshold) == is_label
    assert figures["accuracy"] == pytest.approx(right.mean())
    np.testing.assert_array_equal(objective.row_scores(answers, targets), right)
    line = describe_decision(objective.settled)
    assert line.startswith(f"the answer is 'spam' from a probability of {threshold:g} on: preci")


def test_what_cannot_be_reached_is_told_and_nothing_is_set():
    random = np.random.default_rng(0)
    probabilities, is_label = random.random(2_000) / 50, random.random(2_000) < 0.01
    aims = {"threshold_label": "spam", "min_precision": 0.9}

    objective = SingleLabelObjective(MAIL, aims).settle(
        outputs_of(probabilities), outputs_of(is_label.astype(float))
    )

    assert objective.task.thresholds == {}
    assert objective.settled["is_reached"] is False
    line = describe_decision(objective.settled)
    assert "no threshold of 'spam' keeps a precision of 0.9: the nearest has precision 0." in line
    assert "it takes a better model, not more rows alone" in line


def test_nothing_is_settled_where_nothing_is_asked():
    objective = SingleLabelObjective(MAIL)

    assert objective.settle(np.eye(2), np.eye(2)) is objective
    assert describe_decision(objective.settled) == ""


def test_costs_choose_the_answer_of_the_least_expected_cost():
    random = np.random.default_rng(0)
    costs = {"ham": 1.0, "news": 3.0, "spam": 20.0}
    outputs = random.dirichlet(np.ones(3), 500)

    task = SingleLabel(THREE.labels, weigh_costs(THREE.labels, costs))

    # An answer is wrong with the probability of all other labels, each at its own cost.
    expected = (outputs * list(costs.values())).argmax(axis=1)
    np.testing.assert_array_equal(task.choose_all(outputs), expected)
    assert weigh_costs(MAIL.labels, {"ham": 1.0, "spam": 4.0}) == {"spam": 0.2}
    assert weigh_costs(MAIL.labels, {"ham": 2.0, "spam": 2.0}) == {}


def test_class_weights_decide_unless_told_otherwise():
    weights = {"class_weight": {"ham": 1.0, "spam": 4.0}}
    rows = np.array([[0.75, 0.25], [0.9, 0.1]])

    settled = SingleLabelObjective(MAIL, weights).settle(rows, rows)
    plain = SingleLabelObjective(MAIL, {**weights, "decide": "most-probable"}).settle(rows, rows)

    assert settled.task.choose_all(rows).tolist() == [1, 0]
    assert plain.task.choose_all(rows).tolist() == [0, 0]


def test_macro_f1_of_other_rows_rises_where_a_label_is_rare():
    random = np.random.default_rng(0)
    shares = np.array([0.9, 0.07, 0.03])

    def draw_three(num_rows):
        label_ids = random.choice(3, num_rows, p=shares)
        shown = random.normal(size=(num_rows, 3)) + 1.5 * np.eye(3)[label_ids]
        logits = np.log(shares) + 1.5 * shown
        outputs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return outputs, label_ids

    outputs, label_ids = draw_three(3_000)
    targets = np.eye(3)[label_ids]

    thresholds = maximize_macro_f1(THREE.labels, outputs, targets, np.ones(3_000))

    outputs, label_ids = draw_three(30_000)
    labels = [THREE.labels[one] for one in label_ids]
    before, after = (
        SingleLabelObjective(task).evaluate(labels, outputs)["macro_f1"]
        for task in (THREE, SingleLabel(THREE.labels, thresholds))
    )
    assert set(thresholds) == set(THREE.labels)
    assert after > before + 0.015


@pytest.mark.parametrize(
    "thresholds",
    [{"spam": 0.1}, {"spam": 0.7}, {"ham": 1.0, "news": 0.2, "spam": 0.1}],
)
def test_the_largest_logit_is_the_answer(thresholds):
    random = np.random.default_rng(0)
    logits = random.normal(size=(1_000, 3)) * 3
    objective = SingleLabelObjective(SingleLabel(THREE.labels, thresholds))

    moved = decide_logits(objective.task, logits)

    answers = objective.task.choose_all(objective.outputs_of(logits))
    np.testing.assert_array_equal(moved.argmax(axis=1), answers)
    assert decide_logits(THREE, logits) is logits


@pytest.mark.parametrize(
    ("aims", "message"),
    [
        ({"min_precision": 0.8}, "^--min-precision needs --threshold-label LABEL"),
        ({"min_recall": 0.8}, "^--min-recall needs --threshold-label LABEL"),
        ({"threshold_label": "spam"}, "^--threshold-label 'spam' needs --min-precision or --min-r"),
        (
            {"threshold_label": "spam", "min_recall": 0.5, "min_precision": 0.5},
            "needs --min-precision or --min-recall, and one of them",
        ),
        (
            {"threshold_label": "Spam", "min_recall": 0.5},
            "^--threshold-label: there is no label 'Spam', wanted 'ham', 'spam'",
        ),
        (
            {"threshold_label": "spam", "min_precision": 0.0},
            "^--min-precision is 0, wanted a number between 0 and 1",
        ),
        (
            {"threshold_label": "spam", "min_recall": 0.5, "decide": "macro-f1"},
            "^--threshold-label and --decide macro-f1: wanted one of them",
        ),
        (
            {"threshold_label": "spam", "min_recall": 1.0},
            "^--min-recall is 1, wanted a number between 0 and 1: no number of rows promises",
        ),
        ({"decide": "f1"}, "^--decide is 'f1', wanted most-probable, least-cost, macro-f1"),
        ({"decide": "least-cost"}, "^--decide least-cost needs --class-weight"),
        ({"coverage": 0.9}, "^the task single-label takes no --coverage"),
    ],
)
def test_aims_that_do_not_fit_are_refused(aims, message):
    with pytest.raises(SettingsError, match=message):
        SingleLabelObjective(MAIL, aims)


@pytest.mark.parametrize("way", ["macro-f1", "least-cost"])
def test_a_decision_that_needs_no_threshold_claims_none(way):
    rows = np.eye(2)[np.arange(200) % 2] * 0.8 + 0.1
    aims = {"decide": way, "class_weight": {"ham": 1.0, "spam": 1.0}}

    objective = SingleLabelObjective(MAIL, aims).settle(rows, np.round(rows))

    assert objective.task.thresholds == {}
    line = describe_decision(objective.settled)
    assert line.startswith("answers are the most probable labels: by them ")
    assert line.endswith(" already")


def test_other_aims_of_a_finished_run_keep_its_class_weights():
    known = {"class_weight": {"ham": 1, "spam": 2}, "decide": "macro-f1"}
    task = SingleLabel(MAIL.labels, {"spam": 0.5})

    objective = renew_aims(task, known, {"threshold_label": "spam", "min_recall": 0.9})

    assert objective.task.describe() == MAIL.describe()
    assert objective.aims == {
        "class_weight": {"ham": 1, "spam": 2},
        "threshold_label": "spam",
        "min_recall": 0.9,
    }
