"""The whole road of answers that may be withheld, from rows to scored files."""

import csv
import json
import random

import pytest

from minnow.cli import main
from training.downloads.synthetic import BAD, GOOD, SUBJECTS, VERBS, write_synthetic_reviews
from training.run_folder import read_run

pytestmark = pytest.mark.slow
SMALL = "--recipe stacked --units 8 --vocab-size 60 --max-length 32 --embedding-dim 8".split()
FITTED = [
    *SMALL,
    *"--learning-rate 0.02 --epochs 6 --batch-size 16 --dropout-rate 0 --dev-fraction 0.25".split(),
]
AIMS = "--abstain-accuracy 0.9 --label-sets".split()
REVIEW = "the plot was superb to reader 7"
ELSEWHERE = "wire transfers to another account are refused since yesterday"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """One word of each review decides; of one in six nobody can know."""
    path, order = tmp_path_factory.mktemp("data") / "reviews.csv", random.Random(1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for number in range(800):
            label, words = ("pos", GOOD) if number % 2 else ("neg", BAD)
            word = order.choice(words if order.random() < 5 / 6 else ("long", "short", "new"))
            text = f"{order.choice(SUBJECTS)} {order.choice(VERBS)} {word} to reader {number}"
            writer.writerow([text, label])
    return path


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A run that promises 0.9, after the same training could not promise 0.995."""
    out = tmp_path_factory.mktemp("runs") / "sure"
    command = ["train", str(data), "--out", str(out), *FITTED, "--quiet"]
    assert main([*command, "--abstain-accuracy", "0.995"]) == 1
    assert not out.exists()
    checkpoint = next((out.parent / "sure.partial" / "stages").iterdir())
    before = checkpoint.stat().st_mtime_ns
    assert main([*command, *AIMS]) == 0
    assert not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before
    return out


@pytest.fixture(scope="module")
def bundle(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundles") / "sure"
    assert main(["export", str(run), "--out", str(out)]) == 0
    return out


def read_task(bundle):
    return json.loads((bundle / "manifest.json").read_text())["task"]


def test_the_run_tells_what_it_answers(run):
    metadata = read_run(run).metadata
    figures = metadata["metrics"]["dev"]

    assert metadata["aims"] == {"abstain_accuracy": 0.9, "label_sets": True}
    assert set(metadata["task"]) == {"kind", "labels", "abstain", "scope", "label_sets"}
    assert 0.3 < figures["answered"] <= 1
    assert figures["answered_accuracy"] >= 0.9
    assert "risk_coverage.png" in metadata["files"]
    assert (run / "risk_coverage.png").stat().st_size > 10_000
    report = (run / "report.md").read_text()
    assert "promised 0.9" in report
    assert "![Accuracy of what is answered](risk_coverage.png)" in report


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_a_bundle_of_any_precision_has_what_the_run_decided(precision, run, tmp_path):
    out = tmp_path / "bundle"

    assert main(["export", str(run), "--out", str(out), "--precision", precision]) == 0

    assert read_task(out) == read_run(run).metadata["task"]


def test_run_and_bundle_are_measured_alike(run, bundle, data, capsys):
    found = []
    for model in (run, bundle):
        assert main(["evaluate", str(model), str(data), "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))

    for name in ("answered", "answered_accuracy", "out_of_scope", "set_coverage"):
        assert found[0][name] == pytest.approx(found[1][name], abs=0.02)
    assert main(["evaluate", str(bundle), str(data)]) == 0
    assert "promised 0.9)" in capsys.readouterr().out


def test_another_promise_is_settled_without_training(run, bundle, tmp_path):
    out = tmp_path / "other"
    before = sorted((path.name, path.stat().st_mtime_ns) for path in run.iterdir())

    more = ["--abstain-accuracy", "0.85", "--scope-coverage", "0.9"]
    assert main(["export", str(run), "--out", str(out), *more]) == 0

    other, own = read_task(out), read_task(bundle)
    assert other["abstain"]["accuracy"] == 0.85
    assert other["abstain"]["min_score"] <= own["abstain"]["min_score"]
    assert other["scope"]["max_distance"] <= own["scope"]["max_distance"]
    assert other["label_sets"] == own["label_sets"]
    assert before == sorted((path.name, path.stat().st_mtime_ns) for path in run.iterdir())


def test_the_same_promise_after_training_is_the_same(run, bundle, tmp_path):
    assert main(["export", str(run), "--out", str(tmp_path / "b"), *AIMS]) == 0

    assert read_task(tmp_path / "b") == read_task(bundle)


def test_predict_says_why_there_is_no_answer(bundle, capsys):
    assert main(["predict", "--bundle", str(bundle), "--coverage", "0.9", REVIEW, ELSEWHERE]) == 0

    known, other = capsys.readouterr().out.splitlines()
    assert known.startswith(("pos\t", "neg\t", "-\t"))
    assert "(set: " in known or ", set: " in known
    assert other.startswith("-\t")
    assert "no answer, out of scope; best: " in other


def test_a_coverage_that_a_bundle_has_no_sets_for_is_an_error(bundle, capsys):
    assert main(["predict", "--bundle", str(bundle), "--coverage", "0.1", REVIEW]) == 1

    assert "--coverage is 0.1, this model has label sets from 0.5 to 0.99" in (
        capsys.readouterr().err
    )


def test_scored_rows_say_which_were_not_answered(bundle, tmp_path):
    texts, out = tmp_path / "texts.csv", tmp_path / "scored.csv"
    texts.write_text(f"text\n{REVIEW}\n{ELSEWHERE}\n")

    assert main(["score", str(bundle), str(texts), "--out", str(out), "--quiet"]) == 0

    with out.open(newline="") as file:
        _, other = csv.DictReader(file)
    assert (other["predicted_label"], other["abstained"]) == ("", "out_of_scope")
    assert other["best_label"] in ("pos", "neg")


@pytest.mark.parametrize("share", ["0", "1", "2", "-0.5", "nan", "inf", "most"])
@pytest.mark.parametrize("name", ["--abstain-accuracy", "--scope-coverage"])
def test_a_promise_that_can_be_none_is_wrong_usage(name, share, data, tmp_path, capsys):
    assert main(["train", str(data), "--out", str(tmp_path / "r"), name, share]) == 2

    assert "wanted a number between 0 and 1" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "r.partial").exists()


def test_too_few_rows_are_refused_before_training(tmp_path, capsys):
    few = tmp_path / "few.csv"
    write_synthetic_reviews(few, 30, seed=1)
    command = ["train", str(few), "--out", str(tmp_path / "r"), "--abstain-accuracy", "0.98"]

    assert main(command) == 1

    assert "there are 30 rows, and --abstain-accuracy 0.98 needs 49" in capsys.readouterr().err
