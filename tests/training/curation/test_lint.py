"""What `minnow lint` finds in files, messy ones too, and what it leaves alone."""

import json

import pytest

from tests.helpers.curation import SECRET, make_rows, read, write
from tests.helpers.fresh_python import run_python
from training.curation.lint import find_conflicts, lint_file
from training.errors import CurationError, DataError
from training.rows.columns import Columns
from training.rows.data import Sources


def lint(path, out, **more):
    columns = {name: more.pop(name) for name in list(more) if name in ("labels", "weight", "label")}
    return lint_file(Sources(path, columns=Columns(**columns)), out, **more)


def test_flipped_labels_are_found_by_their_rows(tmp_path):
    rows = make_rows(120)
    for number in (3, 40):
        rows[number] = (rows[number][0], {"pos": "neg", "neg": "pos"}[rows[number][1]])
    path = write(tmp_path / "rows.csv", rows)

    findings = lint(path, tmp_path / "out.csv")

    table = read(tmp_path / "out.csv")
    assert {row["row"] for row in table[:2]} == {"4", "41"}
    first = table[0]
    text, label = rows[int(first["row"]) - 1]
    assert (first["text"], first["label"], first["suspected"]) == (text, label, "yes")
    assert first["suggested"] == {"pos": "neg", "neg": "pos"}[label]
    assert float(first["probability_suggested"]) > 0.5 > float(first["probability_label"])
    assert (findings.rows, findings.suspected) == (120, len(table))
    assert sum(count for *_, count in findings.pairs) == findings.suspected


def test_the_same_text_with_different_labels_is_named(tmp_path):
    rows = [*make_rows(40), ("Good  thing", "pos"), ("good thing", "neg"), (" ", "pos")]
    path = write(tmp_path / "rows.csv", rows)

    findings = lint(path, tmp_path / "out.csv")

    same = {row["row"]: row["same_text"] for row in read(tmp_path / "out.csv")}
    assert (same["41"], same["42"]) == ("42", "41")
    assert (findings.conflicting_texts, findings.conflicting_rows, findings.empty) == (1, 2, 1)
    assert "43" not in same


def test_empty_texts_are_no_conflict():
    assert find_conflicts(["", " ", "a", "A ", "b"], ["x", "y", "x", "y", "x"]) == {2: [3], 3: [2]}


def test_soft_labels_count_as_the_most_probable_one(tmp_path):
    rows = [
        (text, *((0.95, 0.05) if label == "pos" else (0.05, 0.95)))
        for text, label in make_rows(120)
    ]
    flipped = (7, 19, 25, 33, 41)
    for number in flipped:
        rows[number] = (rows[number][0], 0.95, 0.05)
    path = write(tmp_path / "rows.csv", rows, ("text", "pos", "neg"))

    lint(path, tmp_path / "out.jsonl", labels=("pos", "neg"))

    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(found) >= 2
    assert {row["row"] - 1 for row in found} <= {*flipped}
    assert {(row["label"], row["suggested"]) for row in found} == {("pos", "neg")}


def test_a_label_that_is_nobodys_most_probable_one_may_be_named(tmp_path):
    rows = [(text, json.dumps({label: 0.9, "mixed": 0.1})) for text, label in make_rows(30)]

    findings = lint(write(tmp_path / "rows.csv", rows), tmp_path / "out.csv")

    assert findings.rows == 30


@pytest.mark.parametrize("num", [4, 5, 9])
def test_fewer_rows_than_folds_are_enough(num, tmp_path):
    findings = lint(write(tmp_path / "rows.csv", make_rows(num)), tmp_path / "out.csv")

    assert findings.rows == num


def test_rows_of_one_text_are_folded_all_the_same(tmp_path):
    rows = [("the same", ("pos", "neg")[number % 2]) for number in range(8)]

    findings = lint(write(tmp_path / "rows.csv", rows), tmp_path / "out.csv")

    assert (findings.conflicting_rows, findings.written) == (8, 8)


def test_a_label_that_one_text_alone_has_cannot_be_checked(tmp_path):
    rows = [("the same word", "pos"), ("another thing", "neg")] * 10

    findings = lint(write(tmp_path / "rows.csv", rows), tmp_path / "out.csv")

    assert (findings.suspected, findings.unchecked) == (0, 20)


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ([(SECRET, "pos")], ("text", "label"), "every row has the label 'pos', wanted two labels"),
        ([(SECRET, "pos"), ("b", "neg")], ("text", "label"), "2 of 2 labels have one row only"),
        ([(SECRET, "pos"), ("b", "")], ("text", "label"), "row 2: column 'label' is empty"),
        ([(SECRET, "pos")], ("text", "other"), "no column 'label'; the columns are"),
        ([], ("text", "label"), "holds no rows"),
    ],
)
def test_what_cannot_be_learned_from_is_told_and_nothing_is_written(
    rows, header, message, tmp_path
):
    path = write(tmp_path / "rows.csv", rows, header)

    with pytest.raises(DataError, match=message) as error:
        lint(path, tmp_path / "out.csv")

    assert SECRET not in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == ["rows.csv"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rows.csv", "would overwrite the input"),
        ("there.csv", "exists already"),
        ("out.parquet", "wanted one that ends in .csv"),
        ("out", "wanted one that ends in .csv"),
    ],
)
def test_nothing_of_the_users_is_overwritten(name, message, tmp_path):
    path = write(tmp_path / "rows.csv", make_rows(8))
    (tmp_path / "there.csv").write_text("mine")

    with pytest.raises(CurationError, match=message):
        lint(path, tmp_path / name)

    assert (tmp_path / "there.csv").read_text() == "mine"
    assert {file.name for file in tmp_path.iterdir()} == {"rows.csv", "there.csv"}


def test_force_replaces_a_table_but_never_the_input(tmp_path):
    path, out = write(tmp_path / "rows.csv", make_rows(8)), tmp_path / "there.csv"
    out.write_text("old")

    lint(path, out, force=True)

    assert out.read_text().startswith("row,label,suggested,")
    with pytest.raises(CurationError, match="would overwrite the input"):
        lint(path, path, force=True)


def test_the_same_seed_gives_the_same_table(tmp_path):
    path = write(tmp_path / "rows.csv", make_rows(60))

    lint(path, tmp_path / "a.csv", seed=3)
    lint(path, tmp_path / "b.csv", seed=3)

    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


@pytest.mark.slow
def test_tensorflow_is_not_imported_and_no_text_is_told(tmp_path):
    rows = [*make_rows(30), (SECRET, "pos"), (SECRET, "neg")]
    path = write(tmp_path / "rows.csv", rows)
    code = (
        "import sys; from minnow.cli import main; code = main(sys.argv[1:]); "
        "sys.exit(code or 3 * any(name in sys.modules for name in ('keras', 'tensorflow')))"
    )

    done = run_python(code, "lint", path, "--out", tmp_path / "out.csv")

    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
