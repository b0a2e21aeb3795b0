"""A finished run's rows again, and what a smaller model learns of them."""

import numpy as np
import pytest

from export.compress.distill import importance_batches, load_rows, mix_targets
from training.run_folder import read_run


def test_targets_are_teacher_and_label_mixed():
    teacher = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)

    targets = mix_targets(teacher, np.array([1, 1], np.int32))

    # 1e-6: float32
    np.testing.assert_allclose(targets, [[0.63, 0.37], [0.14, 0.86]], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(teacher, np.array([[0.9, 0.1], [0.2, 0.8]], np.float32))


@pytest.mark.slow
def test_rows_are_split_as_in_training(tiny_run):
    from training.train import load_predictor

    run = read_run(tiny_run)

    rows = load_rows(run)

    probabilities = load_predictor(run)(rows.dev_texts)
    accuracy = np.mean(probabilities.argmax(axis=1) == rows.dev.label_ids)
    assert accuracy == run.metadata["metrics"]["dev"]["accuracy"]
    assert len(rows.train.token_ids) + len(rows.dev.token_ids) == 300
    assert [run.labels[label_id] for label_id in rows.dev.label_ids] == rows.dev_labels


@pytest.mark.slow
def test_importance_is_measured_on_the_same_training_rows_each_time(tiny_run):
    rows = load_rows(read_run(tiny_run))

    first, again = list(importance_batches(rows)), list(importance_batches(rows))

    assert len(first) == -(-len(rows.train.token_ids) // 32)
    for (token_ids, label_ids), (same_ids, same_labels) in zip(first, again, strict=True):
        np.testing.assert_array_equal(token_ids, same_ids)
        np.testing.assert_array_equal(label_ids, same_labels)
    seen = sorted([i for i in row.tolist() if i] for token_ids, _ in first for row in token_ids)
    assert seen == sorted(rows.train.token_ids)
