"""Early exit: which threshold development rows allow, and that the model keeps to it."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

from handler.inference.tasks import SingleLabel
from tests.helpers.objectives import single_label
from training.blocks.early_exit import (
    EXIT,
    GATE,
    MAX_CHANGED,
    MAX_MOVED,
    MIN_EXITS,
    choose_threshold,
    close_gate,
    closed_gate,
    exit_early,
    fit_exit,
    has_exit,
    measure_exit,
)
from training.fitting.encoded import Encoded
from training.objectives.single_label import SingleLabelObjective

NUM_ROWS = 4000


def make_logits(num_labels: int, noise: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return early and full logits, (rows, num_logits), and targets, (rows, num_labels).

    The full ones are what the targets were drawn by, the early ones add `noise`.
    """
    random = np.random.default_rng(0)
    objective = single_label(num_labels)
    full = random.normal(0, 3, (NUM_ROWS, objective.num_logits))
    powers = np.exp(objective.output_logits(full))
    odds = (powers / powers.sum(axis=1, keepdims=True)).cumsum(axis=1)
    label_ids = (random.random((NUM_ROWS, 1)) > odds).sum(axis=1).clip(0, num_labels - 1)
    targets = np.eye(num_labels, dtype=np.float32)[label_ids]
    return full + random.normal(0, noise, full.shape), full, targets


def exits_of(early: np.ndarray, threshold: float, num_labels: int) -> np.ndarray:
    highest = np.sort(single_label(num_labels).output_logits(early), axis=1)
    return highest[:, -1] - highest[:, -2] > threshold


@pytest.mark.parametrize("num_labels", [2, 4])
def test_threshold_lets_many_rows_exit_and_changes_hardly_a_label(num_labels):
    early, full, targets = make_logits(num_labels, noise=0.4)
    objective = single_label(num_labels)

    threshold = choose_threshold(early, full, targets, objective)

    assert threshold is not None
    exits = exits_of(early, threshold, num_labels)
    answers = [objective.output_logits(logits).argmax(axis=1) for logits in (early, full)]
    assert exits.mean() > 0.4
    assert (answers[0] != answers[1])[exits].sum() <= MAX_CHANGED * NUM_ROWS


@pytest.mark.parametrize(
    ("num_labels", "thresholds"),
    [(2, {"label 1": 0.05}), (2, {"label 0": 0.9}), (4, {"label 3": 0.1})],
)
def test_rows_that_exit_keep_the_answer_that_thresholds_choose(num_labels, thresholds):
    early, full, targets = make_logits(num_labels, noise=0.4)
    plain = single_label(num_labels)
    objective = SingleLabelObjective(SingleLabel(plain.task.labels, thresholds))

    threshold = choose_threshold(early, full, targets, objective)

    assert threshold is not None
    exits = exits_of(early, threshold, num_labels)
    answers = [objective.task.choose_all(objective.outputs_of(logits)) for logits in (early, full)]
    assert exits.mean() > 0.03
    assert (answers[0] != answers[1])[exits].sum() <= MAX_CHANGED * NUM_ROWS
    # The margin of the most probable label alone would let too many go.
    before = exits_of(early, choose_threshold(early, full, targets, plain), num_labels)
    assert (answers[0] != answers[1])[before].sum() > MAX_CHANGED * NUM_ROWS


def test_threshold_rises_with_the_difference_of_the_halves():
    thresholds = [
        choose_threshold(*make_logits(2, noise), single_label(2)) for noise in (0.2, 0.5, 1.0)
    ]

    assert thresholds == sorted(thresholds)
    assert thresholds[0] < thresholds[2] / 2


def test_no_row_exits_where_the_early_half_knows_nothing():
    early, full, targets = make_logits(2, noise=0.4)
    noise = np.random.default_rng(1).permutation(early)

    assert choose_threshold(noise, full, targets, single_label(2)) is None


def test_no_row_exits_where_development_rows_are_few():
    logits = make_logits(2, noise=0.01)
    few = [part[: MIN_EXITS - 1] for part in logits]

    assert choose_threshold(*few, single_label(2)) is None
    assert choose_threshold(*logits, single_label(2)) is not None


@pytest.mark.parametrize("certainty", [0.0, 2.0])
def test_rows_that_are_all_alike_say_nothing_odd(certainty):
    # Of texts of unknown words alone; NumPy's polyfit warns of them, which is an error here.
    alike = np.full((NUM_ROWS, 1), certainty)
    targets = np.eye(2, dtype=np.float32)[np.arange(NUM_ROWS) % 2]

    threshold = choose_threshold(alike, alike, targets, single_label(2))

    assert threshold == (certainty / 2 or None)


def test_loss_moves_by_less_than_its_standard_error():
    early, full, targets = make_logits(2, noise=0.1)
    certain = 3 * early  # no label changes, probabilities do
    objective = single_label(2)

    threshold = choose_threshold(certain, full, targets, objective)

    exits = exits_of(certain, threshold, 2) if threshold else np.zeros(NUM_ROWS, bool)
    losses = [
        objective.logits_loss(logits, targets) / NUM_ROWS
        for logits in (full, np.where(exits[:, None], certain, full))
    ]
    assert exits.mean() < 0.9 * (np.abs(full) > 0.2).mean()
    assert abs(losses[1] - losses[0]) < 0.01


def test_what_soft_labels_leave_open_allows_no_loss_to_move():
    early, full, _ = make_logits(2, noise=0.0)
    positive = 1 / (1 + np.exp(-full[:, 0]))
    targets = np.stack([1 - positive, positive], axis=1)  # the whole model is right of every row

    threshold = choose_threshold(1.5 * early, full, targets, single_label(2))

    assert threshold is None


def test_loss_of_rows_that_count_more_moves_by_less():
    early, full, targets = make_logits(2, noise=0.1)
    certain = 3 * early
    weights = np.where(np.abs(full[:, 0]) > 4, 20.0, 1.0)
    objective = single_label(2)

    threshold = choose_threshold(certain, full, targets, objective, weights)

    exits = exits_of(certain, threshold, 2)
    after = np.where(exits[:, None], certain, full)
    losses = [objective.excess_losses(logits, targets) for logits in (full, after)]
    means = [np.average(part, weights=weights) for part in losses]
    error = np.sqrt((weights**2 * (losses[0] - means[0]) ** 2).sum()) / weights.sum()
    assert 0 < exits.mean()
    assert abs(means[1] - means[0]) <= MAX_MOVED * error * 1.01  # of half a row at the cut


@pytest.mark.parametrize("num_labels", [2, 4])
def test_model_gives_the_exit_logits_over_the_threshold_alone(num_labels):
    objective = single_label(num_labels)
    num_logits = objective.num_logits
    early, full, targets = make_logits(num_labels, noise=0.4)
    inputs = [keras.Input((num_logits,)) for _ in range(2)]
    model = keras.Model(inputs, exit_early(*inputs, objective))
    raw = np.float32(2 * early - 1)  # the early half's, before its scale and bias

    fit_exit(model, raw, np.ones(num_logits), full, targets, objective)

    found = model([raw, np.float32(full)]).numpy()
    ((scale, *_), *_), bias = model.get_layer(EXIT).get_weights()
    threshold = -model.get_layer(GATE).get_weights()[1][0]
    exits = exits_of(scale * raw + bias, threshold, num_labels)
    assert 0.3 < exits.mean() < 1
    np.testing.assert_allclose(found[exits], (scale * raw + bias)[exits], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[~exits], full[~exits], rtol=1e-5, atol=1e-5)
    assert scale == pytest.approx(0.5, abs=0.06)


def test_gate_is_closed_for_a_while():
    inputs = [keras.Input((1,)) for _ in range(2)]
    model = keras.Model(inputs, exit_early(*inputs, single_label(2)))
    before = [np.ones((1, 1), np.float32), np.array([-2], np.float32)]
    model.get_layer(GATE).set_weights(before)
    model.get_layer(EXIT).set_weights([np.ones((1, 1)), np.zeros(1)])
    rows = [np.full((1, 1), 9.0, np.float32), np.zeros((1, 1), np.float32)]

    with closed_gate(model):
        inside = model(rows).numpy().item()

    assert (inside, model(rows).numpy().item()) == (0, 9)


def test_share_of_rows_that_exit_is_measured():
    ids = keras.Input((None,), dtype="int32")
    early = layers.Embedding(5, 1)(ids[:, 0])
    model = keras.Model(ids, exit_early(early, 0 * early, single_label(2)))
    model.get_layer(EXIT).set_weights([np.ones((1, 1)), np.zeros(1)])
    table = next(layer for layer in model.layers if isinstance(layer, layers.Embedding))
    table.set_weights([np.arange(5.0)[:, None]])
    rows = Encoded([[1], [2], [3], [4]], np.eye(2, dtype=np.float32)[[0, 1, 0, 1]])
    learned = dataclasses.replace(rows, offsets=np.array([[0, 0, -1, -1]], np.float32).T)

    closed = measure_exit(model, rows, single_label(2))
    model.get_layer(GATE).set_weights([np.ones((1, 1)), np.array([-2.5])])

    assert closed == {"threshold": None, "dev_share": 0.0}
    assert measure_exit(model, rows, single_label(2)) == {"threshold": 2.5, "dev_share": 0.5}
    assert measure_exit(model, learned, single_label(2))["dev_share"] == 0.25


def test_model_without_an_exit_has_none():
    ids = keras.Input((None,), dtype="int32")
    model = keras.Model(ids, layers.Embedding(5, 1)(ids[:, 0]))

    close_gate(model)

    assert not has_exit(model)
    assert measure_exit(model, Encoded([[1]], np.ones((1, 2))), single_label(2)) is None
