"""What a model says of texts without labels, as the labels that its LSTM learns from next."""

import dataclasses

import keras
import numpy as np
import pytest

from tests.helpers.objectives import single_label
from tests.helpers.phrases import make_rows
from tests.helpers.wide_deep import SETTINGS, VOCAB_SIZE
from training.encoded import Encoded
from training.recipe import Fitted
from training.recipes import wide_deep
from training.self_training import add_taught
from training.stages import Stages

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


def fit(rows: Encoded, dev: Encoded, stages: Stages) -> tuple[keras.Model, Fitted]:
    objective = single_label(rows.targets.shape[1])
    keras.utils.set_random_seed(1)
    model = wide_deep.build_model(SETTINGS, VOCAB_SIZE, objective)
    return model, wide_deep.fit_model(model, rows, dev, SETTINGS, objective, stages)


def test_rows_get_calibrated_probabilities_of_the_whole_model(parts, tmp_path):
    rows, others, truth = parts
    dev = Encoded(others.token_ids, truth, words=rows.words, is_apart=True)
    model, _ = fit(dataclasses.replace(rows, unlabelled=None), dev, Stages(tmp_path / "before"))

    taught = add_taught(rows, model, Stages(tmp_path))

    assert [*taught.token_ids] == [*rows.token_ids, *others.token_ids]
    np.testing.assert_array_equal(taught.targets[:NUM_ROWS], rows.targets)
    told = taught.targets[NUM_ROWS:]
    np.testing.assert_allclose(told.sum(axis=1), 1, atol=1e-5)
    right = told.argmax(axis=1) == truth.argmax(axis=1)
    assert right.mean() > 0.8
    assert abs(told.max(axis=1).mean() - right.mean()) < 0.06


def test_no_rows_without_labels_change_nothing(parts, tmp_path):
    rows = dataclasses.replace(parts[0], unlabelled=None)

    assert add_taught(rows, None, Stages(tmp_path)) is rows


def test_the_lstm_learns_from_labels_first_and_then_from_all(parts, tmp_path, monkeypatch):
    rows, others, truth = parts
    learned = []
    fit_once = wide_deep.fit

    def watch(model, train, *more):
        learned.append(train)
        return fit_once(model, train, *more)

    monkeypatch.setattr(wide_deep, "fit", watch)
    dev = Encoded(others.token_ids, truth, words=rows.words, is_apart=True)

    _, fitted = fit(rows, dev, Stages(tmp_path))

    first, second = learned
    assert len(first.token_ids) == NUM_ROWS
    assert len(second.token_ids) == NUM_ROWS + len(others.token_ids)
    assert second.targets[NUM_ROWS:].max(axis=1).mean() > 0.6
    epochs = SETTINGS.epochs + wide_deep.TAUGHT["epochs"]
    assert [row["epoch"] for row in fitted.history] == list(range(1, epochs + 1))


def test_few_rows_are_not_taught(parts, tmp_path, monkeypatch):
    """Of so few rows that they are told out of their folds, it gained nothing."""
    rows, others, truth = parts
    dev = Encoded(others.token_ids, truth, words=rows.words)
    monkeypatch.setattr(wide_deep, "add_taught", None)

    _, fitted = fit(rows, dev, Stages(tmp_path))

    assert fitted.rows is not None
