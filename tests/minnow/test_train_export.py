"""The commands that need TensorFlow, from rows to a bundle."""

import hashlib
import json
import shlex
import shutil

import pytest

from handler.inference.classifier import load_classifier
from minnow.cli import main
from training.run_folder import read_run

pytestmark = pytest.mark.slow
SMALL = ["--recipe", "stacked", "--vocab-size", "50", "--max-length", "32", "--embedding-dim", "8"]


def test_a_run_keeps_its_command_and_only_the_settings_that_were_given(tiny_data, tmp_path, capsys):
    out = tmp_path / "run"
    command = ["train", str(tiny_data), "--out", str(out), *SMALL, "--units", "8", "--epochs", "1"]

    assert main(command) == 0

    run = read_run(out)
    settings = run.metadata["settings"]
    assert run.metadata["command"] == shlex.join(["minnow", *command])
    assert (settings["recipe"], settings["units"], settings["epochs"]) == ("stacked", [8], 1)
    assert settings["seed"] == 0
    output = capsys.readouterr()
    assert "accuracy " in output.out
    assert "train: " in output.err
    assert output.err.splitlines()[-2:] == [
        f"{out}: done. The report is in {out / 'report.md'}",
        f"next: minnow export {out} --out bundles/run",
    ]


def test_a_run_is_exported_and_measured_as_its_bundle_is(tiny_run, tiny_data, tmp_path, capsys):
    out = tmp_path / "bundle"

    assert main(["export", str(tiny_run), "--out", str(out), "--test", str(tiny_data)]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{out}: verified against Keras on the reference rows"
    assert [line[:36].rstrip() for line in lines[1:]] == [
        "largest difference of an output",
        "answers changed",
        f"accuracy on {tiny_data.name}",
        "manifest.json",
        "model.onnx",
        "tokenizer.json.gz",
        "sha256 of manifest.json",
    ]
    assert lines[-1].endswith(hashlib.sha256((out / "manifest.json").read_bytes()).hexdigest())
    accuracies = []
    for model in (tiny_run, out):
        assert main(["evaluate", str(model), str(tiny_data), "--json"]) == 0
        accuracies.append(json.loads(capsys.readouterr().out)["accuracy"])
    assert lines[3].endswith(f" {accuracies[1]:.4f}")
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.02)


def test_figures_by_the_weights_of_rows_stand_beside_the_others(tiny_bundle, tmp_path, capsys):
    labels = load_classifier(tiny_bundle).task.labels
    data = tmp_path / "rows.csv"
    rows = [f"a good film,{labels[n % 2]},{1 + n % 2}" for n in range(12)]
    data.write_text("\n".join(["text,label,w", *rows]) + "\n")

    assert main(["evaluate", str(tiny_bundle), str(data), "--weight-column", "w", "--json"]) == 0

    figures = json.loads(capsys.readouterr().out)
    assert 0 <= figures["weighted_accuracy"] <= 1
    assert figures["weighted_log_loss"] != figures["log_loss"]
    assert main(["evaluate", str(tiny_bundle), str(data), "--json"]) == 0
    assert "weighted_accuracy" not in json.loads(capsys.readouterr().out)


def test_options_of_the_search_and_of_the_bundle_are_passed_on(
    tiny_run, tiny_bundle, tmp_path, monkeypatch, capsys
):
    from export.compress import search

    passed = {}

    def write(run, out, budget, **named):
        shutil.copytree(tiny_bundle, out)
        passed.update(named, values=(run, out, budget))
        return {"reference": {}}

    monkeypatch.setattr(search, "compress_run", write)
    card = tmp_path / "card.json"
    card.write_text('{"summary": "Reviews."}')
    flags = "--max-size 9kB --max-drop 2 --max-latency-ms 5 --min-speedup 3 --max-trials 4"
    more = "--fine-tune-epochs 1 --best-effort --force --json --name reviews --model-version 7"
    last = f"--embedding-bits 8 --sparsity 0.5 --full-range --card {card}"
    options = f"{flags} {more} {last}".split()

    assert main(["export", str(tiny_run), "--out", str(tmp_path / "bundle"), *options]) == 0

    run, out, budget = passed["values"]
    settings = passed["settings"]
    assert (run, out) == (tiny_run, tmp_path / "bundle")
    assert vars(budget) == {
        "max_size_bytes": 9000,
        "max_drop": 2,
        "max_latency_ms": 5,
        "max_trials": 4,
        "min_speedup": 3,
    }
    assert (passed["fine_tune_epochs"], passed["best_effort"], passed["force"]) == (1, True, True)
    assert (settings.name, settings.version, settings.embedding_bits) == ("reviews", "7", 8)
    assert (settings.sparsity, settings.reduce_range) == (0.5, False)
    assert settings.card.summary == "Reviews."
    sha256 = hashlib.sha256((out / "manifest.json").read_bytes()).hexdigest()
    assert json.loads(capsys.readouterr().out) == {"reference": {}, "bundle_sha256": sha256}


def test_an_interrupted_search_ends_with_130(tiny_run, tmp_path, monkeypatch, capsys):
    from export.compress import search

    def interrupt(*values, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "compress_run", interrupt)
    out = tmp_path / "bundle"

    assert main(["export", str(tiny_run), "--out", str(out), "--max-size", "9kB"]) == 130

    assert capsys.readouterr().err.endswith("minnow: interrupted\n")
