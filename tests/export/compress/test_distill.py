"""A finished run's rows again, and what a smaller model learns of them."""

from dataclasses import replace

import numpy as np
import pytest

from export.compress.distill import (
    count_texts,
    fine_tune_settings,
    importance_batches,
    mix_targets,
    prepare_distillation,
)
from tests.helpers.tiny_run import SETTINGS
from training.errors import RunError, SettingsError
from training.run_folder import read_run


def test_targets_are_teacher_and_label_mixed():
    teacher = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)

    targets = mix_targets(teacher, np.array([[0, 1], [0, 1]], np.float32))

    # 1e-6: float32
    np.testing.assert_allclose(targets, [[0.63, 0.37], [0.14, 0.86]], rtol=0, atol=1e-6)
    assert targets.dtype == np.float32
    np.testing.assert_array_equal(teacher, np.array([[0.9, 0.1], [0.2, 0.8]], np.float32))


@pytest.mark.slow
def test_rows_are_split_as_in_training(tiny_run):
    from training.train import load_predictor

    run = read_run(tiny_run)

    distillation = prepare_distillation(run, 1)

    outputs = load_predictor(run)(distillation.dev_texts)
    accuracy = np.mean(outputs.argmax(axis=1) == distillation.dev.targets.argmax(axis=1))
    assert accuracy == run.metadata["metrics"]["dev"]["accuracy"]
    assert len(distillation.train.token_ids) + len(distillation.dev.token_ids) == 300
    assert distillation.train.targets.shape == (len(distillation.train.token_ids), 2)


@pytest.mark.slow
def test_run_of_a_recipe_that_has_changed_is_refused(tiny_run):
    run = read_run(tiny_run)
    constants = run.metadata["constants"] | {"segment_kernel": 2}
    recipe = {"settings": run.metadata["settings"] | {"recipe": "wide_deep"}}
    old = replace(run, metadata={**run.metadata, **recipe, "constants": constants})

    with pytest.raises(RunError, match=r"segment_kernel 2, now \d.*Train again: minnow train"):
        prepare_distillation(old, 1)


@pytest.mark.slow
def test_importance_is_measured_on_the_same_training_rows_each_time(tiny_run):
    run = read_run(tiny_run)
    distillation, model = prepare_distillation(run, 1), run.load_model()

    first, again = (list(importance_batches(model, distillation)) for _ in range(2))

    assert len(first) == -(-len(distillation.train.token_ids) // 32)
    for batch, same in zip(first, again, strict=True):
        for part, same_part in zip(batch, same, strict=True):
            np.testing.assert_array_equal(part, same_part)
    seen = sorted([i for i in row.tolist() if i] for token_ids, *_ in first for row in token_ids)
    assert seen == sorted(distillation.train.token_ids)


@pytest.mark.slow
def test_word_is_worth_the_texts_that_have_it(tiny_run):
    run = read_run(tiny_run)
    distillation = prepare_distillation(run, 1)

    counts = count_texts(distillation, run.metadata["vocab_size"])

    assert np.isinf(counts[:2]).all()
    expected = [
        sum(word in ids for ids in distillation.train.token_ids)
        for word in range(2, run.metadata["vocab_size"])
    ]
    assert counts[2:].tolist() == expected


@pytest.mark.slow
def test_fine_tuning_has_its_own_epochs(tiny_run):
    settings = fine_tune_settings(read_run(tiny_run), 7)

    assert (settings.epochs, settings.patience, settings.min_steps) == (7, 7, 0)
    assert settings.units == SETTINGS.units
    with pytest.raises(SettingsError, match="--fine-tune-epochs is 0, wanted 1 or more"):
        fine_tune_settings(read_run(tiny_run), 0)
