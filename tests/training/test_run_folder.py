"""Runs are read as they were written, and an unreadable one says what to do."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from handler.inference.tasks import SingleLabel
from handler.inference.tokenizer import PAD, UNKNOWN
from training.errors import RunError
from training.run_folder import check_free, is_run, read_run, write_run
from training.tokenizer import format_tokenizer, make_tokenizer

METADATA = {
    "command": "minnow train rows.csv --out runs/a",
    "task": {"kind": "single-label", "labels": ["neg", "pos"]},
    "weight_tables": ["words"],
    "vocab_size": 3,
}


TOKENIZER = format_tokenizer(make_tokenizer([PAD, UNKNOWN, "good"], max_length=8))


class TinyModel:
    """Stands for a Keras model: as much of one as a run folder asks for."""

    inputs = ("token_ids",)

    def save(self, path: Path) -> None:
        path.write_bytes(b"layers")

    def __call__(self, token_ids: np.ndarray, training: bool) -> np.ndarray:
        assert not training
        share = (token_ids > 0).mean(axis=1, dtype=np.float32)
        return np.stack([1 - share, share], axis=1)


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "run"
    path.mkdir()
    write_run(path, TinyModel(), TOKENIZER, [[2, 3], [2]], METADATA)
    return path


def change_metadata(folder: Path, **changes) -> None:
    path = folder / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_run_is_read_as_it_was_written(folder):
    run = read_run(folder)

    assert is_run(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "metadata.json",
        "model.keras",
        "reference.npz",
        "tokenizer.json",
    ]
    assert run.metadata == METADATA | {"format_version": 5}
    assert isinstance(run.task, SingleLabel)
    assert run.task.labels == ("neg", "pos")
    assert run.weight_tables == ("words",)
    assert run.tokenizer == TOKENIZER
    rows, outputs = run.reference()
    assert rows == [[2, 3], [2]]
    np.testing.assert_array_equal(outputs, [[0, 1], [0.5, 0.5]])
    assert outputs.dtype == np.float32


@pytest.mark.parametrize("version", [3, 6, None])
def test_other_format_is_refused_with_the_command_that_makes_it_anew(folder, version):
    change_metadata(folder, format_version=version)

    with pytest.raises(RunError) as caught:
        read_run(folder)

    assert str(caught.value) == (
        f"{folder / 'metadata.json'}: format_version is {version}, this build reads 5. "
        "Train again: minnow train rows.csv --out runs/a --force"
    )


@pytest.mark.parametrize(
    ("command", "advised"),
    [
        ("minnow train a.csv --recipe seed --out b", "a.csv --recipe stacked --out b --force"),
        ("minnow train a.csv --out b --recipe=seed", "a.csv --out b --recipe=stacked --force"),
        ("minnow train a.csv --force --seed 7 --out b", "a.csv --force --seed 7 --out b"),
        ("minnow train a.csv --recipe seeds --out b", "a.csv --recipe seeds --out b --force"),
    ],
)
def test_command_of_an_old_run_is_one_that_this_build_takes(folder, command, advised):
    change_metadata(folder, format_version=1, command=command)

    with pytest.raises(RunError) as caught:
        read_run(folder)

    assert str(caught.value).endswith(f"Train again: minnow train {advised}")


def test_run_that_does_not_tell_its_command_is_refused_with_the_usual_one(folder):
    change_metadata(folder, format_version=1, command="")

    with pytest.raises(RunError, match="Train again: minnow train DATA --out RUN --force$"):
        read_run(folder)


@pytest.mark.parametrize("name", ["metadata.json", "model.keras", "reference.npz"])
def test_run_with_a_missing_file_is_refused(folder, name):
    (folder / name).unlink()

    with pytest.raises(RunError, match=re.escape(f"{folder / name}: no such file")):
        read_run(folder)


@pytest.mark.parametrize("content", ["{", "[]", "3"])
def test_metadata_that_is_no_object_is_refused(folder, content):
    (folder / "metadata.json").write_text(content)

    with pytest.raises(RunError, match=re.escape(f"{folder / 'metadata.json'}: ")):
        read_run(folder)


@pytest.mark.parametrize("task", [{"kind": "regression"}, {}, None, {"kind": "single-label"}])
def test_task_that_this_build_does_not_know_is_refused(folder, task):
    change_metadata(folder, task=task)

    with pytest.raises(RunError, match="metadata.json: cannot be read .* Train again: minnow"):
        read_run(folder)


def test_tokenizer_of_other_words_than_the_model_is_refused(folder):
    change_metadata(folder, vocab_size=4, max_length=8)
    run = read_run(folder)

    for read in (run.load_tokenizer, lambda: run.tokenizer):
        with pytest.raises(RunError, match="3 words, where the model was trained with 4"):
            read()


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_reference_that_cannot_be_read_is_refused(folder, content):
    (folder / "reference.npz").write_bytes(content)

    with pytest.raises(RunError, match="reference.npz: cannot be read .* Train again: minnow"):
        read_run(folder).reference()


def test_copy_without_metadata_is_no_run(folder, tmp_path):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "metadata.json").unlink()

    assert not is_run(copy)


def test_folder_is_free_or_may_be_replaced(folder, tmp_path):
    check_free(tmp_path / "new", force=False)
    check_free(folder, force=True)

    with pytest.raises(RunError, match=re.escape(f"{folder}: exists already. Give another --out")):
        check_free(folder, force=False)


def test_vectors_are_kept_and_checked(tmp_path):
    vectors = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
    write_run(tmp_path, TinyModel(), TOKENIZER, [[2, 3]], METADATA | {"vocab_size": 4}, vectors)

    np.testing.assert_allclose(read_run(tmp_path).load_vectors(), vectors, atol=1e-3)

    np.savez(tmp_path / "vectors.npz", vectors=vectors[1:])
    with pytest.raises(RunError, match=r"vectors.npz: cannot be read .* not one for each word"):
        read_run(tmp_path).load_vectors()


def test_a_run_may_have_no_vectors(folder):
    assert read_run(folder).load_vectors() is None
