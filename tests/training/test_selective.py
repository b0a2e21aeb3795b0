"""What held-out rows decide: the lowest score, the scope, label sets; and what they cannot."""

import dataclasses

import numpy as np
import pytest

from handler.inference.tasks import Selective, SingleLabel
from training.answers.selective import (
    SCOPE_COVERAGE,
    check_selective_aims,
    count_needed,
    find_label_sets,
    find_min_score,
    leave_selective,
    measure_distances,
    settle_selective,
)
from training.errors import SettingsError
from training.figures.selective_figures import format_evaluation, measure_selective, write_plots
from training.fitting.encoded import Encoded, map_ids
from training.objectives.single_label import SingleLabelObjective

TASK = SingleLabel(["neg", "pos"])
WORDS = [f"word {number}" for number in range(402)]
RARE = 401


def objective(**aims):
    return SingleLabelObjective(TASK, aims)


def draw(num_rows, seed=0, skill=4.0):
    """Return the outputs of a model that is right as often as it says, and targets."""
    rng = np.random.default_rng(seed)
    probability = 1 / (1 + np.exp(-rng.normal(0, skill, num_rows)))
    outputs = np.stack([1 - probability, probability], axis=1)
    is_pos = rng.random(num_rows) < probability
    return outputs, np.eye(2, dtype=np.float32)[is_pos.astype(int)]


def encode(targets, seed=0):
    """Return rows of a dozen words, some frequent and many rare, as in any language."""
    rng = np.random.default_rng(seed)
    lengths = np.exp(rng.normal(2.5, 0.4, len(targets))).astype(int) + 1
    token_ids = [np.minimum(1 + rng.zipf(1.5, n), 400).tolist() for n in lengths]
    return Encoded(token_ids, targets, words=WORDS)


def settle(num_rows=2000, seed=0, **aims):
    outputs, targets = draw(num_rows, seed)
    rows = encode(targets, seed)
    return settle_selective(objective(**aims), outputs, rows, encode(targets, seed + 1))


@pytest.mark.parametrize("accuracy", [0.9, 0.95, 0.98])
def test_answered_rows_of_another_draw_are_as_right_as_promised(accuracy):
    differences = []
    for seed in range(10):
        outputs, targets = draw(1000, seed)
        right = outputs.argmax(1) == targets.argmax(1)
        threshold = find_min_score(outputs.max(1), right, accuracy)
        outputs, targets = draw(20_000, seed + 100)
        right = outputs.argmax(1) == targets.argmax(1)
        differences.append(right[outputs.max(1) >= threshold].mean() - accuracy)

    # 1,000 rows tell the threshold: over draws, 0.7 points; the mean of ten is known to 0.25.
    assert -0.005 < np.mean(differences) < 0.01
    assert np.min(differences) > -0.02


def test_a_promise_that_the_model_keeps_anyway_withholds_nothing():
    outputs, targets = draw(1000, skill=6.0)

    assert find_min_score(outputs.max(1), outputs.argmax(1) == targets.argmax(1), 0.8) == 0


def test_a_promise_that_no_score_keeps_says_what_is_reached_and_how_many_rows_it_needs():
    scores = np.full(300, 0.7)
    is_right = np.arange(300) % 10 > 0

    with pytest.raises(SettingsError, match=r"0\.98 on the 300 rows .* promise 0\.8\d+.*49 that"):
        find_min_score(scores, is_right, 0.98)


@pytest.mark.parametrize(("accuracy", "needed"), [(0.5, 1), (0.9, 9), (0.98, 49), (0.999, 999)])
def test_perfect_rows_are_enough_where_there_are_so_many(accuracy, needed):
    assert count_needed({"abstain_accuracy": accuracy}) == needed
    scores = np.full(needed, 0.999999)

    assert find_min_score(scores, np.ones(needed, bool), accuracy - 0.001) == 0


def test_too_few_rows_are_refused_before_training():
    with pytest.raises(SettingsError, match=r"48 rows, and --abstain-accuracy 0\.98 needs 49"):
        check_selective_aims({"abstain_accuracy": 0.98}, 48)

    check_selective_aims({"abstain_accuracy": 0.98}, 49)


@pytest.mark.parametrize("value", [0, 1, 2, -0.5, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["abstain_accuracy", "scope_coverage"])
def test_a_share_that_can_be_none_is_refused(name, value):
    with pytest.raises(SettingsError, match=rf"--{name.replace('_', '-')} is .*between 0 and 1"):
        check_selective_aims({name: value}, 10_000)


def test_nothing_asked_is_the_plain_task():
    assert settle() is TASK


def test_abstaining_brings_a_scope_of_its_own():
    task = settle(abstain_accuracy=0.9)

    assert isinstance(task, Selective)
    assert task.abstain.accuracy == 0.9
    assert 0.5 < task.abstain.min_score < 1
    assert task.scope.coverage == SCOPE_COVERAGE
    assert task.label_sets is None


def test_too_few_rows_for_a_scope_that_was_not_asked_for_are_said(capsys):
    task = settle(num_rows=90, abstain_accuracy=0.6)

    assert task.scope is None
    assert "covers 0.99 needs 99" in capsys.readouterr().err


def test_too_few_rows_for_a_scope_that_was_asked_for_are_refused():
    with pytest.raises(SettingsError, match=r"90 held-out rows, and .* covers 0\.99 needs 99"):
        settle(num_rows=90, scope_coverage=0.99)


def test_a_scope_covers_as_many_rows_of_another_draw_and_no_text_from_elsewhere():
    scope = settle(scope_coverage=0.95).scope
    targets = draw(2000)[1]
    rows = encode(targets, seed=7)

    distances = measure_distances(scope, rows)

    assert np.mean(distances <= scope.max_distance) == pytest.approx(0.95, abs=0.02)
    served = [scope.measure(ids) for ids in rows.token_ids]
    np.testing.assert_allclose(distances, served, rtol=1e-9)
    unknown, long = [1] * 10, [2, 3, 40, 400] * 150
    assert min(map(scope.measure, (unknown, long))) > 2 * scope.max_distance


def test_words_of_a_row_that_was_learned_from_are_known_by_the_others():
    targets = draw(2000)[1]
    learned = encode(targets)
    learned.token_ids[0] = [RARE] * 10  # a word that no other row has
    own = dataclasses.replace(learned.select(np.arange(2)), offsets=np.zeros((2, 1), np.float32))
    scope = settle_selective(
        objective(scope_coverage=0.95), *draw(2000)[:1], encode(targets, 3), learned
    ).scope

    as_new, as_known = measure_distances(scope, own, learned), measure_distances(scope, own)

    assert as_new[0] > as_known[0]
    assert as_new[1] == pytest.approx(as_known[1], rel=0.01)


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_label_sets_hold_the_label_as_often_as_asked(coverage):
    held = []
    for seed in range(20):
        sets = find_label_sets(*draw(500, seed))
        outputs, targets = draw(5000, seed + 100)
        held.append((outputs >= sets.find_threshold(coverage))[targets > 0].mean())

    # The mean over draws of 500 rows is the coverage, and 1/501 above it at most.
    assert np.mean(held) == pytest.approx(coverage, abs=0.008)


def test_coverages_that_the_rows_cannot_tell_are_not_in_the_table():
    assert find_label_sets(*draw(50)).ends == (0.5, 0.98)
    with pytest.raises(SettingsError, match="needs a held-out row"):
        find_label_sets(np.zeros((0, 2)), np.zeros((0, 2)))


def test_unfinished_training_goes_on_with_another_promise():
    aims = {"abstain_accuracy": 0.98, "label_sets": True, "min_precision": 0.9}

    assert leave_selective(aims) == {"min_precision": 0.9}


def test_figures_tell_what_is_answered(tmp_path):
    task = settle(abstain_accuracy=0.95, label_sets=True)
    outputs, targets = draw(5000, 50)

    figures = measure_selective(task, objective(), outputs, encode(targets, 50))

    is_in = outputs.max(1) >= task.abstain.min_score
    assert figures["answered"] == pytest.approx(is_in.mean(), abs=0.03)
    assert figures["answered_accuracy"] == pytest.approx(0.95, abs=0.015)
    assert figures["out_of_scope"] == pytest.approx(0.01, abs=0.01)
    assert figures["set_coverage"] == pytest.approx(0.9, abs=0.02)
    assert 0 < figures["aurc"] < 0.05
    shares, accuracies = zip(*figures["risk_coverage"], strict=True)
    assert shares[-1] == 1
    assert accuracies[-1] == pytest.approx((outputs.argmax(1) == targets.argmax(1)).mean())
    assert write_plots(figures, tmp_path) == {"Accuracy of what is answered": "risk_coverage.png"}
    labels = [TASK.labels[column] for column in targets.argmax(1)]
    text = format_evaluation(objective(), objective().evaluate(labels, outputs) | figures)
    assert "promised 0.95" in text


def test_figures_of_a_task_that_answers_everything_are_as_before():
    outputs, targets = draw(100)
    labels = [TASK.labels[column] for column in targets.argmax(1)]
    figures = objective().evaluate(labels, outputs)

    assert measure_selective(TASK, objective(), outputs, encode(targets)) == {}
    assert format_evaluation(objective(), figures) == objective().format_evaluation(figures)


def test_a_smaller_vocabulary_has_a_scope_of_its_own_words():
    outputs, targets = draw(2000)
    id_map = np.where(np.arange(len(WORDS)) < 100, np.arange(len(WORDS)), 1).astype(np.int32)
    rows, learned = (map_ids(encode(targets, seed), id_map) for seed in (0, 1))

    scope = settle_selective(objective(scope_coverage=0.95), outputs, rows, learned).scope

    assert len(scope.information) == 100
    assert np.mean(measure_distances(scope, rows) <= scope.max_distance) >= 0.95
