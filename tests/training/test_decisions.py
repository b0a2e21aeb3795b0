"""Thresholds that are chosen on rows that the model was not fitted to."""

import numpy as np
import pytest

from handler.inference.tasks import SingleLabel
from training.decisions import decide_logits, describe_decision, renew_aims
from training.errors import SettingsError
from training.objectives.single_label import SingleLabelObjective
from training.thresholds import choose_threshold, maximize_macro_f1, weigh_costs

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


@pytest.mark.parametrize(("num_rows", "most"), [(2_000, 0.08), (50_000, 0.03)])
def test_the_aim_is_reached_on_other_rows(num_rows, most):
    others, truth = draw(400_000, seed=1)
    precisions, recalls = [], []
    for seed in range(2, 22):
        probabilities, is_label = draw(num_rows, seed=seed)
        weights = np.ones(num_rows)
        found = choose_threshold(probabilities, is_label, weights, min_precision=0.8)
        precisions.append(measure(others, truth, found.value)[0])
        found = choose_threshold(probabilities, is_label, weights, min_recall=0.9)
        recalls.append(measure(others, truth, found.value)[1])

    assert -0.02 < np.mean(precisions) - 0.8 < most  # of few rows of the label more is asked
    assert abs(np.mean(recalls) - 0.9) < 0.025
    assert np.std(precisions) < most


def test_precision_takes_the_lowest_threshold_and_recall_the_highest():
    probabilities, is_label = draw(50_000)

    lower = choose_threshold(probabilities, is_label, np.ones(50_000), min_precision=0.7)
    higher = choose_threshold(probabilities, is_label, np.ones(50_000), min_precision=0.9)
    assert lower.value < higher.value
    assert lower.recall > higher.recall
    some = choose_threshold(probabilities, is_label, np.ones(50_000), min_recall=0.5)
    most = choose_threshold(probabilities, is_label, np.ones(50_000), min_recall=0.95)
    assert some.value > most.value
    assert some.precision > most.precision


def test_two_lucky_rows_promise_nothing():
    probabilities = np.array([0.4, 0.39] + [0.01] * 98)
    is_label = np.array([True, True] + [False] * 98)

    found = choose_threshold(probabilities, is_label, np.ones(100), min_precision=0.8)

    assert not found.is_reached
    assert found.precision < 0.6


def test_three_rows_of_which_the_model_is_sure_promise_nothing():
    probabilities = np.array([0.8, 0.78, 0.75] + [0.01] * 297)
    is_label = np.array([True] * 3 + [False] * 297)

    found = choose_threshold(probabilities, is_label, np.ones(300), min_precision=0.8)

    assert not found.is_reached


def test_a_row_of_weight_three_is_three_rows():
    probabilities, is_label = draw(3_000)
    weights = np.where(np.arange(3_000) % 5 == 0, 3.0, 1.0)
    repeats = np.repeat(np.arange(3_000), weights.astype(int))

    weighted = choose_threshold(probabilities, is_label, weights, min_precision=0.8)

    repeated = choose_threshold(
        probabilities[repeats], is_label[repeats], np.ones(len(repeats)), min_precision=0.8
    )
    assert weighted == pytest.approx(repeated)


@pytest.mark.parametrize("is_label", [np.zeros(50, bool), np.ones(50, bool)])
def test_rows_of_one_label_alone_are_survived(is_label):
    probabilities = np.linspace(0, 1, 50)

    for aim in ({"min_precision": 0.8}, {"min_recall": 0.8}):
        found = choose_threshold(probabilities, is_label, np.ones(50), **aim)
        assert 0 < found.value <= 1
        assert np.isfinite(found[:3]).all()


def test_equal_probabilities_are_not_parted():
    found = choose_threshold(
        np.full(100, 0.25), np.arange(100) < 25, np.ones(100), min_precision=0.2
    )

    assert found.is_reached
    assert 0 < found.value <= 0.25


def test_settled_answers_have_the_precision():
    probabilities, is_label = draw(20_000)
    aims = {"threshold_label": "spam", "min_precision": 0.8}
    targets = outputs_of(is_label.astype(float))

    objective = SingleLabelObjective(MAIL, aims).settle(outputs_of(probabilities), targets)

    threshold = objective.task.thresholds["spam"]
    precision, recall = measure(probabilities, is_label, threshold)
    assert 0.79 < precision < 0.82
    assert objective.settled["recall"] == pytest.approx(recall, abs=0.02)
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
    assert "no threshold of 'spam' reaches a precision of 0.9; the nearest has precision 0." in line


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
            "^--min-precision is 0.0, wanted more than 0, at most 1",
        ),
        (
            {"threshold_label": "spam", "min_recall": 0.5, "decide": "macro-f1"},
            "^--threshold-label and --decide macro-f1: wanted one of them",
        ),
        ({"decide": "f1"}, "^--decide is 'f1', wanted most-probable, least-cost, macro-f1"),
        ({"decide": "least-cost"}, "^--decide least-cost needs --class-weight"),
        ({"coverage": 0.9}, "^the task single-label takes no --coverage"),
    ],
)
def test_aims_that_do_not_fit_are_refused(aims, message):
    with pytest.raises(SettingsError, match=message):
        SingleLabelObjective(MAIL, aims)


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
