"""Training a tiny run from end to end, also when it is killed on the way."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from handler.inference.tokenizer import PAD, UNKNOWN
from tests.helpers import wide_deep
from tests.helpers.killed import Killed, kill_after_batches
from tests.helpers.objectives import single_label
from tests.helpers.tiny_run import ATOL, NUM_ROWS, SETTINGS, weights_of
from training.errors import DataError, RunError
from training.fitting.batches import feed
from training.fitting.encoded import Encoded
from training.fitting.fit import fit
from training.recipes import stacked
from training.recipes.stacked import build_model
from training.reference import reference_rows
from training.rows.data import Sources
from training.rows.readers import read_dataset
from training.rows.split import split_rows
from training.run_folder import read_run
from training.settings import override
from training.tasks import make_objective
from training.tokenizer import make_tokenizer
from training.train import load_predictor, train_run

pytestmark = pytest.mark.slow


def start_and_kill(data: Path, out: Path, num_batches: int = 3, settings=SETTINGS) -> Path:
    """Leave unfinished training and return its folder."""
    with pytest.MonkeyPatch.context() as patch:
        kill_after_batches(patch, num_batches)
        with pytest.raises(Killed):
            train_run(Sources(data), out, settings)
    assert not out.exists()
    return out.with_name(out.name + ".partial")


def test_run_folder_is_complete(tiny_run):
    run = read_run(tiny_run)

    assert sorted(path.name for path in tiny_run.iterdir()) == [
        "confusion_matrix.png",
        "history.csv",
        "learning_curves.png",
        "metadata.json",
        "model.keras",
        "precision_recall.png",
        "reference.npz",
        "report.md",
        "tokenizer.json",
    ]
    assert not tiny_run.with_name("tiny.partial").exists()
    assert run.task.labels == ("neg", "pos")
    assert run.metadata["task"] == {"kind": "single-label", "labels": ["neg", "pos"]}
    assert run.metadata["settings"] == json.loads(json.dumps(dataclasses.asdict(SETTINGS)))
    assert run.metadata["data"]["train"]["rows"] == NUM_ROWS


def test_history_has_a_row_an_epoch(tiny_run):
    with (tiny_run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))

    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert list(rows[0]) == ["epoch", "loss", "dev_loss", "dev_accuracy", "seconds"]


def test_so_many_epochs_as_are_named_are_trained(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n" + "good film,good\nbad film,bad\n" * 8)
    recipe = dataclasses.replace(SETTINGS, min_steps=1500, patience=0)

    run = train_run(Sources(path, dev=path), tmp_path / "run", override(recipe, {"epochs": 3}))

    assert len((run.folder / "history.csv").read_text().splitlines()) == 1 + 3


def test_reference_holds_what_keras_gives(tiny_run):
    import keras

    model = keras.saving.load_model(tiny_run / "model.keras", compile=False)

    rows, outputs = read_run(tiny_run).reference()

    found = model.predict_on_batch(feed(model, rows))
    np.testing.assert_allclose(outputs, found, rtol=0, atol=1e-5)
    assert outputs.dtype == np.float32
    assert outputs.shape == (len(rows), 2) == (64, 2)
    assert [len(row) for row in rows[:4]] == [0, 1, 1, SETTINGS.max_length]


def test_every_setting_that_shaped_the_model_is_in_the_metadata(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n" + "good film,good\nbad film,bad\n" * 8)
    settings = dataclasses.replace(wide_deep.SETTINGS, epochs=1)

    run = train_run(Sources(path, dev=path), tmp_path / "run", settings)

    assert run.weight_tables == ("wide_weights", "letter_weights", "positions")
    assert run.metadata["constants"] == {
        "tokenizer_rules": "words-2",
        "gradient_clip_norm": 1.0,
        "warm_up_share": 0.05,
        "tried_share": 0.4,
        "gain_patience": 3,
        "start_id": 1_048_575,
        "end_id": 0,
        "starts_and_ends": 2,
        "shortest_run_over_borders": 2,
        "longest_phrase": 3,
        "tail_tokens": 100,
        "longest_run_of_letters": 5,
        "linear_penalty_c": 20.0,
        "linear_bayes_penalty_c": 32.0,
        "linear_squared_penalty_c": 1.0,
        "linear_balance_of_several": 0.5,
        "linear_penalty_c_of_several": 5.0,
        "linear_pseudo_count": 1.0,
        "linear_tail_scale": 0.4,
        "linear_long_share": 0.01,
        "linear_tolerance": 1e-3,
        "linear_max_passes": 300,
        "plan_rows": 2000,
        "plan_ridge": 0.1,
        "plan_folds": 5,
        "transformer_dropout_rate": 0.1,
        "transformer_feed_forward": 2,
        "segment_tokens": 48,
        "segment_stride": 2,
        "segment_kernel": 4,
        "exit_max_changed": 0.0005,
        "exit_max_moved": 0.25,
        "exit_min_rows": 100,
        "word_vector_window": 5,
        "word_vector_smoothing": 0.75,
        "word_vector_dimensions": 75,
        "pretraining_epochs": 2,
        "pretraining_words": 6000,
        "mixture_min_wide": 0.1,
        "mixture_shift_rows": 10.0,
        "curve_knots": 21,
        "curve_rows_per_knot": 60,
        "curve_min_gain": 0.005,
        "curve_min_errors": 2.0,
        "curve_slope": 0.002,
        "curve_max_slope": 2.5,
        "word_vector_scale": 0.5,
        "enough_dev_rows": 1000,
        "deep_min_rows": 1000,
        "deep_min_started_rows": 300,
        "deep_min_gain": 0.002,
        "deep_min_gain_errors": 1.0,
    }
    assert "- linear_penalty_c: 20.0" in (run.folder / "report.md").read_text()


def test_metadata_metrics_are_those_of_the_saved_model(tiny_run, tiny_data):
    run = read_run(tiny_run)
    objective = make_objective(run.task)
    dataset = read_dataset(tiny_data)
    _, dev_rows = split_rows(dataset, dataset.labels, SETTINGS.dev_fraction, SETTINGS.seed)

    outputs = load_predictor(run)([dataset.texts[row] for row in dev_rows])

    figures = objective.evaluate([dataset.labels[row] for row in dev_rows], outputs)
    stored = run.metadata["metrics"]["dev"]
    assert stored["rows"] == figures["rows"] == len(dev_rows)
    assert stored["confusion_matrix"] == figures["confusion_matrix"]
    for name in ("accuracy", "macro_f1", "log_loss", "calibration_error"):
        assert stored[name] == pytest.approx(figures[name], abs=1e-5)


# 17 batches and 18 checkpoints an epoch: inside the first epoch, and inside the second.
@pytest.mark.parametrize("num_batches", [3, 25])
def test_killed_training_goes_on_to_the_same_end(tiny_run, tiny_data, tmp_path, num_batches):
    out = tmp_path / "run"
    partial = start_and_kill(tiny_data, out, num_batches)
    assert (partial / "stages" / "checkpoint.npz").is_file()

    resumed = train_run(Sources(tiny_data), out, SETTINGS)

    whole = read_run(tiny_run)
    for found, expected in zip(weights_of(resumed), weights_of(whole), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=ATOL)
    for name in ("accuracy", "macro_f1", "log_loss"):
        found, expected = (r.metadata["metrics"]["dev"][name] for r in (resumed, whole))
        assert found == pytest.approx(expected, abs=ATOL)
    assert not partial.exists()


def begin_and_kill(data: Path, out: Path, settings=SETTINGS, force: bool = False) -> Path:
    """Leave training that was killed before its first batch and return its folder."""

    def kill(*_):
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stacked, "fit_model", kill)
        with pytest.raises(Killed):
            train_run(Sources(data), out, settings, force)
    return out.with_name(out.name + ".partial")


def test_unfinished_training_of_other_settings_is_not_continued(tiny_data, tmp_path):
    out = tmp_path / "run"
    partial = begin_and_kill(tiny_data, out)
    other = dataclasses.replace(SETTINGS, units=(8,), learning_rate=0.02)
    before = (partial / "started.json").read_bytes()

    with pytest.raises(RunError) as caught:
        train_run(Sources(tiny_data), out, other)

    assert str(caught.value) == (
        f"{partial}: holds unfinished training of other settings or data "
        "(settings.learning_rate, settings.units differ). "
        "Repeat them to go on, or start anew with --force."
    )
    assert (partial / "started.json").read_bytes() == before


def test_unfinished_training_of_other_data_is_not_continued(tiny_data, tmp_path):
    data = Path(shutil.copy(tiny_data, tmp_path / "reviews.csv"))
    begin_and_kill(data, tmp_path / "run")
    with data.open("a") as file:
        file.write("the plot was good .,pos\n")

    with pytest.raises(RunError, match=r"\(data\.train\.rows, data\.train\.sha256 differ\)"):
        train_run(Sources(data), tmp_path / "run", SETTINGS)


def test_force_starts_anew_over_unfinished_training(tiny_data, tmp_path):
    partial = begin_and_kill(tiny_data, tmp_path / "run")
    (partial / "stages" / "checkpoint.npz").write_bytes(b"of other settings")

    begin_and_kill(tiny_data, tmp_path / "run", dataclasses.replace(SETTINGS, seed=9), force=True)

    assert json.loads((partial / "started.json").read_text())["settings"]["seed"] == 9
    assert not (partial / "stages" / "checkpoint.npz").exists()


def test_existing_out_is_refused_and_left_alone(tiny_data, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")

    with pytest.raises(RunError, match="exists already and is not a run"):
        train_run(Sources(tiny_data), tmp_path / "run", SETTINGS)

    assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes.txt"]
    assert not (tmp_path / "run.partial").exists()


def test_development_label_that_training_lacks_is_refused(tiny_data, tmp_path):
    dev = tmp_path / "dev.csv"
    dev.write_text("text,label\nthe plot was good .,mixed\n")

    with pytest.raises(DataError, match=r"dev\.csv: row 1 has a label that no row of .* has"):
        train_run(Sources(tiny_data, dev=dev), tmp_path / "run", SETTINGS)

    assert not (tmp_path / "run.partial").exists()


def test_three_labels_with_development_and_test_files(tmp_path):
    rows = [f"{word} film {word},{word}" for word in ("good", "bad", "odd")] * 8
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n" + "\n".join(rows) + "\n")
    settings = dataclasses.replace(SETTINGS, epochs=1, units=(4,))

    run = train_run(Sources(path, dev=path, test=path), tmp_path / "run", settings)

    assert run.task.labels == ("bad", "good", "odd")
    assert run.metadata["metrics"]["test"] == run.metadata["metrics"]["dev"]
    outputs = load_predictor(run)(["good film", "", "odd"])
    assert outputs.shape == (3, 3)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=0, atol=1e-5)


def test_reference_rows_of_empty_texts_still_have_every_length():
    rows = reference_rows([[], []], make_tokenizer([PAD, UNKNOWN], max_length=3))

    assert rows[:4] == [[], [1], [1], [1, 1, 1]]
    assert len(rows) == 64


def test_history_loss_is_the_mean_of_all_batches_of_the_epoch(tmp_path):
    settings = dataclasses.replace(
        SETTINGS, learning_rate=1e-12, dropout_rate=0.0, batch_size=10, epochs=1
    )
    objective = single_label(2)
    model = build_model(settings, 50, objective)
    token_ids = [[2 + row, 5, 7][: 1 + row % 3] for row in range(20)]
    rows = Encoded(token_ids, np.eye(2, dtype=np.float32)[np.arange(20) % 2])

    (epoch,) = fit(model, rows, rows, settings, objective, tmp_path / "checkpoint.npz")

    # Without learning, and with batches of one size, both are the same mean over the same rows.
    np.testing.assert_allclose(epoch["loss"], epoch["dev_loss"], rtol=1e-5)


def test_a_disk_without_room_is_named_before_the_work(tiny_data, tmp_path, monkeypatch):
    monkeypatch.setattr("handler.files.count_free", lambda path: 1000)

    with pytest.raises(OSError, match="needs about 10.04 MB, the disk has 0.00 MB free") as caught:
        train_run(Sources(tiny_data), tmp_path / "run", SETTINGS)

    assert caught.value.filename == str(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_rows_that_cannot_be_split_leave_nothing(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n" + "good,pos\nbad,neg\n" * 9)

    with pytest.raises(DataError, match="only 2 different texts"):
        train_run(Sources(path), tmp_path / "run", SETTINGS)

    assert list(tmp_path.iterdir()) == [path]
