"""Numbers and ordinal labels on the command line: from labelled rows to answers."""

import csv
import json
import random

import pytest

from handler.inference.tasks import Regression, SingleLabel
from minnow.cli import main
from minnow.commands.export import format_metrics
from tests.helpers.hostile import change
from tests.helpers.number_bundles import write_ordinal, write_regression
from training.tasks import make_objective

TEXTS = ["good film", "bad", "good good", "film"]
# What each word adds to the number of stars.
WORTH = {"superb": 2.0, "good": 1.0, "fine": 0.5, "film": 0.0, "dull": -1.0, "awful": -2.0}


def write_texts(path):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    elif path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.table({"text": TEXTS}), path)
    else:
        path.write_text("text\n" + "\n".join(TEXTS) + "\n")
    return path


def read_rows(path):
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    if path.suffix == ".parquet":
        import pyarrow.parquet

        return pyarrow.parquet.read_table(path).to_pylist()
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_scored_file_has_the_number_and_its_interval(ending, tmp_path):
    data, out = write_texts(tmp_path / f"a.{ending}"), tmp_path / f"out.{ending}"

    assert main(["score", str(write_regression(tmp_path)), str(data), "--out", str(out)]) == 0

    names = ("predicted_value", "predicted_low", "predicted_high")
    rows = [tuple(float(row[name]) for name in names) for row in read_rows(out)]
    assert rows == [(2.0, -0.5, 4.5), (-2.0, -3.0, -1.0), (4.0, 1.5, 5.0), (0.0, -2.5, 2.5)]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_small_numbers_are_not_cut_to_six_decimals(ending, tmp_path):
    bundle = write_regression(tmp_path)
    change(("task", "standard_deviation"), 1e-9)(bundle)
    change(("task", "interval"), {"coverage": 0.9, "edges": [], "radii": [1.25e-8]})(bundle)
    change(("golden", "atol"), 1e-11)(bundle)
    data, out = write_texts(tmp_path / f"a.{ending}"), tmp_path / f"out.{ending}"

    assert main(["score", str(bundle), str(data), "--out", str(out)]) == 0

    assert float(read_rows(out)[3]["predicted_high"]) == 1.25e-8


def test_ordinal_columns(tmp_path):
    data, out = write_texts(tmp_path / "a.csv"), tmp_path / "out.csv"

    assert main(["score", str(write_ordinal(tmp_path)), str(data), "--out", str(out)]) == 0

    assert list(read_rows(out)[1].items())[1:4] == [
        ("predicted_label", "2"),
        ("predicted_score", "0.880797"),
        ("predicted_value", "1.880797"),
    ]


def test_predict_shows_the_number_whatever_chooses_among_labels(tmp_path, capsys):
    bundle = str(write_regression(tmp_path))

    assert main(["predict", "--bundle", bundle, "good film"]) == 0
    assert main(["predict", "--bundle", bundle, "good film", "--top-k", "2"]) == 0
    assert main(["predict", "--bundle", bundle, "bad", "--explain"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines == ["2.0\t-0.5\t4.5"] * 2 + ["-2.0\t-3.0\t-1.0", "  -2.0000\tbad"]


def test_evaluate_measures_a_bundle_of_numbers(tmp_path, capsys):
    bundle = str(write_regression(tmp_path))
    data = tmp_path / "rows.csv"
    data.write_text("text,stars\ngood film,2\nbad,-1.5\ngood good,1e0\nfilm,9\n")

    assert main(["evaluate", bundle, str(data), "--label-column", "stars", "--json"]) == 0

    figures = json.loads(capsys.readouterr().out)
    assert figures["mae"] == pytest.approx((0 + 0.5 + 3 + 9) / 4)
    assert figures["coverage"] == 0.5
    assert figures["points"][0] == [-1.5, -2.0]
    assert main(["evaluate", bundle, str(data), "--label-column", "stars"]) == 0
    assert "mean absolute error 3.125" in capsys.readouterr().out


def test_rows_to_label_are_not_chosen_by_a_model_of_numbers(tmp_path, capsys):
    bundle, data = write_regression(tmp_path), write_texts(tmp_path / "a.csv")
    flags = ["--model", str(bundle), "--out", str(tmp_path / "chosen.csv")]

    assert main(["suggest", str(data), *flags]) == 1

    assert "its task is regression, wanted a model of labels" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("cells", "flags", "message"),
    [
        (["1.5", "3,7"], [], "column 'label' has a comma"),
        (["1.5", "1,234.5"], [], "column 'label' has a comma"),
        (["1.5", "good"], [], "row 2: column 'label' is a text, wanted a number"),
        (["1.5", "5 stars"], [], "row 2: column 'label' holds more than a number"),
        (["1.5", "$5"], [], "holds more than a number"),
        (["1.5", "50%"], [], "holds more than a number"),
        (["1.5", "4/5"], [], "holds more than a number"),
        (["1.5", "1_000"], [], "holds more than a number"),
        (["1.5", "٣"], [], "holds more than a number"),
        (["1.5", "inf"], [], "row 2: column 'label' is infinite"),
        (["1.5", "-Infinity"], [], "is infinite"),
        (["1.5", "1e308"], [], "is beyond 1e+30"),
        (["1.5", "1e999"], [], "is beyond 1e+30"),
        (["1.5", ""], [], "row 2: column 'label' is empty"),
        (["1.5", "NaN"], [], "row 2: column 'label' is empty"),
        (["2", "2.0"], [], "holds 2 in every row, wanted different numbers"),
        (["1700000000", "1700000001"], [], "Subtract 1700000000 from each"),
        (["1e-40", "2e-40"], [], "too small for float32"),
        (["1.5", "2"], ["--coverage", "1"], "--coverage is 1, wanted a share between"),
        (["1.5", "2"], ["--loss", "mse"], "'mse' is no loss, wanted squared"),
        (["a", "b"], ["--task", "single-label", "--loss", "huber"], "takes no --loss"),
        (["a", "b"], ["--task", "single-label", "--no-clip"], "takes no --no-clip"),
        (["1", "two"], ["--task", "ordinal"], "row 2: column 'label' is a text"),
        (["1", "1.0"], ["--task", "ordinal"], "--normalize-labels makes them one"),
        (["1", "2", "3"], ["--task", "ordinal"], "3 of 3 labels have one row only"),
        ([f"{n}" for n in range(101)] * 2, ["--task", "ordinal"], "--task regression learns"),
        (["1", "1"], ["--task", "ordinal"], "every row has the label '1'"),
    ],
)
def test_labels_that_cannot_be_learned_are_named(cells, flags, message, tmp_path, capsys):
    data = tmp_path / "rows.csv"
    with data.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["text", "label"], *([f"a {n}", c] for n, c in enumerate(cells))]
        )
    flags = flags if "--task" in flags else ["--task", "regression", *flags]

    assert main(["train", str(data), "--out", str(tmp_path / "run"), *flags]) in (1, 2)

    error = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert message in error
    assert not (tmp_path / "run").exists()


def write_stars(path, num_rows, is_whole=False):
    """Write texts whose words add up to stars from 1 to 5, with some noise."""
    draw = random.Random(0)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["text", "stars"])
        for _ in range(num_rows):
            words = draw.choices(list(WORTH), k=draw.randint(2, 8))
            stars = 3 + sum(WORTH[word] for word in words) / 2 + draw.gauss(0, 0.3)
            stars = min(5, max(1, stars))
            table.writerow([" ".join(words), round(stars) if is_whole else f"{stars:.2f}"])
    return path


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["wide_deep", "stacked"])
def test_numbers_from_rows_to_an_int8_bundle_that_is_as_good(recipe, tmp_path, capsys):
    data, test = split_stars(tmp_path)
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    small = ["--epochs", "2", "--units", "8", "--vocab-size", "50", "--max-length", "32"]

    command = ["train", str(data), "--out", str(run), "--recipe", recipe, "--loss", "absolute"]
    assert main([*command, *small, "--test", str(test)]) == 0

    told = capsys.readouterr()
    assert "numbers from 1 to 5" in told.err  # found, as the stars have fractions
    assert "largest errors: rows" in told.out
    report = (run / "report.md").read_text()
    assert "## Largest errors" in report
    assert (run / "predictions.png").read_bytes().startswith(b"\x89PNG")
    assert main(["export", str(run), "--out", str(bundle), "--test", str(test)]) == 0
    capsys.readouterr()
    figures = []
    for model in (run, bundle):
        assert main(["evaluate", str(model), str(test), "--json"]) == 0
        figures.append(json.loads(capsys.readouterr().out))
    assert figures[1]["mae"] == pytest.approx(figures[0]["mae"], abs=0.03)
    if recipe == "wide_deep":
        assert figures[1]["mae"] < 0.45  # the noise alone is 0.24, the median for all 0.9
        assert figures[1]["spearman"] > 0.8
        assert figures[1]["coverage"] == pytest.approx(0.9, abs=0.07)  # 200 rows
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["task"]["kind"] == "regression"
    assert manifest["provenance"]["columns"]["label"] == "stars"


def split_stars(folder, is_whole=False):
    """Return files of 500 rows to train on and 200 others."""
    data, other = write_stars(folder / "train.csv", 700, is_whole), folder / "other.csv"
    rows = data.read_text().splitlines(keepends=True)
    other.write_text(rows[0] + "".join(rows[501:]))
    data.write_text("".join(rows[:501]))
    return data, other


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "is_whole", "aims", "size"),
    [
        (["--loss", "huber"], False, {"loss": "huber"}, "26kB"),
        (["--task", "ordinal"], True, {}, "42kB"),  # four columns in each table
    ],
)
def test_numbers_with_an_lstm_are_pruned_and_distilled(
    flags, is_whole, aims, size, tmp_path, capsys
):
    data, dev = split_stars(tmp_path, is_whole)
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    small = ["--epochs", "2", "--units", "16", "--embedding-dim", "16", "--max-length", "32"]

    command = ["train", str(data), "--dev", str(dev), "--out", str(run), *flags]
    assert main([*command, *small]) == 0  # development rows of their own: the LSTM stays
    budget = ["--max-size", size, "--max-drop", "40", "--fine-tune-epochs", "1"]
    assert main(["export", str(run), "--out", str(bundle), *budget]) == 0

    assert "width-" in capsys.readouterr().err
    assert main(["evaluate", str(bundle), str(dev), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["mae"] < 0.75  # the median for all 1.0
    assert figures["spearman"] > 0.7
    if not is_whole:
        assert figures["coverage"] == pytest.approx(0.9, abs=0.07)
    metadata = json.loads((run / "metadata.json").read_text())
    assert metadata["early_exit"] is None
    assert metadata["aims"] == aims


@pytest.mark.parametrize(
    ("task", "gap", "shown"),
    [
        (Regression(0, 9e6, 4e6, 2e6), 1234.5678, "1.23e+03"),
        (Regression(0, 1e-5, 4e-6, 2e-6), 1.5e-9, "1.5e-09"),
        (SingleLabel(["a", "b"]), 1.5e-5, "0.0000"),
    ],
)
def test_a_difference_is_told_in_the_digits_of_its_unit(task, gap, shown, tmp_path):
    metrics = {"reference": {"max_gap": gap, "answers_changed": 0.0}}

    lines = format_metrics(metrics, tmp_path, None, make_objective(task)).splitlines()

    assert lines[1].split("output")[1].strip() == shown
