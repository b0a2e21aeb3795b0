"""`minnow lint` and `minnow suggest` as they are typed."""

import json

import numpy as np
import pytest

from handler.inference.classifier import load_classifier
from handler.settings import DEFAULT_BUNDLE
from minnow.cli import main
from tests.helpers import kills
from tests.helpers.curation import SECRET, make_rows, read, write


@pytest.fixture
def rows(tmp_path):
    flipped = [
        *make_rows(60),
        *((text, "neg") for text, label in make_rows(8, 1) if label == "pos"),
    ]
    return write(tmp_path / "rows.csv", [*flipped, (SECRET, "pos"), (SECRET, "neg")])


def test_lint_tells_pairs_of_labels_and_conflicts_and_no_text(rows, tmp_path, capsys):
    out = tmp_path / "suspects.csv"

    code = main(["lint", str(rows), "--out", str(out)])

    told = capsys.readouterr()
    first, *lines = told.out.splitlines()
    suspected = [row for row in read(out) if row["suspected"] == "yes"]
    assert code == 0
    assert first.startswith(f"{out}\t66 rows, {len(suspected)} suspected (")
    assert any(line.strip().endswith("'neg', perhaps 'pos'") for line in lines)
    assert lines[-1].strip() == "2  rows conflict: 1 text stands there with different labels"
    assert told.err.endswith("mend rows.csv, and train again\n")
    assert SECRET not in told.out + told.err


def test_lint_prints_one_object(rows, tmp_path, capsys):
    code = main(["lint", str(rows), "--out", str(tmp_path / "a.csv"), "--json", "--quiet"])

    told = capsys.readouterr()
    document = json.loads(told.out)
    assert (code, told.err) == (0, "")
    assert (document["rows"], document["conflicting_rows"]) == (66, 2)
    assert sum(count for *_, count in document["pairs"]) == document["suspected"]


def test_suggest_tells_what_it_did_and_no_text(rows, tmp_path, capsys):
    new = write(tmp_path / "new.csv", [(f"secret{n} {n}",) for n in range(9)], ("text",))
    out = tmp_path / "next.csv"

    code = main(["suggest", str(new), "--labelled", str(rows), "--out", str(out), "--count", "3"])

    told = capsys.readouterr()
    assert code == 0
    assert told.out == f"{out}\t3 of 9 rows\n"
    assert f"next: fill the labels of {out}, add its rows to rows.csv, train" in told.err
    assert "secret" not in told.out + told.err
    assert len(read(out)) == 3


def test_the_labelled_file_may_have_another_text_column(rows, tmp_path, capsys):
    new = write(tmp_path / "new.csv", [(f"new{n} {n}", "a") for n in range(9)], ("body", "text"))
    out = tmp_path / "next.csv"
    columns = ["--text-column", "body", "--labelled-text-column", "text"]

    code = main(
        ["suggest", str(new), "--labelled", str(rows), "--out", str(out), "--count", "3", *columns]
    )

    assert code == 0, capsys.readouterr().err
    assert [[*row] for row in read(out)] == [["body", "text", "label"]] * 3


def test_suggest_takes_the_probabilities_of_a_bundle(tmp_path, capsys):
    texts = ["A clever, moving film.", "Dull.", "It has two sides, good and bad.", "Bad."]
    outputs = load_classifier(DEFAULT_BUNDLE).predict_outputs(texts)
    unsure = int(np.abs(outputs[:, 0] - outputs[:, 1]).argmin())
    new = write(tmp_path / "new.csv", [(text,) for text in texts], ("text",))
    arguments = ["--model", str(DEFAULT_BUNDLE), "--out", str(tmp_path / "next.csv"), "--json"]

    code = main(["suggest", str(new), *arguments, "--quiet", "--count", "1"])

    assert code == 0
    assert json.loads(capsys.readouterr().out)["row_numbers"] == [unsure + 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lint", "no.csv", "--out", "no.parquet"], "no.parquet: its name says no format"),
        (["lint", "no.csv", "--out", "no/a.csv"], "no.csv: no such file or folder"),
        (["suggest", "no.csv", "--out", "a.csv"], "wanted --labelled FILE, or --model MODEL"),
        (["suggest", "no.csv", "--out", "a.csv", "--labelled", "no"], "no: no such file or folder"),
        (["suggest", "no.csv", "--out", "a.csv", "--model", "no"], "no/manifest.json: no such"),
        (
            ["suggest", "a", "--out", "a.csv", "--model", "b", "--labelled-text-column", "c"],
            "--labelled-text-column names a column of --labelled: give both",
        ),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    code = main(arguments)

    told = capsys.readouterr()
    assert code in (1, 2)
    assert message in told.err
    assert told.err.count("\n") == 1
    assert [*tmp_path.iterdir()] == []


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_half_written(rows, tmp_path):
    out = tmp_path / "suspects.csv"

    code, told = kills.run("lint", rows, "--out", out, "--quiet", limit_bytes=100)

    assert code == 1
    assert str(out) in told
    assert [file.name for file in tmp_path.iterdir()] == ["rows.csv"]
