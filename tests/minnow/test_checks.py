"""What is wrong with paths and data is said before TensorFlow is imported."""

import json
import os
import shutil

import pytest

from minnow.cli import main
from minnow.commands.export import check_inputs, read_size
from tests.helpers.fresh_python import run_python
from training.errors import DataError
from training.recipe import list_recipes

ROWS = "text,label\ngood,pos\nbad,neg\nfine,pos\ndull,neg\n"


@pytest.fixture
def folder(tmp_path, tiny_bundle):
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "one_label.csv").write_text("text,label\ngood,pos\nbad,pos\n")
    (tmp_path / "out").mkdir()
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    (tmp_path / "run").mkdir()
    for name in ("model.keras", "tokenizer.json", "reference.npz"):
        (tmp_path / "run" / name).touch()
    metadata = {"format_version": 1, "command": "minnow train rows.csv --out run"}
    (tmp_path / "run" / "metadata.json").write_text(json.dumps(metadata))
    shutil.copytree(tmp_path / "run", tmp_path / "stars")
    metadata |= {
        "format_version": 5,
        "aims": {},
        "columns": {"text": "text", "label": "label", "group": None},
    }
    metadata["task"] = {"kind": "single-label", "labels": ["1", "2"]}
    (tmp_path / "stars" / "metadata.json").write_text(json.dumps(metadata))
    (tmp_path / "card.json").write_text('{"sumary": "Stars."}')
    return tmp_path


CASES = [
    ("train nowhere.csv --out new", "nowhere.csv: no such file or folder"),
    ("train rows.csv --out out", "out: exists already"),
    ("train rows.csv --out new --label-column stars", "no column 'stars'"),
    ("train rows.csv --out new --test nowhere.csv", "nowhere.csv: no such file or folder"),
    ("train one_label.csv --out new", "every row has the label 'pos'"),
    ("evaluate nowhere rows.csv", "nowhere"),
    ("evaluate bundle nowhere.csv", "nowhere.csv: no such file or folder"),
    ("evaluate run rows.csv", "format_version is 1"),
    ("export nowhere --out new", "nowhere/metadata.json: no such file"),
    ("export run --out new", "format_version is 1"),
    ("export rows.csv --out new", "rows.csv: is a file, wanted the folder of a run"),
    ("export . --out new", ".: is no run, but holds some: name one, such as run"),
    ("export out --out new", "out/metadata.json: no such file. out is no run."),
    ("export run --out bundle", "bundle: exists already"),
    (
        "evaluate stars rows.csv",
        "rows, row 1 the first, have 2 labels that the model does not know; it knows ",
    ),
    (
        "export stars --out new --test rows.csv",
        "rows, row 1 the first, have 2 labels that the model does not know",
    ),
    ("export stars --out new --card nowhere.json", "nowhere.json: No such file"),
    (
        "export stars --out new --card card.json",
        "card.json: card has the field 'sumary', wanted",
    ),
    ("predict --bundle nowhere good", "nowhere/manifest.json: no such file"),
    ("inspect nowhere", "nowhere/manifest.json: no such file"),
    ("serve nowhere", "nowhere/manifest.json: no such file"),
    ("score bundle nowhere.csv --out new.csv", "nowhere.csv: no such file"),
    ("train rows.csv --out new --dev-fraction 1", "--dev-fraction is 1.0, wanted more than 0"),
    ("train rows.csv --out new --learning-rate 0", "--learning-rate is 0.0, wanted more than 0"),
    ("train rows.csv --out new --dropout-rate 1", "--dropout-rate is 1.0, wanted 0 or more and"),
    ("score nowhere rows.csv --out new.csv", "nowhere/manifest.json: no such file"),
]


def test_mistyped_paths_and_columns_are_one_line_without_tensorflow(folder):
    code = """
        import sys
        from minnow.cli import main
        for line in sys.argv[1:]:
            print(line, file=sys.stderr)
            assert main(line.split()) == 1
            assert not {"tensorflow", "keras"} & set(sys.modules), line
    """

    done = run_python(code, *(command for command, _ in CASES), cwd=folder)

    lines = done.stderr.splitlines()
    assert lines[::2] == [command for command, _ in CASES]
    for line, (_, message) in zip(lines[1::2], CASES, strict=True):
        assert line.startswith("minnow: ")
        assert message in line
    left = ["bundle", "card.json", "one_label.csv", "out", "rows.csv", "run", "stars"]
    assert sorted(os.listdir(folder)) == left


def test_export_measures_on_labels_as_the_run_took_them(folder):
    path = folder / "stars" / "metadata.json"
    metadata = json.loads(path.read_text())
    path.write_text(json.dumps(metadata | {"task": {"kind": "single-label", "labels": ["a", "b"]}}))
    rows = folder / "rows.csv"
    rows.write_text("text,label\ngood,A\nbad,b\n")

    with pytest.raises(DataError, match=r"rows\.csv: row 1 has a label that the model does not"):
        check_inputs(folder / "stars", None, rows, {})
    metadata = json.loads(path.read_text())
    metadata["columns"]["normalize_labels"] = True
    path.write_text(json.dumps(metadata))

    assert check_inputs(folder / "stars", None, rows, {})[2] is not None


@pytest.mark.parametrize(
    "flags",
    [
        ["--seed", "-1"],
        ["--seed", "4294967296"],
        ["--epochs", "0"],
        ["--batch-size", "0"],
        ["--dropout-rate", "1.5"],
        ["--recipe", "nothing"],
    ],
)
def test_a_setting_out_of_range_is_wrong_usage(flags, folder, capsys):
    assert main(["train", str(folder / "rows.csv"), "--out", str(folder / "new"), *flags]) == 2

    assert capsys.readouterr().err.startswith(f"minnow: Invalid value for '{flags[0]}': ")


def test_help_names_every_recipe(capsys):
    main(["train", "--help"])

    text = " ".join(capsys.readouterr().out.split())
    assert [name for name in list_recipes() if f"{name} (" not in text] == []


@pytest.mark.parametrize(
    ("text", "size_bytes"), [("1MB", 10**6), ("0.35mb", 350_000), ("350kB", 350_000), ("9b", 9)]
)
def test_size_has_a_unit(text, size_bytes):
    assert read_size(text) == size_bytes


@pytest.mark.parametrize("text", ["1", "MB", "0kB", "1GB", "1 M", "nanB", "infMB"])
def test_size_without_unit_is_wrong_usage(text, capsys):
    assert main(["export", "run", "--out", "bundle", "--max-size", text]) == 2

    assert "is no size, wanted one such as 1MB or 350kB" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags",
    [["--max-drop", "0.3"], ["--best-effort"], ["--max-trials", "6"], ["--max-latency-ms", "3"]],
)
def test_a_budget_without_a_size_is_wrong_usage(flags, capsys):
    assert main(["export", "run", "--out", "bundle", *flags]) == 2

    assert capsys.readouterr().err == (
        f"minnow: Invalid value for '{flags[0]}': it has no effect without --max-size SIZE (see "
        "minnow export --help)\n"
    )


def test_an_empty_version_is_wrong_usage(capsys):
    assert main(["export", "run", "--out", "bundle", "--model-version", ""]) == 2

    assert "'--model-version': it is empty" in capsys.readouterr().err


@pytest.mark.slow
def test_tensorflow_is_imported_without_a_word():
    code = """
        import os
        os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)
        from minnow.quiet import import_tensorflow
        import_tensorflow()
        import keras, sys
        print("loaded", "tensorflow" in sys.modules, file=sys.stderr)
        keras.ops.zeros((2, 2))
    """

    done = run_python(code)

    assert done.stderr == "loaded True\n"
