"""Rows beside those of the training file: new ones, better labels, and nothing that is held out."""

import json

import pytest

from handler.rows.options import ReadOptions
from training.errors import DataError
from training.rows.added import add_rows, read_added
from training.rows.columns import Columns
from training.rows.data import Sources, read_again, read_sources
from training.rows.readers import read_dataset
from training.rows.survey import survey_data

ROWS = "review,stars\n" + "".join(
    f"the {name} film was watched on day {name},{label}\n"
    for name, label in (("first", "pos"), ("second", "neg"), ("third", "pos"), ("fourth", "neg"))
)


@pytest.fixture
def train_file(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text(ROWS)
    return path


def write_lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_rows_are_new_or_better_or_say_nothing(train_file, tmp_path):
    train = read_dataset(train_file)
    first, second = train.texts[:2]
    path = write_lines(
        tmp_path / "feedback.jsonl",
        {"text": first, "label": "neg"},
        {"text": second, "label": "neg"},
        {"text": "a quite different text", "label": "pos"},
        {"text": "another one of those", "label": "mixed", "result_id": "a"},
        {"text": "a quite different text", "label": "neg"},
    )

    joined, added = add_rows(train, read_added(path, train.columns), [])

    assert joined.texts == [*train.texts, "another one of those", "a quite different text"]
    assert joined.labels == ["neg", "neg", "pos", "neg", "mixed", "neg"]
    assert (added.rows, added.new, added.replaced, added.same, added.held_out) == (5, 2, 1, 2, 0)
    assert added.format() == (
        f"added: {path}, 2 of 5 rows are new (numbered from 5 on), 1 replace the label of their "
        "text, 2 say nothing new"
    )


@pytest.mark.parametrize(
    "text",
    [
        "a film that nobody will forget as long as there are people who go to see films",
        "A film that nobody will forget as long as there are people who go to see films!",
        "a film that nobody will forget as long as there are people",
    ],
    ids=["equal", "nearly", "part"],
)
@pytest.mark.parametrize("role", ["dev", "test"])
def test_what_repeats_a_held_out_row_is_left_out(train_file, tmp_path, role, text):
    held_out = tmp_path / "held_out.csv"
    whole = "a film that nobody will forget as long as there are people who go to see films"
    held_out.write_text(f"review,stars\n{whole},pos\nsomething else entirely,neg\n")
    rows = ({"text": text, "label": "neg"}, {"text": "quite new words here", "label": "neg"})
    path = write_lines(tmp_path / "feedback.jsonl", *rows)

    data = read_sources(Sources(train_file, added=path, **{role: held_out}))

    assert data.train.texts[4:] == ["quite new words here"]
    assert (data.added.new, data.added.held_out) == (1, 1)


def test_the_columns_may_be_those_of_the_data(train_file, tmp_path):
    path = tmp_path / "more.csv"
    path.write_text("id,review,stars\n1,entirely new,pos\n")

    data = read_sources(Sources(train_file, added=path))

    assert (data.train.texts[-1], data.train.labels[-1]) == ("entirely new", "pos")


@pytest.mark.parametrize(
    ("content", "text"),
    [("müde, sehr müde".encode(), "müde, sehr müde"), ("müde".encode("latin-1"), "müde")],
    ids=["utf-8", "latin-1"],
)
def test_what_is_utf8_is_read_so_whatever_the_encoding_of_the_data(tmp_path, content, text):
    data = tmp_path / "train.csv"
    data.write_bytes("text,label\nschön,pos\nzwei,neg\ndrei,pos\nvier,neg\n".encode("latin-1"))
    path = tmp_path / "feedback.csv"
    path.write_bytes(b'text,label\n"' + content + b'",pos\n')
    columns = Columns(options=ReadOptions(encoding="latin-1"))

    joined = read_sources(Sources(data, columns=columns, added=path)).train

    assert (joined.texts[0], joined.texts[-1]) == ("schön", text)


@pytest.mark.parametrize("kind", ["regression", "ordinal"])
def test_a_label_that_is_no_number_is_said_with_its_own_file_and_row(tmp_path, kind):
    data = tmp_path / "train.csv"
    data.write_text("text,label\n" + "".join(f"text {n},{n % 3}\n" for n in range(9)))
    rows = ({"text": "new", "label": 1}, {"text": "text 1", "label": "good"})
    path = write_lines(tmp_path / "more.jsonl", *rows)

    with pytest.raises(DataError, match="more.jsonl: row 2: column 'label' is a text, wanted a nu"):
        read_sources(Sources(data, task={"kind": kind}, added=path))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "new", "label": ""}, "more.jsonl: row 1: column 'label' is empty"),
        (
            {"text": "new", "label": ["pos", "neg"]},
            "more.jsonl: row 1: .* has 2 labels, wanted one",
        ),
        ({"words": "new"}, "more.jsonl: no column"),
    ],
    ids=["empty", "list", "columns"],
)
def test_what_cannot_be_added_is_said(train_file, tmp_path, row, message):
    path = write_lines(tmp_path / "more.jsonl", row)

    with pytest.raises(DataError, match=message):
        read_sources(Sources(train_file, added=path))


def test_several_labels_numbers_groups_and_weights_are_added_as_they_are(tmp_path):
    several = write_lines(
        tmp_path / "several.jsonl",
        {"text": "one", "label": ["a", "b"]},
        {"text": "two", "label": ["b"]},
        {"text": "three", "label": ["a"]},
    )
    more = write_lines(tmp_path / "more.jsonl", {"text": "four", "label": []})
    data = read_sources(Sources(several, added=more))
    assert data.train.labels[-1].names == []
    weighed = tmp_path / "weighed.csv"
    weighed.write_text("text,label,film,weight\nold a,1.5,x,2\nold b,2.5,y,1\nold c,3.5,y,1\n")
    more = write_lines(tmp_path / "numbers.jsonl", {"text": "new", "label": 4})
    columns = Columns(group="film", weight="weight")
    data = read_sources(Sources(weighed, columns=columns, added=more))
    assert (data.train.labels[-1], data.train.weights[-1]) == ("4", 1.0)
    assert data.train.groups == ["x", "y", "y", "added 1"]


def test_a_run_keeps_what_was_added_and_reads_it_again(train_file, tmp_path):
    test = tmp_path / "test.csv"
    test.write_text("review,stars\na held out row of many words,pos\nthe other one,neg\n")
    rows = ({"text": "new words", "label": "pos"}, {"text": "the other one", "label": "pos"})
    path = write_lines(tmp_path / "feedback.jsonl", *rows)
    data = read_sources(Sources(train_file, test=test, added=path))
    metadata = {"columns": json.loads(json.dumps(vars(data.columns), default=vars))}
    metadata["data"] = data.describe()

    again = read_again(metadata, data.objective, tmp_path)

    assert again.train.texts == data.train.texts
    assert metadata["data"]["train"]["rows"] == 4
    assert metadata["data"]["added"]["new"] == 1
    assert any(line.startswith("added: ") for line in survey_data(data, 50, 10).lines)
    assert path in Sources(train_file, added=path).paths
    write_lines(path, {"text": "changed", "label": "pos"})
    with pytest.raises(DataError, match="feedback.jsonl: sha256 is"):
        read_again(metadata, data.objective, tmp_path)
