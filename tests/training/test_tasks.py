"""Single label: targets, head, losses and figures; two labels as two columns of one logit."""

import math
import subprocess
import sys

import numpy as np
import pytest

from handler.inference.tasks import SingleLabel
from tests.helpers.objectives import make_dataset, single_label
from training.errors import DataError, SettingsError
from training.objectives.single_label import SingleLabelObjective
from training.tasks import find_task, make_objective

OBJECTIVE = SingleLabelObjective(SingleLabel(["neg", "pos"]))
LABELS = ["neg", "neg", "pos", "pos"]
OUTPUTS = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.25, 0.75]], np.float32)
# float32 outputs against hand-computed float64.
ATOL = 1e-6


def test_task_of_labels_is_sorted_and_has_its_objective():
    task = find_task(["pos", "neg", "pos"])

    assert task.describe() == {"kind": "single-label", "labels": ["neg", "pos"]}
    assert make_objective(task).task is task


def test_target_is_one_in_the_column_of_the_label():
    targets = OBJECTIVE.encode(["pos", "neg"])

    np.testing.assert_array_equal(targets, [[0, 1], [1, 0]])
    assert targets.dtype == np.float32


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "ranking"}, "there is no task 'ranking', wanted .*single-label"),
        ({"separator": "|"}, "the task single-label takes no separator."),
    ],
)
def test_a_task_that_cannot_be_given_is_refused(given, message):
    with pytest.raises(SettingsError, match=message):
        find_task(["neg", "pos"], given)


def test_empty_label_is_refused_with_its_row():
    train, test = make_dataset(LABELS), make_dataset(["neg", "", "pos"], "test.csv")

    with pytest.raises(DataError) as caught:
        OBJECTIVE.check(train, test)
    with pytest.raises(DataError, match=r"^row 2 has no label\. Remove the row"):
        OBJECTIVE.encode(test.labels)

    cure = "Remove the row or fill the cell."
    assert str(caught.value) == f"test.csv: row 2: column 'label' is empty. {cure}"


@pytest.mark.parametrize(("num_labels", "num_logits"), [(2, 1), (3, 3)])
def test_two_labels_need_one_logit(num_labels, num_logits):
    objective = single_label(num_labels)
    targets = objective.encode(objective.task.labels)

    assert objective.num_logits == num_logits
    expected = np.eye(num_labels, dtype=bool)[:, num_labels - num_logits :]
    np.testing.assert_array_equal(objective.logit_targets(targets), expected)


@pytest.mark.slow
@pytest.mark.parametrize("num_labels", [2, 3])
def test_outputs_of_the_head_are_probabilities_whose_loss_is_that_of_the_logits(num_labels):
    import keras

    objective = single_label(num_labels)
    logits = np.random.default_rng(0).normal(0, 3, (8, objective.num_logits)).astype(np.float32)
    targets = np.eye(num_labels, dtype=np.float32)[np.arange(8) % num_labels]
    inputs = keras.Input((objective.num_logits,))
    model = keras.Model(inputs, objective.add_head(inputs))

    outputs = model(logits).numpy()

    assert model.output_names == ["outputs"]
    assert outputs.shape == (8, num_labels)
    if num_labels == 2:
        np.testing.assert_allclose(outputs[:, 1], 1 / (1 + np.exp(-logits[:, 0])), atol=ATOL)
    true = outputs[targets > 0]
    assert objective.log_loss(outputs, targets) == pytest.approx(-np.log(true).mean(), abs=ATOL)
    summed = objective.logits_loss(logits.astype(np.float64), targets)
    assert summed == pytest.approx(-np.log(true).sum(), abs=1e-5)
    each = np.asarray(objective.loss(targets, outputs))
    np.testing.assert_allclose(each, -np.log(true), rtol=0, atol=1e-5)


def test_loss_of_soft_targets_is_their_cross_entropy():
    targets = np.array([[0.3, 0.7]])

    loss = OBJECTIVE.log_loss(np.array([[0.2, 0.8]]), targets)

    expected = -(0.3 * math.log(0.2) + 0.7 * math.log(0.8))
    assert loss == pytest.approx(expected)
    logits = np.array([[math.log(0.8 / 0.2)]])
    assert OBJECTIVE.logits_loss(logits, targets) == pytest.approx(expected)


def test_certain_mistake_has_a_finite_loss():
    assert OBJECTIVE.log_loss(np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]])) == pytest.approx(
        -math.log(1e-7)
    )


def test_score_is_the_share_of_rows_that_are_right():
    scores = OBJECTIVE.row_scores(OUTPUTS, OBJECTIVE.encode(LABELS))

    assert scores.tolist() == [1, 0, 1, 1]
    figures = OBJECTIVE.evaluate(LABELS, OUTPUTS)
    assert figures[OBJECTIVE.score_name] == scores.mean()


def test_figures_are_those_computed_by_hand():
    figures = OBJECTIVE.evaluate(LABELS, OUTPUTS)

    # neg: precision 1/1, recall 1/2, F1 2/3; pos: precision 2/3, recall 2/2, F1 4/5.
    assert figures["rows"] == 4
    assert figures["accuracy"] == 0.75
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    log_loss = -(math.log(0.9) + math.log(0.4) + math.log(0.8) + math.log(0.75)) / 4
    assert figures["log_loss"] == pytest.approx(log_loss, abs=ATOL)
    # Each row stands in a bin of its own (13, 9, 12, 11 of 15): gaps .1, .6, .2, .25.
    assert figures["calibration_error"] == pytest.approx((0.1 + 0.6 + 0.2 + 0.25) / 4, abs=ATOL)
    assert figures["classes"]["neg"] == pytest.approx(
        {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "average_precision": 1.0, "rows": 2}
    )
    assert figures["classes"]["pos"] == pytest.approx(
        {"precision": 2 / 3, "recall": 1.0, "f1": 4 / 5, "average_precision": 1.0, "rows": 2}
    )
    assert figures["labels"] == ["neg", "pos"]
    assert figures["confusion_matrix"] == [[1, 1], [0, 2]]


def test_figures_are_those_of_scikit_learn():
    from sklearn import metrics

    random = np.random.default_rng(1)
    objective = single_label(5)
    label_ids = random.integers(0, 4, 300)  # the last label is not in the data
    outputs = random.dirichlet(np.ones(5), 300)

    figures = objective.evaluate([objective.task.labels[row] for row in label_ids], outputs)

    predicted = outputs.argmax(axis=1)
    precision, recall, f1, rows = metrics.precision_recall_fscore_support(
        label_ids, predicted, labels=range(5), zero_division=0.0
    )
    expected = metrics.f1_score(label_ids, predicted, labels=np.unique(label_ids), average="macro")
    assert figures["macro_f1"] == pytest.approx(expected)
    assert figures["accuracy"] == metrics.accuracy_score(label_ids, predicted)
    expected = metrics.log_loss(label_ids, outputs, labels=range(5))
    assert figures["log_loss"] == pytest.approx(expected)
    areas = [metrics.average_precision_score(label_ids == one, outputs[:, one]) for one in range(4)]
    assert figures["average_precision"] == pytest.approx(np.mean(areas))
    expected = metrics.recall_score(label_ids, predicted, labels=range(4), average="macro")
    assert figures["balanced_accuracy"] == pytest.approx(expected)
    for column, found in enumerate(figures["classes"].values()):
        assert found == pytest.approx(
            {
                "average_precision": [*areas, None][column],
                "precision": precision[column],
                "recall": recall[column] if rows[column] else None,
                "f1": f1[column],
                "rows": rows[column],
            }
        )


def test_weighted_figures_are_those_of_scikit_learn():
    from sklearn import metrics

    weights = [1.0, 4.0, 0.5, 2.0]

    figures = OBJECTIVE.evaluate(LABELS, OUTPUTS, weights)

    predicted = OUTPUTS.argmax(axis=1)
    accuracy = metrics.accuracy_score([0, 0, 1, 1], predicted, sample_weight=weights)
    assert figures.pop("weighted_accuracy") == pytest.approx(accuracy)
    outputs = np.stack([1 - OUTPUTS[:, 1].astype(float), OUTPUTS[:, 1]], axis=1)
    log_loss = metrics.log_loss([0, 0, 1, 1], outputs, sample_weight=weights)
    assert figures["weighted_log_loss"] == pytest.approx(log_loss, abs=ATOL)
    assert "weighted log loss  0." in OBJECTIVE.format_evaluation(
        figures | {"weighted_accuracy": 1.0}
    )
    del figures["weighted_log_loss"]
    assert figures == OBJECTIVE.evaluate(LABELS, OUTPUTS)
    assert figures == OBJECTIVE.evaluate(LABELS, OUTPUTS, [3.0] * 4)  # all count the same


def test_loss_of_a_row_of_weight_two_is_that_of_two_rows():
    random = np.random.default_rng(0)
    logits = random.normal(size=(4, 1))
    targets = OBJECTIVE.encode(LABELS)
    twice = [0, 0, 1, 2, 3, 3]

    summed = OBJECTIVE.logits_loss(logits, targets, np.array([2.0, 1, 1, 2]))

    assert summed == pytest.approx(OBJECTIVE.logits_loss(logits[twice], targets[twice]))
    mean = OBJECTIVE.log_loss(OUTPUTS, targets, np.array([2.0, 1, 1, 2]))
    assert mean == pytest.approx(OBJECTIVE.log_loss(OUTPUTS[twice], targets[twice]))


def test_excess_loss_leaves_out_what_a_soft_label_leaves_open():
    targets = np.array([[0.3, 0.7], [0.0, 1.0]], np.float32)
    logits = np.log(np.array([[0.7 / 0.3], [3.0]]))

    losses = OBJECTIVE.excess_losses(logits, targets)

    np.testing.assert_allclose(losses, [0, -math.log(0.75)], atol=ATOL)


@pytest.mark.parametrize("num_labels", [2, 4])
def test_slopes_are_the_change_of_the_loss(num_labels):
    random = np.random.default_rng(0)
    objective = single_label(num_labels)
    logits = random.normal(size=(1, objective.num_logits))
    targets = random.dirichlet(np.ones(num_labels), 1)
    step = 1e-6 * np.eye(objective.num_logits)

    slopes = objective.loss_slopes(logits, targets)

    sides = [
        np.array([objective.logits_loss(logits + side * row, targets) for row in step])
        for side in (1, -1)
    ]
    np.testing.assert_allclose(slopes[0], (sides[0] - sides[1]) / 2e-6, atol=1e-8)


@pytest.mark.parametrize("num_labels", [2, 3])
def test_outputs_are_shifted_by_the_difference_of_logits(num_labels):
    random = np.random.default_rng(0)
    objective = single_label(num_labels)
    outputs, before, after = (np.log(random.dirichlet(np.ones(num_labels), 5)) for _ in range(3))
    shifted = np.exp(outputs + after - before)

    found = objective.shift_outputs(np.exp(outputs), np.exp(before), np.exp(after))

    np.testing.assert_allclose(found, shifted / shifted.sum(axis=1, keepdims=True), atol=ATOL)
    same = objective.shift_outputs(np.exp(outputs), np.exp(before), np.exp(before))
    np.testing.assert_allclose(same, np.exp(outputs), atol=ATOL)
    certain = objective.shift_outputs(np.eye(num_labels), np.eye(num_labels), np.eye(num_labels))
    assert np.isfinite(certain).all()


def test_three_labels_of_which_one_is_not_in_the_data():
    outputs = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    objective = SingleLabelObjective(SingleLabel(["a", "b", "c"]))

    figures = objective.evaluate(["a", "b", "a"], outputs)

    # a: precision 1, recall 1/2, F1 2/3; b: F1 1; c has no rows and no F1 to average.
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)
    # One row was taken for it, and none has it: its precision is 0, its recall is undefined.
    nothing = {"precision": 0.0, "recall": None, "f1": 0.0, "average_precision": None}
    assert figures["classes"]["c"] == {**nothing, "rows": 0}
    line = objective.format_evaluation(figures).splitlines()[12]
    assert line.split() == ["c", "0.0000", "undefined", "0.0000", "undefined", "0"]
    assert figures["confusion_matrix"] == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_unknown_label_is_refused():
    with pytest.raises(DataError) as caught:
        OBJECTIVE.evaluate(["neg", "mixed", "odd"], OUTPUTS[:3])

    assert str(caught.value) == (
        "2 rows, row 2 the first, have 2 labels that the model does not know; it knows 'neg', "
        "'pos'. Is this the right --label-column?"
    )


def test_text_for_people_shows_classes_and_confusion():
    lines = OBJECTIVE.format_evaluation(OBJECTIVE.evaluate(LABELS, OUTPUTS)).splitlines()

    assert lines[1] == "accuracy           0.7500  (95 %: 0.3006 to 0.9544)"
    assert lines[2].startswith("majority baseline  0.5000")
    assert lines[10].split() == ["neg", "1.0000", "0.5000", "0.6667", "1.0000", "2"]
    assert lines[-2].split() == ["neg", "1", "1"]
    assert lines[-1].split() == ["pos", "0", "2"]


def test_plots_are_written_and_named(tmp_path):
    plots = OBJECTIVE.write_plots(OBJECTIVE.evaluate(LABELS, OUTPUTS), tmp_path)

    assert plots == {
        "Confusion matrix": "confusion_matrix.png",
        "Precision and recall": "precision_recall.png",
    }
    for name in plots.values():
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"


def test_two_labels_of_two_rows_can_be_learned():
    OBJECTIVE.check(make_dataset(["pos", "neg", "neg", "pos"]), make_dataset(["neg"]))


def test_one_label_cannot_be_learned():
    with pytest.raises(DataError) as caught:
        OBJECTIVE.check(make_dataset(["pos", "pos"]))

    assert str(caught.value) == (
        "rows.csv: every row has the label 'pos', wanted two labels or more. "
        "Is this the right --label-column?"
    )


def test_label_of_one_row_cannot_be_learned():
    with pytest.raises(DataError) as caught:
        OBJECTIVE.check(make_dataset(["pos", "pos", "neg", "neg", "mixed"]))

    assert str(caught.value) == (
        "rows.csv: 1 of 3 labels have one row only ('mixed'), wanted two or more: one to learn "
        "from, one to check. Add rows, or merge the labels; with this many labels, is this the "
        "right --label-column?"
    )


def test_numbers_with_commas_are_told_as_such():
    with pytest.raises(DataError) as caught:
        OBJECTIVE.check(make_dataset(["3,5", "4", "3,5", "1,25"]))

    assert str(caught.value) == (
        "rows.csv: column 'label' holds numbers with commas, 2 of them in one row only. Write "
        "decimal points (1234.5): then they are learned as numbers, by --task regression."
    )


def test_label_that_the_training_rows_lack_cannot_be_measured():
    with pytest.raises(DataError) as caught:
        OBJECTIVE.check(make_dataset(LABELS), make_dataset(["neg", "mixed"], "test.csv"))

    assert str(caught.value) == (
        "test.csv: row 2 has a label that no row of rows.csv has. Use the same labels in both; is "
        "this the right --label-column?"
    )


def test_data_and_settings_are_checked_without_tensorflow():
    code = (
        "import sys; import training.rows.data, training.recipe;"
        "import training.run_folder, training.settings;"
        "print(*{'tensorflow', 'keras', 'sklearn', 'matplotlib'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""


def test_of_many_labels_the_worst_are_shown_and_the_whole_goes_to_a_csv(tmp_path):
    names = [f"label {number:03}" for number in range(100)]
    objective = make_objective(SingleLabel(names))
    outputs = np.eye(100, dtype=np.float32)
    outputs[7] = outputs[8]  # "label 007" is taken for the next one

    figures = objective.evaluate(names, outputs)
    lines = objective.format_evaluation(figures).splitlines()
    plots = objective.write_plots(figures, tmp_path)

    assert len(lines) < 50
    assert max(map(len, lines)) < 100
    assert lines[-1].split() == ["1", "label", "007", "label", "008"]
    assert plots["The whole confusion matrix"] == "confusion_matrix.csv"
    rows = (tmp_path / "confusion_matrix.csv").read_text().splitlines()
    assert (len(rows), len(rows[0].split(","))) == (101, 101)
