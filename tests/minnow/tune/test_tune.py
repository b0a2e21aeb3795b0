"""Searches of real trials, a few on few rows."""

import random

import pytest

from handler.inference.classifier import load_classifier
from minnow.tune.journal import Journal
from minnow.tune.search import Wanted
from minnow.tune.tune import tune_data
from training.rows.data import Sources
from training.run_folder import read_run

FILL = ("red", "blue", "green", "dog", "cat", "sea", "sun")


def write_rows(path, kind):
    order = random.Random(0)
    lines = ["text,label"]
    for row in range(120):
        count = order.randrange(5)
        words = ["good"] * count + ["bad"] * (4 - count) + order.sample(FILL, 3) + [f"n{row}"]
        label = {"regression": count + 0.25, "ordinal": count}.get(kind, "np"[count > 1])
        lines.append(f"{' '.join(words)},{label}")
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "metric"), [("single-label", "log_loss"), ("ordinal", "mae"), ("regression", None)]
)
def test_a_search_ends_with_a_run_and_its_bundle(tmp_path, kind, metric):
    data, out = write_rows(tmp_path / "rows.csv", kind), tmp_path / "out"
    wanted = Wanted(minutes=60, metric=metric, jobs=2, max_trials=1)

    outcome = tune_data(Sources(data, task={"kind": kind}), out, wanted)

    run, classifier = read_run(out / "run"), load_classifier(out / "bundle")
    assert run.metadata["command"].startswith(f"minnow train {out}/rows/train.jsonl.gz --test")
    assert run.metadata["data"]["test"]["rows"] == outcome.result["rows"]
    assert run.task.kind == classifier.task.kind == kind
    assert [trial.error for trial in Journal(out / "journal.jsonl").trials.values()] == [""]
    assert outcome.result["size_bytes"] == classifier.size_bytes
    assert "default" in (out / "tune.md").read_text("utf-8")
