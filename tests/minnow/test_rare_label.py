"""Class weights and thresholds by the commands: from rows to a bundle that answers by them."""

import json

import pytest

from handler.inference.classifier import load_classifier
from minnow.cli import main
from tests.helpers.mails import write_mails
from training.run_folder import read_run

SMALL = ["--embedding-dim", "4", "--units", "4", "--epochs", "1", "--batch-size", "16", "--quiet"]
WANTED = ["--threshold-label", "spam", "--min-recall", "0.9"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_mails(tmp_path_factory.mktemp("mails") / "mails.csv", 280, seed=2)


@pytest.fixture(scope="module")
def test_file(tmp_path_factory):
    return write_mails(tmp_path_factory.mktemp("mails") / "test.csv", 600, seed=1)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A run of the default recipe, linear as its rows are few, with class weights."""
    out = tmp_path_factory.mktemp("runs") / "mails"
    assert main(["train", str(data), "--out", str(out), *SMALL, "--class-weight", "balanced"]) == 0
    return out


def evaluate(model, path, capsys):
    capsys.readouterr()
    assert main(["evaluate", str(model), str(path), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_class_weights_move_answers_and_not_probabilities(run, data, test_file, tmp_path, capsys):
    plain = tmp_path / "plain"
    assert main(["train", str(data), "--out", str(plain), *SMALL]) == 0

    metadata = read_run(run).metadata
    weights = metadata["aims"]["class_weight"]
    assert metadata["settled"]["decide"] == "least-cost"
    expected = weights["ham"] / (weights["ham"] + weights["spam"])
    assert metadata["task"]["thresholds"] == {"spam": pytest.approx(expected)}
    weighted, before = (evaluate(model, test_file, capsys) for model in (run, plain))
    assert weighted["log_loss"] == pytest.approx(before["log_loss"], abs=1e-6)
    assert weighted["calibration_error"] < 0.06
    recalls = [figures["classes"]["spam"]["recall"] for figures in (before, weighted)]
    assert recalls[1] > recalls[0] + 0.04
    assert weighted["balanced_accuracy"] > before["balanced_accuracy"]


@pytest.mark.slow
def test_a_finished_run_gets_a_threshold_at_export(run, test_file, tmp_path, capsys):
    bundle = tmp_path / "bundle"
    before = read_run(run).metadata

    assert main(["export", str(run), "--out", str(bundle), *WANTED]) == 0

    output = capsys.readouterr()
    assert "the answer is 'spam' from a probability of " in output.err
    classifier = load_classifier(bundle)
    threshold = classifier.task.thresholds["spam"]
    assert read_run(run).metadata == before  # the run is as it was
    assert classifier.manifest.name == "mails"
    figures = evaluate(bundle, test_file, capsys)
    assert figures["classes"]["spam"]["recall"] == pytest.approx(0.9, abs=0.12)
    told = classifier.manifest.provenance["settled"]
    assert (told["min_recall"], told["threshold"], told["is_reached"]) == (0.9, threshold, True)
    assert main(["predict", "--bundle", str(bundle), "--json", "free prize meeting"]) == 0
    answer = json.loads(capsys.readouterr().out)
    chosen = "spam" if answer["scores"]["spam"] >= threshold else "ham"
    assert answer["label"] == chosen


@pytest.mark.slow
def test_no_bundle_is_made_of_what_cannot_be_reached(run, tmp_path, capsys):
    out = tmp_path / "bundle"

    command = ["export", str(run), "--out", str(out), "--threshold-label", "spam"]

    assert main([*command, "--min-precision", "0.92"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "no threshold of 'spam' keeps a precision of 0.92: the nearest has precision" in error
    assert "rows of it would do if as large a share is right" in error
    assert main([*command, "--min-precision", "0.99"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "--min-precision 0.99 needs 230 rows of 'spam' or more even if every answer" in error
    assert not out.exists()


@pytest.mark.slow
def test_training_that_misses_its_aim_recommends_no_export_that_must_fail(data, tmp_path, capsys):
    out = tmp_path / "run"
    aim = ["--threshold-label", "spam", "--min-precision", "0.92", "--class-weight", "balanced"]

    assert main(["train", str(data), "--out", str(out), *SMALL[:-1], *aim]) == 0

    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith(f"next: minnow export {out} --out ")
    assert lines[-1].endswith(
        ", with an aim that can be reached (as above), or none: --decide most-probable"
    )
    # What changed nothing is said where it is seen, not only in the report.
    assert (
        "the model is a linear one, without LSTM: of 280 rows, fewer than 1,000, it learns nothing"
        in lines
    )
    idle = "--embedding-dim, --units, --batch-size, --epochs changed nothing in it"
    assert f"the model is a linear one (see the report): {idle}" in lines
    weights = "the model is a linear one, which counts all labels the same: the class weights"
    assert f"{weights} changed nothing in it" in lines


@pytest.mark.slow
def test_a_finished_run_that_learns_to_abstain_says_what_is_answered(run, tmp_path, capsys):
    out = tmp_path / "bundle"

    assert main(["export", str(run), "--out", str(out), "--abstain-accuracy", "0.95"]) == 0

    output = capsys.readouterr().err
    assert "of 280 rows that were not learned from:\nanswered           0." in output
    assert "of them right, promised 0.95)\nout of scope " in output
    assert "\nAURC " in output


@pytest.mark.slow
def test_a_linear_model_is_not_tried_in_narrower_widths(data, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["train", str(data), "--out", str(run), *SMALL]) == 0
    budget = ["--max-size", "40kB", "--max-drop", "50", "--best-effort", "--fine-tune-epochs", "1"]

    assert main(["export", str(run), "--out", str(tmp_path / "bundle"), *budget]) == 0

    output = capsys.readouterr().err
    tried = {line.split(":")[0] for line in output.splitlines() if line.startswith("width-")}
    assert tried
    assert all(name.startswith("width-1-words-") for name in tried)
    assert "retracing" not in output


@pytest.mark.slow
def test_probabilities_of_lstms_alone_are_corrected_for_class_weights(data, tmp_path):
    out = tmp_path / "run"
    weights = ["--class-weight", '{"spam": 20, "ham": 1}', "--dev-fraction", "0.3"]
    more = ["--recipe", "stacked", "--learning-rate", "0.02", "--decide", "most-probable"]

    assert main(["train", str(data), "--out", str(out), *SMALL, *weights, *more]) == 0

    metadata = read_run(out).metadata
    assert "thresholds" not in metadata["task"]
    figures = metadata["metrics"]["dev"]
    # One answer for all has 0.42 by the frequencies, 1.3 by those that the weights make of them.
    assert figures["log_loss"] < 0.48


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--class-weight", '{"spam": 5}'], "--class-weight: the label 'ham' has no weight."),
        (["--class-weight", '{"spam": 5, "ham": NaN}'], "the weight of 'ham' is nan, wanted a n"),
        (["--class-weight", "none.json"], "--class-weight none.json: no such file, and no JSON"),
        (["--threshold-label", "spam"], "needs --min-precision or --min-recall"),
        (["--threshold-label", "Spam", "--min-recall", "0.5"], "there is no label 'Spam'"),
        (["--min-precision", "0.5"], "--min-precision needs --threshold-label LABEL"),
        (["--decide", "best"], "--decide is 'best', wanted most-probable, least-cost, macro-f1"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(data, tmp_path, capsys, options, message):
    out = tmp_path / "run"

    assert main(["train", str(data), "--out", str(out), *SMALL, *options]) == 1

    error = capsys.readouterr().err
    assert error.startswith("minnow: ")
    assert error.count("\n") == 1
    assert message in error
    assert not out.exists()


def test_a_share_that_is_none_is_wrong_usage(data, tmp_path, capsys):
    code = main(
        ["train", str(data), "--out", str(tmp_path / "run"), "--threshold-label", "spam"]
        + ["--min-precision", "80"]
    )

    assert code == 2
    assert "'80' is no share, wanted a number from 0 to 1" in capsys.readouterr().err
