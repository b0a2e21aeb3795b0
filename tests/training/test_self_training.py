"""What the linear half says of texts without labels, as the labels of the LSTM."""

import dataclasses

import keras
import numpy as np
import pytest

from tests.helpers.objectives import single_label
from tests.helpers.phrases import make_rows
from tests.helpers.wide_deep import SETTINGS, VOCAB_SIZE
from training.encoded import Encoded
from training.fit import make_predictor
from training.mixture import read_wide
from training.recipes import wide_deep
from training.self_training import add_taught
from training.stages import Stages
from training.wide_half import fit_wide_half, make_plan

pytestmark = pytest.mark.slow
NUM_ROWS = 300


@pytest.fixture(params=[2, 3])
def parts(request):
    """Rows with labels, rows without, and what the labels of those would be."""
    texts, label_ids = make_rows(request.param, 500)
    targets = np.eye(request.param, dtype=np.float32)[label_ids]
    words = [f"w{number}" for number in range(VOCAB_SIZE)]
    others = Encoded(texts[NUM_ROWS:], np.zeros_like(targets[NUM_ROWS:]), words=words)
    rows = Encoded(texts[:NUM_ROWS], targets[:NUM_ROWS], words=words, unlabelled=others)
    return rows, others, targets[NUM_ROWS:]


def test_rows_get_calibrated_probabilities(parts, tmp_path):
    rows, others, truth = parts
    num_labels = truth.shape[1]
    objective, stages = single_label(num_labels), Stages(tmp_path)
    keras.utils.set_random_seed(1)
    model = wide_deep.build_model(SETTINGS, VOCAB_SIZE, objective)
    plan = make_plan(rows, SETTINGS, objective, stages)
    fit_wide_half(model, rows, plan, SETTINGS, objective, stages)
    logits = make_predictor(read_wide(model))(others.rows)

    taught = add_taught(rows, model, logits, truth, objective, stages, "taught")

    assert [*taught.token_ids] == [*rows.token_ids, *others.token_ids]
    np.testing.assert_array_equal(taught.targets[:NUM_ROWS], rows.targets)
    told = taught.targets[NUM_ROWS:]
    np.testing.assert_allclose(told.sum(axis=1), 1, atol=1e-5)
    right = told.argmax(axis=1) == truth.argmax(axis=1)
    assert right.mean() > 0.8
    assert abs(told.max(axis=1).mean() - right.mean()) < 0.06


def test_no_rows_without_labels_change_nothing(parts, tmp_path):
    rows = dataclasses.replace(parts[0], unlabelled=None)

    assert add_taught(rows, None, None, None, None, Stages(tmp_path), "taught") is rows


def test_the_lstm_learns_from_them(parts, tmp_path, monkeypatch):
    rows, others, truth = parts
    learned = []
    monkeypatch.setattr(
        wide_deep, "fit", lambda model, train, *_: learned.append(train) or [{"loss": 1.0}]
    )
    objective = single_label(truth.shape[1])
    dev = Encoded(others.token_ids, truth, words=rows.words, is_apart=True)
    model = wide_deep.build_model(SETTINGS, VOCAB_SIZE, objective)

    wide_deep.fit_model(model, rows, dev, SETTINGS, objective, Stages(tmp_path))

    (train,) = learned
    assert len(train.token_ids) == len(rows.token_ids) + len(others.token_ids)
    assert train.targets[NUM_ROWS:].max(axis=1).mean() > 0.6
