"""Several labels: targets, head, losses, thresholds and figures."""

import math
from pathlib import Path

import numpy as np
import pytest

from handler.inference.tasks import MultiLabel
from training.errors import DataError, SettingsError
from training.figures.mistakes import find_mistakes
from training.objectives.multi_label import MultiLabelObjective
from training.rows.columns import Columns
from training.rows.label_sets import LabelSet
from training.rows.readers import Dataset
from training.tasks import find_task, make_objective

OBJECTIVE = MultiLabelObjective(MultiLabel(["a", "b", "c"], [0.5, 0.25, 0.5]))
LABELS = [LabelSet({"a": 1, "b": 1}), LabelSet({}), LabelSet({"c": 1}), LabelSet({"b": 1})]
OUTPUTS = np.array([[0.9, 0.3, 0.1], [0.2, 0.1, 0.4], [0.6, 0.2, 0.7], [0.1, 0.2, 0.3]], np.float32)
# float32 outputs against hand-computed float64.
ATOL = 1e-6


def hard(*rows: str) -> list[str]:
    """Return the labels of rows: "ab" -> a and b."""
    return [LabelSet(dict.fromkeys(row, 1.0)) for row in rows]


def make_dataset(labels: list[str], name: str = "rows.csv") -> Dataset:
    return Dataset([""] * len(labels), labels, None, Path(name), "", "labels")


def random_case(seed: int, num_labels: int = 6, num_rows: int = 300):
    random = np.random.default_rng(seed)
    names = [f"label {number}" for number in range(num_labels)]
    logits = random.normal(-1, 1.5, (num_rows, num_labels))
    targets = (random.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    targets[:, -1] = 0  # a label that is not in the data
    labels = [LabelSet({names[one]: 1.0 for one in np.flatnonzero(row)}) for row in targets]
    outputs = 1 / (1 + np.exp(-logits - random.normal(0, 0.5, logits.shape)))
    return MultiLabelObjective(MultiLabel(names, [0.3] * num_labels)), labels, targets, outputs


def test_sets_of_labels_make_the_task():
    task = find_task([LabelSet({"b": 1}), LabelSet({"a": 0.0, "c": 0.2}), LabelSet({})])

    assert task.describe() == {
        "kind": "multi-label",
        "labels": ["a", "b", "c"],
        "thresholds": [0.5] * 3,
    }
    assert make_objective(task).task is task


def test_target_is_one_for_each_label_and_what_a_soft_one_says():
    targets = OBJECTIVE.encode([*LABELS, LabelSet({"a": 0.25, "b": 0.75})])

    expected = [[1, 1, 0], [0, 0, 0], [0, 0, 1], [0, 1, 0], [0.25, 0.75, 0]]
    np.testing.assert_array_equal(targets, np.float32(expected))
    assert OBJECTIVE.strata(targets)[0] == frozenset({0, 1})
    assert OBJECTIVE.strata(targets)[4] == frozenset({1})


def test_a_label_that_is_not_known_is_named_with_its_row():
    with pytest.raises(
        DataError, match="^row 2 has a label that the model does not know; it knows 'a'"
    ):
        OBJECTIVE.encode(hard("a", "x"))


@pytest.mark.slow
def test_outputs_of_the_head_are_probabilities_whose_loss_is_that_of_the_logits():
    import keras

    logits = np.random.default_rng(0).normal(0, 3, (8, 3)).astype(np.float32)
    targets = (np.random.default_rng(1).random((8, 3)) < 0.3).astype(np.float32)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, OBJECTIVE.add_head(inputs))

    outputs = model(logits).numpy()

    assert model.output_names == ["outputs"]
    np.testing.assert_allclose(outputs, 1 / (1 + np.exp(-logits)), atol=ATOL)
    np.testing.assert_allclose(OBJECTIVE.outputs_of(logits), outputs, atol=ATOL)
    each = np.asarray(OBJECTIVE.loss(targets, outputs))
    assert each.shape == (8,)
    summed = OBJECTIVE.logits_loss(logits.astype(np.float64), targets)
    assert summed == pytest.approx(float(each.sum()), rel=1e-5)
    assert OBJECTIVE.log_loss(outputs, targets) == pytest.approx(summed / 8, rel=1e-5)
    margin = keras.Model(inputs, OBJECTIVE.add_margin(inputs))(logits).numpy()
    np.testing.assert_allclose(margin[:, 0], np.abs(logits).min(axis=1), atol=ATOL)


def test_loss_is_summed_over_the_labels():
    loss = OBJECTIVE.log_loss(np.array([[0.5, 0.25, 0.9]]), np.array([[1.0, 0.0, 0.5]]))

    expected = -math.log(0.5) - math.log(0.75) - (math.log(0.9) + math.log(0.1)) / 2
    assert loss == pytest.approx(expected)


def test_slopes_are_the_change_of_the_loss():
    random = np.random.default_rng(0)
    logits, targets = random.normal(size=(1, 3)), random.random((1, 3))
    step = 1e-6 * np.eye(3)

    slopes = OBJECTIVE.loss_slopes(logits, targets)

    up, down = (
        np.array([OBJECTIVE.logits_loss(logits + side * row, targets) for row in step])
        for side in (1, -1)
    )
    np.testing.assert_allclose(slopes[0], (up - down) / 2e-6, atol=1e-8)


def test_excess_loss_leaves_out_what_a_soft_label_leaves_open():
    targets = np.array([[0.3, 1.0, 0.0]])
    logits = np.log(np.array([[0.3 / 0.7, 3.0, 1.0]]))

    losses = OBJECTIVE.excess_losses(logits, targets)

    np.testing.assert_allclose(losses, [-math.log(0.75) - math.log(0.5)], atol=ATOL)


def test_outputs_are_shifted_by_the_difference_of_logits():
    outputs, before, after = np.random.default_rng(0).uniform(0.05, 0.95, (3, 5, 3))

    def log_odds(shares):
        return np.log(shares / (1 - shares))

    found = OBJECTIVE.shift_outputs(outputs, before, after)

    moved = log_odds(outputs) + log_odds(after) - log_odds(before)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-moved)), atol=ATOL)
    certain = OBJECTIVE.shift_outputs(np.eye(3), np.eye(3), np.eye(3))
    assert np.isfinite(certain).all()


def test_an_exit_changes_the_answer_where_a_label_crosses_its_threshold():
    exits = np.array([[2.0, -3.0, -4.0], [2.0, -3.0, -4.0]])
    full = np.array([[1.0, -2.0, -4.0], [1.0, -1.0, -4.0]])  # log odds of 0.25 are -1.1

    margins, remaining = OBJECTIVE.exit_margins(exits, full)

    assert margins.tolist() == [2.0, 2.0]
    assert remaining[0] == pytest.approx(2 - math.log(3))
    assert remaining[1] == pytest.approx(1 - math.log(3))


def test_figures_are_those_computed_by_hand():
    figures = OBJECTIVE.evaluate(LABELS, OUTPUTS)

    # Given: ab, none, ac, none; true: ab, none, c, b. So a: 1 of 2 right; b: 1 of 1, 1 missed.
    assert figures["rows"] == 4
    assert figures["micro_f1"] == pytest.approx(2 * 3 / (4 + 4))
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert figures["sample_f1"] == pytest.approx((1 + 1 + 2 / 3 + 0) / 4)
    assert figures["exact_match"] == 0.5
    assert figures["classes"]["b"]["precision"] == 1.0
    assert figures["classes"]["b"]["recall"] == 0.5
    assert figures["classes"]["b"]["threshold"] == 0.25
    assert (
        figures[OBJECTIVE.score_name]
        == OBJECTIVE.row_scores(OUTPUTS, OBJECTIVE.encode(LABELS)).mean()
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_figures_are_those_of_scikit_learn(seed):
    from sklearn import metrics

    objective, labels, targets, outputs = random_case(seed)
    given = outputs >= 0.3

    figures = objective.evaluate(labels, outputs)

    present = targets.any(axis=0)
    for name, average in (("micro_f1", "micro"), ("sample_f1", "samples")):
        expected = metrics.f1_score(targets, given, average=average, zero_division=1.0)
        assert figures[name] == pytest.approx(expected)
    expected = metrics.f1_score(targets[:, present], given[:, present], average="macro")
    assert figures["macro_f1"] == pytest.approx(expected)
    assert figures["exact_match"] == metrics.accuracy_score(targets, given)
    expected = metrics.label_ranking_loss(targets, outputs)
    assert figures["ranking_loss"] == pytest.approx(expected)
    losses = [metrics.log_loss(targets[:, one], outputs[:, one], labels=[0, 1]) for one in range(6)]
    assert figures["log_loss"] == pytest.approx(sum(losses))
    precision, recall, f1, rows = metrics.precision_recall_fscore_support(
        targets, given, zero_division=0.0
    )
    for column, found in enumerate(figures["classes"].values()):
        assert [found["precision"], found["recall"], found["f1"], found["rows"]] == pytest.approx(
            # What no row tells is undefined, where scikit-learn has a 0.
            [precision[column], recall[column] if rows[column] else None, f1[column], rows[column]]
        )
        if present[column]:
            rounded = np.round(outputs[:, column], 2)  # with equal ones
            expected = metrics.average_precision_score(targets[:, column], rounded)
            again = objective.evaluate(labels, np.round(outputs, 2))
            found = list(again["classes"].values())[column]["average_precision"]
            assert found == pytest.approx(expected)


def test_weighted_figures_stand_beside_the_others():
    figures = OBJECTIVE.evaluate(LABELS, OUTPUTS, [1.0, 2.0, 1.0, 4.0])

    assert figures["weighted_sample_f1"] == pytest.approx((1 + 2 + 2 / 3) / 8)
    assert "weighted sample F1" in OBJECTIVE.format_evaluation(figures)
    assert "weighted_sample_f1" not in OBJECTIVE.evaluate(LABELS, OUTPUTS, [3.0] * 4)


def test_loss_of_a_row_of_weight_two_is_that_of_two_rows():
    logits, targets = np.random.default_rng(0).normal(size=(4, 3)), OBJECTIVE.encode(LABELS)
    twice = [0, 0, 1, 2, 3, 3]

    summed = OBJECTIVE.logits_loss(logits, targets, np.array([2.0, 1, 1, 2]))

    assert summed == pytest.approx(OBJECTIVE.logits_loss(logits[twice], targets[twice]))


def test_settling_gives_each_label_its_threshold_and_keeps_the_aim():
    objective, _, targets, outputs = random_case(2, num_rows=2_000)

    settled = objective.settle(outputs, targets)
    precise = MultiLabelObjective(objective.task, {"min_precision": 0.7}).settle(outputs, targets)

    assert objective.task.thresholds == (0.3,) * 6
    given, wanted = settled.task.is_over(outputs), targets > 0
    best = 2 * (given & wanted).sum(axis=0) / (given.sum(axis=0) + wanted.sum(axis=0))
    for column in range(5):
        tried = [
            2 * (over & wanted[:, column]).sum() / (over.sum() + wanted[:, column].sum())
            for over in (outputs[:, column] >= level for level in np.linspace(0.02, 0.98, 97))
        ]
        assert best[column] >= max(tried) - 0.02
    given = precise.task.is_over(outputs)
    kept = (given & wanted).sum(axis=0)[:5] / given.sum(axis=0)[:5]
    assert (kept > 0.7).all()
    assert precise.aims == {"min_precision": 0.7}
    assert [*precise.settled["never"]] == ["label 5"]
    assert precise.settle(outputs, targets).task.thresholds == precise.task.thresholds
    assert (
        MultiLabelObjective(objective.task, {"decide": "macro-f1"})
        .settle(outputs, targets)
        .task.thresholds
        == settled.task.thresholds
    )


@pytest.mark.parametrize("aims", [{"min_precision": 0.0}, {"min_precision": 1.0}])
def test_a_precision_that_cannot_be_is_refused(aims):
    with pytest.raises(SettingsError, match="--min-precision is"):
        MultiLabelObjective(OBJECTIVE.task, aims)


def test_an_aim_of_another_task_is_refused():
    with pytest.raises(SettingsError, match="the task multi-label takes no --max-recall"):
        MultiLabelObjective(OBJECTIVE.task, {"max_recall": 1})


def test_rows_without_any_label_can_be_learned():
    OBJECTIVE.check(make_dataset(hard("ab", "", "a", "bc", "c")), make_dataset(hard("", "a")))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (hard("", "", ""), "rows.csv: column 'labels' has no label in any row, wanted two or more"),
        (hard("a", "", "a"), "rows.csv: column 'labels' has one label only, wanted two or more"),
        (
            hard("a", "a", "bc", "bd", "b"),
            "rows.csv: column 'labels': 2 of 4 labels have one row only ('c', 'd'; the first is in "
            "row 3), wanted two or more",
        ),
        (
            [LabelSet(dict.fromkeys(map(str, range(10_001)), 1.0))] * 2,
            "rows.csv: column 'labels' has 10,001 labels, wanted 10,000 at most",
        ),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(labels, message):
    with pytest.raises(DataError) as caught:
        OBJECTIVE.check(make_dataset(labels))

    assert str(caught.value).startswith(message)


RARE = hard("a", "a", "bc", "bd", "b")


@pytest.mark.parametrize(
    ("labels", "columns", "place", "end"),
    [
        (RARE, Columns(separator="|"), "'label'", "another; is this the right --label-separator?"),
        (RARE, Columns(separator=""), "'label'", "out of the cell, or merge it with another."),
        (
            RARE,
            Columns(labels=("a", "b", "c", "d")),
            "'a,b,c,d'",
            "leave the label out of --label-columns, or merge it with another.",
        ),
        (
            hard("a", ""),
            Columns(separator="|"),
            "'label'",
            "are the labels separated by what --label-separator says? A label that a text has or "
            "has not is one of two for --task single-label",
        ),
    ],
)
def test_an_error_names_columns_and_options_that_there_are(labels, columns, place, end):
    dataset = Dataset([""] * len(labels), labels, None, Path("rows.csv"), "", columns=columns)

    with pytest.raises(DataError) as caught:
        OBJECTIVE.check(dataset)

    assert str(caught.value).startswith(f"rows.csv: column {place}")
    assert str(caught.value).endswith(end)


def test_label_that_the_training_rows_lack_cannot_be_measured():
    with pytest.raises(DataError) as caught:
        OBJECTIVE.check(make_dataset(hard("a", "ab", "b")), make_dataset(hard("a", "ax"), "t.csv"))

    assert str(caught.value) == (
        "t.csv: row 2 has a label that no row of rows.csv has. Use the same labels in both; is "
        "this the right --label-column?"
    )


def test_a_soft_label_may_be_likely_nowhere():
    rows = [LabelSet({"a": 0.9, "b": 0.1}), LabelSet({"a": 0.2, "b": 0.3})]

    OBJECTIVE.check(make_dataset(rows))


def test_mistakes_are_sets_and_the_worst_label_decides():
    from training.rows.data import Part

    part = Part(["one", "two", "three", "four"], LABELS, range(1, 5), np.arange(4))

    mistakes = find_mistakes(OBJECTIVE, part, OUTPUTS)

    assert [(m.row, m.label, m.predicted) for m in mistakes] == [(4, "b", ""), (3, "c", "c, a")]
    assert mistakes[0].score == pytest.approx(0.8)


def test_text_for_people_and_plots(tmp_path):
    figures = OBJECTIVE.evaluate(LABELS, OUTPUTS)

    lines = OBJECTIVE.format_evaluation(figures).splitlines()
    plots = OBJECTIVE.write_plots(figures, tmp_path)

    assert lines[1].startswith("micro F1           0.7500  (precision 0.7500, recall 0.7500)")
    assert lines[-1].split() == ["c", "1.0000", "1.0000", "1.0000", "1.0000", "0.5000", "1"]
    assert plots == {"Labels": "labels.png", "Calibration": "calibration.png"}
    for name in plots.values():
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"
    assert all(isinstance(value, int | float) for value in OBJECTIVE.headline(figures).values())


def test_a_label_that_no_row_has_is_refused():
    labels = [LabelSet({"a": 1.0, "b": 0.0, "never": 0.0}), LabelSet({"a": 0.0, "b": 1.0})] * 3
    train = Dataset([""] * 6, labels, None, Path("rows.csv"), "")

    with pytest.raises(DataError, match=r"^rows\.csv: no row has the label 'never'\. Add rows"):
        OBJECTIVE.check(train)
