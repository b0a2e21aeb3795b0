"""`minnow train --stream`, from Parquet files to a bundle."""

import json

import pytest

from minnow.cli import main
from tests.helpers.parquet_rows import make_texts, write_rows
from training.rows.data import read_again
from training.run_folder import read_run
from training.tasks import make_objective

SMALL = [
    *("--sample-rows", "1000", "--stream-batch", "50", "--passes", "1", "--epochs", "1"),
    *("--units", "4", "--embedding-dim", "4", "--table-bytes", "2000", "--quiet"),
]


@pytest.fixture
def rows(tmp_path):
    texts = make_texts(1800)
    for number in range(3):
        write_rows(tmp_path / "rows" / f"{number}.parquet", texts[number::3], group_rows=200)
    return tmp_path / "rows"


@pytest.mark.slow
def test_a_folder_of_parquet_becomes_a_run_like_any_other(rows, tmp_path, capsys):
    out, bundle = tmp_path / "run", tmp_path / "bundle"
    command = ["train", str(rows), "--stream", "--out", str(out), *SMALL]

    assert main(command) == 0

    told = read_run(out).metadata
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows", "run"]
    stream = told["stream"]
    rows_trained = sum(stream["labels"].values())
    assert (stream["rows"], stream["workers"]) == (rows_trained, 1)
    assert rows_trained + told["data"]["dev"]["rows"] == 1800
    assert stream["steps"] == round(rows_trained / 50)
    assert told["data"]["train"]["path"] == str(out / "sample.jsonl.gz")
    assert told["metrics"]["dev"]["accuracy"] > 0.8  # 0.9 are told by their words
    again = read_again(told, make_objective(read_run(out).task), out)  # as a smaller model needs it
    assert (len(again.train), again.dev is None) == (told["data"]["train"]["rows"], False)
    assert main(["export", str(out), "--out", str(bundle)]) == 0
    capsys.readouterr()
    assert main(["predict", str(bundle), "warm lovely kind thing1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["label"] == "good"
    assert main(command) == 1
    assert "run: exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--stream", "--group-column", "id"], "--stream does not know --group-column: leave it"),
        (["--stream", "--task", "regression"], "--stream learns one label a text, not --task regr"),
        (["--stream", "--recipe", "stacked"], "--stream trains the recipe wide_deep, not stacked"),
        (["--stream", "--workers", "a:1,b:2,c:3", "--worker", "1"], "wanted a multiple of the 3 w"),
        (["--stream", "--worker", "1"], "--worker is 1, of which --workers?"),
        (["--worker", "1"], "--worker is for --stream alone"),
    ],
)
def test_what_cannot_be_streamed_is_refused_before_anything_is_read(
    given, message, rows, tmp_path, capsys
):
    command = ["train", str(rows), "--out", str(tmp_path / "run"), *given]

    assert main(command) == 1

    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows"]


@pytest.mark.slow
def test_a_row_that_is_no_text_stops_it_and_nothing_is_left(tmp_path, capsys):
    path = write_rows(tmp_path / "rows.parquet", [*make_texts(50), (None, "good")])

    assert main(["train", str(path), "--stream", "--out", str(tmp_path / "run")]) == 1

    assert f"{path}: row 51: column 'text' is null" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [path]
