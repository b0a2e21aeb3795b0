"""Several labels, the whole road: from a file to a bundle that answers, and to a smaller one."""

import csv
import json
import urllib.request

import pytest

from minnow.cli import main
from tests.helpers.multi_label import SHARES, write_moods
from tests.helpers.served import serve_bundle
from training.blocks.early_exit import has_exit
from training.run_folder import read_run

pytestmark = pytest.mark.slow
# Development rows of their own: so the model has its LSTM, whether that pays or not.
SMALL = ["--epochs", "2", "--units", "4", "--embedding-dim", "8", "--label-separator", "|"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("moods")
    return [write_moods(folder / f"{seed}.csv", rows, seed) for seed, rows in enumerate((500, 400))]


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "moods"
    train, dev = map(str, files)
    assert main(["train", train, "--dev", dev, "--out", str(out), *SMALL]) == 0
    return out


@pytest.fixture(scope="module")
def bundle(run):
    out = run.parent / "bundle"
    assert main(["export", str(run), "--out", str(out)]) == 0
    return out


def measure(model, rows, capsys):
    capsys.readouterr()
    assert main(["evaluate", str(model), str(rows), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_run_learns_each_label_and_its_bundle_answers_the_same(run, bundle, files, capsys):
    keras, int8 = (measure(model, files[1], capsys) for model in (run, bundle))

    assert has_exit(read_run(run).load_model())
    assert keras["macro_f1"] > 0.95
    assert int8["macro_f1"] == pytest.approx(keras["macro_f1"], abs=0.02)
    assert int8["labels"] == sorted(SHARES)
    assert {label: row["threshold"] for label, row in int8["classes"].items()} == {
        label: row["threshold"] for label, row in keras["classes"].items()
    }
    report = (run / "report.md").read_text()
    assert "several labels a text: 4 labels" in report
    assert "![Labels](labels.png)" in report
    assert "| fear | 4" in report  # rows of the label, not of sets with it


def test_the_bundle_is_served_and_scores_a_file_that_can_be_learned_from(
    bundle, files, tmp_path, capsys
):
    with serve_bundle(bundle) as served:
        body = json.dumps({"text": "this film is angry and sweet"}).encode()
        request = urllib.request.Request(
            served.url + "/predict", body, {"content-type": "application/json"}
        )
        (answer,) = json.load(urllib.request.urlopen(request))["predictions"]
    scored = tmp_path / "scored.csv"
    assert main(["score", str(bundle), str(files[1]), "--out", str(scored)]) == 0

    assert sorted(answer["labels"]) == ["anger", "love"]
    assert set(answer["scores"]) == set(SHARES)
    with scored.open() as stream:
        rows = list(csv.DictReader(stream))
    right = [sorted(json.loads(row["predicted_labels"])) for row in rows]
    same = sum("|".join(labels) == row["labels"] for labels, row in zip(right, rows, strict=True))
    assert same > 0.9 * len(rows)
    again = ["evaluate", str(bundle), str(scored), "--label-column", "predicted_labels", "--json"]
    capsys.readouterr()
    assert main(again) == 0
    assert json.loads(capsys.readouterr().out)["exact_match"] == 1.0


def test_a_smaller_bundle_has_thresholds_of_its_own(run, files, tmp_path, capsys):
    out = tmp_path / "small"
    budget = ["--max-size", "150kB", "--max-trials", "1", "--fine-tune-epochs", "1"]

    assert main(["export", str(run), "--out", str(out), *budget, "--best-effort"]) == 0

    assert measure(out, files[1], capsys)["macro_f1"] > 0.9


def test_a_promised_precision_is_kept(files, tmp_path, capsys):
    out = tmp_path / "run"
    train = ["train", str(files[0]), "--out", str(out), "--quick", *SMALL]

    assert main([*train, "--min-precision", "0.95"]) == 0

    assert read_run(out).metadata["aims"] == {"min_precision": 0.95}
    assert measure(out, files[1], capsys)["micro_precision"] > 0.9
