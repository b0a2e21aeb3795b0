"""Several labels a row: every way that files hold them, and what is wrong with some."""

import csv
import json
import pickle
from pathlib import Path

import pytest

from training.errors import DataError, SettingsError
from training.rows.columns import Columns
from training.rows.data import Sources, read_sources
from training.rows.label_sets import LabelSet, find_separator
from training.rows.readers import read_dataset

MOVIES = ["Action,Comedy", "Comedy", "Action", "Action,Drama", "Drama,Comedy", "Drama"]
PIPE = Columns(separator="|")
SEVERAL = Columns(several=True)


def write_cells(folder: Path, cells: list[object], column: str = "labels") -> Path:
    """Write a CSV with a row for each cell."""
    path = folder / "rows.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["text", column]])
        csv.writer(file).writerows([[f"text {n}", cell] for n, cell in enumerate(cells)])
    return path


def write_objects(folder: Path, labels: list[object]) -> Path:
    path = folder / "rows.jsonl"
    rows = [{"text": f"text {n}", "label": label} for n, label in enumerate(labels)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def names(path: Path, columns: Columns | None = None) -> list[list[str]]:
    labels = read_dataset(path, columns).labels
    assert all(isinstance(label, LabelSet) for label in labels)
    return [label.names for label in labels]


def test_a_set_is_its_labels_as_a_text_and_survives_a_pickle():
    label = LabelSet({"b": 1.0, "a": 0.7, "c": 0.2})

    assert (label, label.names, label.is_soft) == ("a, b", ["a", "b"], True)
    again = pickle.loads(pickle.dumps(label))
    assert (again, again.probabilities) == (label, label.probabilities)
    assert LabelSet({}) == ""


def test_lists_in_json_lines_are_found(tmp_path):
    path = write_objects(tmp_path, [["b", "a"], [], None, ["c"], "a", [1, True]])

    assert names(path) == [["a", "b"], [], [], ["c"], ["a"], ["1", "true"]]
    dataset = read_dataset(path)
    assert (dataset.columns.several, dataset.columns.separator) == (True, "")


def test_lists_in_parquet_are_found(tmp_path):
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({"text": ["x", "y"], "labels": [["a", "b"], []]})
    parquet.write_table(table, tmp_path / "rows.parquet")

    assert names(tmp_path / "rows.parquet") == [["a", "b"], []]


@pytest.mark.parametrize("cell", ['["a", "b|c"]', "['a', 'b|c']", ' [ "b|c" ,"a"] '])
def test_lists_that_are_written_out_in_a_cell_are_found(tmp_path, cell):
    assert names(write_cells(tmp_path, [cell, "[]", ""])) == [["a", "b|c"], [], []]


def test_numbers_in_brackets_are_lists_only_where_several_are_asked_for(tmp_path):
    path = write_cells(tmp_path, ["[1]", "[2, 27]"])

    assert read_dataset(path).labels == ["[1]", "[2, 27]"]
    assert names(path, SEVERAL) == [["1"], ["2", "27"]]


def test_fasttext_lines_with_several_labels_are_found(tmp_path):
    path = tmp_path / "rows.txt"
    path.write_text("__label__a __label__b a text\n__label__b another\n")

    assert names(path) == [["a", "b"], ["b"]]


def test_a_separator_is_split_and_blanks_around_labels_go(tmp_path):
    path = write_cells(tmp_path, ["b | a", "a", "", "c|a b"])

    assert names(path, PIPE) == [["a", "b"], ["a"], [], ["a b", "c"]]
    assert names(path, Columns(separator="|", normalize_labels=True))[3] == ["a b", "c"]


def test_a_cell_may_be_longer_than_a_label(tmp_path):
    cell = "|".join(f"label number {number}" for number in range(100))

    assert len(names(write_cells(tmp_path, [cell, "x"]), PIPE)[0]) == 100


def test_columns_of_labels_and_objects_need_not_sum_to_one(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,toxic,threat\nx,1,1\ny,0,0\nz,0.7,0.2\n")
    columns = Columns(labels=("toxic", "threat"), several=True)

    labels = read_dataset(path, columns).labels

    assert [label.names for label in labels] == [["threat", "toxic"], [], ["toxic"]]
    assert labels[2].probabilities == {"toxic": 0.7, "threat": 0.2}
    with pytest.raises(DataError, match="row 1: .*sum is 2, wanted 1 .*--task multi-label"):
        read_dataset(path, Columns(labels=("toxic", "threat")))
    rows = write_objects(tmp_path, [{"a": 0.9, "b": 0.8}, {"a": 0.1}])
    assert names(rows, SEVERAL) == [["a", "b"], []]


def test_a_cell_that_is_missing_is_not_taken_for_a_label_that_is_not_there(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,toxic,threat\nx,1,1\ny,0,\n")

    with pytest.raises(DataError, match="row 2: column 'threat' is empty, wanted 0 or 1"):
        read_dataset(path, Columns(labels=("toxic", "threat"), several=True))


@pytest.mark.parametrize(
    ("cells", "separator"),
    [
        (MOVIES, ","),
        ([cell.replace(",", "|") for cell in MOVIES], "|"),
        ([cell.replace(",", "; ") for cell in MOVIES], ";"),
        (["Boston, MA", "Salem, MA", "Austin, TX", "Dallas, TX"], ""),
        (["Phones|Android", "Phones|iPhone", "Laptops|Mac", "Laptops|PC"], ""),
        (["Sci/Tech", "World", "Sports"], ""),
        (["a", "b", "a,b"], ""),  # one cell alone shows nothing
        (["pos", "neg"] * 5, ""),
        ([f"{whole},{half}" for whole in range(1, 9) for half in (0, 5)], ""),
        ([], ""),
        (["a,", "b,", "a,b", "b,a"], ""),
    ],
)
def test_a_column_that_looks_like_lists_is_told_from_one_that_holds_the_sign(cells, separator):
    assert find_separator(cells) == separator


def test_labels_that_look_like_lists_are_asked_about_and_both_answers_work(tmp_path):
    path = write_cells(tmp_path, MOVIES * 3)

    with pytest.raises(DataError) as caught:
        read_sources(Sources(path))

    assert str(caught.value) == (
        f"{path}: column 'labels': 9 labels hold ',', and look like lists: 6 different cells of 3 "
        'labels. If a text can have several labels, say --label-separator ","; if each cell is '
        "one label, --task single-label."
    )
    one = read_sources(Sources(path, task={"kind": "single-label"}))
    assert len(one.objective.task.labels) == 6
    for sources in (
        Sources(path, columns=Columns(separator=",")),
        Sources(path, task={"kind": "multi-label"}),  # the separator is found
    ):
        data = read_sources(sources)
        assert data.objective.task.labels == ("Action", "Comedy", "Drama")
        assert data.columns.separator == ","


@pytest.mark.parametrize(
    ("cell", "columns", "problem"),
    [
        ("a||b", PIPE, "has a label without a name among others"),
        ("a|b|", PIPE, "has a label without a name among others"),
        ("a|b| a", PIPE, "has one label twice"),
        ('["a", "a"]', PIPE, "has one label twice"),
        ('["a", null]', SEVERAL, "has a label without a name among others"),
        ('["a", ["b"]]', SEVERAL, "is list, wanted one label: a text or a number"),
        ('["a", "b|c"]', PIPE, "is a list with a label that holds the --label-separator itself"),
        ('["a", "b', SEVERAL, "begins as a list and is none, wanted one such as"),
        ('["a"] b', Columns(), "begins as a list and is none, wanted one such as"),
        (f"a|{'b' * 300}", PIPE, "has 300 characters, wanted a label of 256 at most"),
        ("a|b\u202e", PIPE, "holds a character that does not show or reorders others"),
        ('["a", ' + "[" * 10_000, SEVERAL, "begins as a list and is none, wanted one such as"),
    ],
)
def test_a_cell_that_is_no_set_of_labels_is_refused_with_its_row(tmp_path, cell, columns, problem):
    path = write_cells(tmp_path, ["a", cell, "b"])

    with pytest.raises(DataError) as caught:
        read_dataset(path, columns)

    message = str(caught.value)
    assert message.startswith(f"{path}: row 2: column 'labels' {problem}")
    assert message.endswith("Mend the cell or remove the row.")
    assert "bbbb" not in message


def test_one_label_is_wanted_where_several_stand(tmp_path):
    path = write_objects(tmp_path, [["a"], ["b"], ["a", "b"], ["b"]])
    one = {"kind": "single-label"}

    with pytest.raises(DataError, match="row 3: column 'label' has 2 labels, wanted one"):
        read_sources(Sources(path, task=one))

    path = write_objects(tmp_path, [["a"], ["b"], ["a"], ["b"]])
    assert read_sources(Sources(path, task=one)).train.labels == ["a", "b", "a", "b"]


def test_a_separator_is_not_for_a_single_label(tmp_path):
    path = write_cells(tmp_path, ["a", "b"])

    with pytest.raises(SettingsError, match="--label-separator is for several labels"):
        read_sources(Sources(path, columns=PIPE, task={"kind": "single-label"}))


def test_development_rows_are_read_as_the_training_rows_are(tmp_path):
    train = write_cells(tmp_path, ["a|b", "a", "b|c", "c"])
    dev = tmp_path / "dev.csv"
    dev.write_text("text,labels\nx,b\ny,c|a\nz,\n")

    data = read_sources(Sources(train, dev, columns=PIPE))

    assert [label.names for label in data.dev.labels] == [["b"], ["a", "c"], []]


def test_other_labels_are_another_hash(tmp_path):
    first, again, other = (
        read_dataset(write_objects(tmp_path, labels)).sha256
        for labels in ([["a", "b"], []], [["b", "a"], []], [[], ["a", "b"]])
    )

    assert (first == again, first == other) == (True, False)
