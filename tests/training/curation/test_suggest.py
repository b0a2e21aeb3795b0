"""What `minnow suggest` writes of files of all kinds, and what it passes over."""

import csv
import gzip
import json

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from tests.helpers.curation import SECRET, make_rows, read, write
from training.curation.suggest import Plan, draw_candidates, suggest_file
from training.errors import CurationError, DataError
from training.labelling.files import Source
from training.rows.columns import Columns
from training.rows.readers import read_dataset


@pytest.fixture
def labelled(tmp_path):
    return write(tmp_path / "hand.csv", make_rows(20))


def suggest(path, out, labelled, count=5, **more):
    return suggest_file(Source(path), out, Plan(count, labelled), **more)


def test_rows_keep_all_their_columns_and_get_an_empty_label(tmp_path, labelled):
    texts = [text for text, _ in make_rows(40, seed=1)]
    rows = [(number, text, '=1+"x", y') for number, text in enumerate(texts)]
    path = write(tmp_path / "new.csv", rows, ("id", "text", "note"))

    suggestions = suggest(path, tmp_path / "out.csv", labelled)

    table = read(tmp_path / "out.csv")
    assert [[*row] for row in table] == [["id", "text", "note", "label"]] * 5
    assert [int(row["id"]) + 1 for row in table] == suggestions.row_numbers
    assert all(row["text"] == texts[int(row["id"])] for row in table)
    assert {(row["note"], row["label"]) for row in table} == {('=1+"x", y', "")}
    assert (suggestions.rows, suggestions.suggested) == (40, 5)


def test_a_table_that_was_filled_is_read_as_labelled_rows(tmp_path, labelled):
    path = write(tmp_path / "new.csv", [(text,) for text, _ in make_rows(40, seed=1)], ("text",))
    suggest(path, tmp_path / "out.csv", labelled)

    filled = (tmp_path / "out.csv").read_text().replace(",\n", ",pos\n")
    labelled.write_text(labelled.read_text() + filled.partition("\n")[2])

    assert len(read_dataset(labelled)) == 25


def test_what_a_model_is_unsure_of_comes_first(tmp_path, labelled):
    texts = ["good great superb fine", "bad awful dull poor", "good bad", "lovely warm clever good"]
    path = write(tmp_path / "new.csv", [(text,) for text in texts], ("text",))

    suggestions = suggest(path, tmp_path / "out.csv", labelled, count=1)

    assert suggestions.row_numbers == [3]


def test_near_duplicates_of_labelled_rows_and_of_each_other_are_passed_over(tmp_path):
    long = "the quick brown fox jumps over the lazy dog and runs away from all of us today"
    labelled = write(tmp_path / "hand.csv", [*make_rows(20), (f"{long} number one", "pos")])
    other = long.replace("fox", "cat").replace("dog", "cow").replace("runs", "walks")
    texts = [f"{long} number two", other, other + "!", "something else", "good thing"]
    path = write(tmp_path / "new.csv", [(text,) for text in texts], ("text",))

    suggestions = suggest(path, tmp_path / "out.csv", labelled)

    assert suggestions.known == 1
    assert len(set(suggestions.row_numbers) & {2, 3}) == 1
    assert set(suggestions.row_numbers) >= {4, 5}


def test_one_file_may_hold_labelled_rows_and_others(tmp_path):
    new = [(text, "") for text, _ in make_rows(30, seed=1)]
    path = write(tmp_path / "all.csv", [*make_rows(20), *new])

    suggestions = suggest(path, tmp_path / "out.csv", path)

    assert min(suggestions.row_numbers) > 20
    assert {row["label"] for row in read(tmp_path / "out.csv")} == {""}


@pytest.mark.parametrize("name", ["new.jsonl", "new.jsonl.gz", "new.json", "new.txt", "new.tsv"])
@pytest.mark.parametrize("out", ["out.jsonl", "out.csv.gz"])
def test_every_kind_of_file_is_read_and_written(name, out, tmp_path, labelled):
    texts = [text for text, _ in make_rows(20, seed=1)]
    if name == "new.json":
        content = json.dumps([{"text": text, "n": {"m": 1}} for text in texts])
    elif "jsonl" in name:
        content = "".join(json.dumps({"text": text, "n": {"m": 1}}) + "\n" for text in texts)
    else:
        header = ["text"] if name == "new.tsv" else []
        content = "".join(f"{text}\n" for text in [*header, *texts])
    packed = gzip.compress(content.encode()) if name.endswith(".gz") else content.encode()
    (tmp_path / name).write_bytes(packed)

    suggestions = suggest(tmp_path / name, tmp_path / out, labelled)

    written = (tmp_path / out).read_bytes()
    if out == "out.jsonl":
        rows = [json.loads(line) for line in written.splitlines()]
    else:
        rows = list(csv.DictReader(gzip.decompress(written).decode().splitlines()))
    assert [row["text"] for row in rows] == [texts[n - 1] for n in suggestions.row_numbers]
    assert {row["label"] for row in rows} == {""}


def test_parquet_is_read(tmp_path, labelled):
    texts = [text for text, _ in make_rows(20, seed=1)]
    table = pyarrow.table({"id": range(20), "text": texts})
    parquet.write_table(table, tmp_path / "new.parquet")

    suggest(tmp_path / "new.parquet", tmp_path / "out.csv", labelled)

    table = read(tmp_path / "out.csv")
    assert all(row["text"] == texts[int(row["id"])] for row in table)


def test_a_model_says_the_probabilities_where_it_is_given(tmp_path):
    texts = ["alpha", "beta", "gamma", "delta"]
    path = write(tmp_path / "new.csv", [(text,) for text in texts], ("text",))

    def predict(found):
        return np.array([[0.5, 0.5] if text == "gamma" else [1.0, 0.0] for text in found])

    suggestions = suggest_file(Source(path), tmp_path / "out.csv", Plan(1, None, predict=predict))

    assert suggestions.row_numbers == [3]


def test_rows_without_a_text_are_counted_and_never_suggested(tmp_path, labelled):
    rows = [("",), ("  ",), ("neither this",), ("nor that",)]
    path = write(tmp_path / "new.csv", rows, ("text",))

    suggestions = suggest(path, tmp_path / "out.csv", labelled)

    assert (suggestions.unreadable, suggestions.suggested) == (2, 2)


def test_many_rows_are_drawn_from_in_the_memory_of_some(tmp_path):
    path = write(tmp_path / "new.csv", [(f"text {n}",) for n in range(500)], ("text",))

    numbers, texts, num_rows, num_bad = draw_candidates(Source(path), 50, 0)

    assert (len(numbers), num_rows, num_bad) == (50, 500, 0)
    assert numbers == sorted(set(numbers))
    assert texts == [f"text {number - 1}" for number in numbers]
    assert 150 < np.mean(numbers) < 350
    assert draw_candidates(Source(path), 50, 1)[0] != numbers


@pytest.mark.parametrize(
    ("rows", "hand", "message"),
    [
        ([(SECRET,)], [(SECRET, "pos"), ("b", "neg")], "every row is nearly one of"),
        ([(SECRET,)], [(SECRET, "pos"), ("b", "pos")], "less than two labels, wanted two or more"),
        ([(SECRET,)], [(SECRET, "pos"), ("b", "")], "less than two labels, wanted two or more"),
        ([("",)], [("a", "pos"), ("b", "neg")], "no row has a text that can be read"),
    ],
)
def test_where_nothing_can_be_suggested_it_is_told(rows, hand, message, tmp_path):
    path = write(tmp_path / "new.csv", rows, ("text",))
    labelled = write(tmp_path / "hand.csv", hand)

    with pytest.raises(CurationError, match=message) as error:
        suggest(path, tmp_path / "out.csv", labelled)

    assert SECRET not in str(error.value)
    assert {file.name for file in tmp_path.iterdir()} == {"new.csv", "hand.csv"}


def test_a_missing_column_is_told_with_its_option(tmp_path, labelled):
    path = write(tmp_path / "new.csv", [("a", "b")], ("one", "two"))

    with pytest.raises(DataError, match="no column 'text'; the columns are 'one', 'two'"):
        suggest(path, tmp_path / "out.csv", labelled)


@pytest.mark.parametrize("name", ["new.csv", "hand.csv", "there.csv"])
def test_nothing_of_the_users_is_overwritten(name, tmp_path, labelled):
    path = write(tmp_path / "new.csv", [("a",)], ("text",))
    (tmp_path / "there.csv").write_text("mine")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    with pytest.raises(CurationError, match="--out"):
        suggest(path, tmp_path / name, labelled)

    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_soft_labels_are_labels_too(tmp_path):
    hand = [(text, json.dumps({"pos": 0.7, "neg": 0.3})) for text, _ in make_rows(4)]
    labelled = write(tmp_path / "hand.csv", [*hand, ("bad awful", "neg")])
    path = write(tmp_path / "new.csv", [("dull",), ("lovely",)], ("text",))

    plan = Plan(2, labelled, Columns())

    assert suggest_file(Source(path), tmp_path / "out.csv", plan).suggested == 2
