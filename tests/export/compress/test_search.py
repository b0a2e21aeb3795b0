"""The search from the command line: a tiny run, trained, pruned, tuned and exported for real."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import minnow
from handler.inference.classifier import load_classifier

pytestmark = pytest.mark.slow
BUDGET = ["--max-size", "14kB", "--max-drop", "60", "--fine-tune-epochs", "1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of wider layers than `tiny_run`: its weights are most of its bytes."""
    from tests.helpers.tiny_run import SETTINGS, write_tiny_data
    from training.train import Sources, train_run

    folder = tmp_path_factory.mktemp("compression")
    settings = dataclasses.replace(SETTINGS, embedding_dim=32, units=(32, 32), epochs=4)
    return train_run(Sources(write_tiny_data(folder)), folder / "run", settings).folder


@pytest.fixture(scope="module")
def interrupted(run) -> list[dict]:
    """The points of a search that was stopped in its first fine-tuning."""
    from export.compress import distill

    def interrupt(*_):
        raise KeyboardInterrupt

    out = run.parent / "small"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distill, "fine_tune", interrupt)
        assert minnow.main(["export", str(run), "--out", str(out), *BUDGET]) == 130
    assert not out.exists()
    return read_trials(out)


@pytest.fixture(scope="module")
def found(run, interrupted) -> Path:
    out = run.parent / "small"
    assert minnow.main(["export", str(run), "--out", str(out), *BUDGET]) == 0
    return out


def read_trials(out: Path) -> list[dict]:
    return json.loads((out.with_name(f"{out.name}.compression") / "trials.json").read_text())


def size_of(bundle: Path) -> int:
    return sum((bundle / name).stat().st_size for name in ("model.onnx", "tokenizer.json.gz"))


def test_bundle_keeps_the_budget_where_the_whole_model_did_not(found):
    whole = [point for point in read_trials(found) if point["trial"] == "whole"]

    assert size_of(found) <= 14_000 < min(point["size_bytes"] for point in whole)
    manifest = load_classifier(found).manifest
    assert manifest.name == "run"
    assert manifest.provenance["compression"]["width"] < 1


def test_every_point_is_recorded_and_reported(found, interrupted):
    folder = found.with_name("small.compression")
    points = read_trials(found)

    assert [point["precision"] for point in points[:3]] == ["float32", "int8", "int8, 4-bit table"]
    assert points[:3] == interrupted
    assert len(points) % 3 == 0
    assert all(point["times_faster"] > 0 for point in points if not point["error"])
    report = (folder / "compression.md").read_text()
    assert all(f"| {point['trial']} | {point['precision']} |" in report for point in points)
    assert report.count("<-") == 2  # one point, and the line that explains it
    assert (folder / "compression.png").read_bytes()[:4] == b"\x89PNG"


def test_second_search_goes_on_from_the_recorded_trials(found, run, capsys):
    before = read_trials(found)
    texts = ["the plot was not good .", "", "this film felt great ."]
    expected = load_classifier(found).predict_probabilities(texts)

    assert minnow.main(["export", str(run), "--out", str(found), "--force", *BUDGET]) == 0

    assert read_trials(found) == before
    assert "fine-tuning" not in capsys.readouterr().err
    np.testing.assert_array_equal(load_classifier(found).predict_probabilities(texts), expected)


def test_budget_that_cannot_be_met_names_the_nearest_and_writes_nothing(found, run, capsys):
    unmet = ["--max-size", "14kB", "--max-drop", "-101", "--max-trials", "1", "--force"]
    before = (found / "manifest.json").read_bytes()

    assert minnow.main(["export", str(run), "--out", str(found), *unmet]) == 1

    message = capsys.readouterr().err.splitlines()[-1]
    assert "bundles keeps the budget; the nearest is " in message
    assert "No bundle was written" in message
    assert (found / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("speed", [["--min-speedup", "1000"], ["--max-latency-ms", "0.0001"]])
def test_plan_that_is_too_slow_is_not_trained(run, tmp_path, capsys, speed):
    out = tmp_path / "small"
    arguments = ["export", str(run), "--out", str(out), "--max-trials", "1", *BUDGET, *speed]

    assert minnow.main(arguments) == 1

    told = capsys.readouterr().err
    slow = [line.split("-")[1] for line in told.splitlines() if "before any training" in line]
    # A plan that is not trained is no trial, and what is wider need not be measured.
    assert len(slow) > 1
    assert slow == sorted(set(slow), reverse=True)
    assert "fine-tuning" not in told
    assert not out.exists()
    report = (tmp_path / "small.compression" / "compression.md").read_text()
    assert "NOT met" in report


def test_size_that_no_plan_reaches_is_refused_before_training(run, found, capsys):
    arguments = ["export", str(run), "--out", str(found), "--force", "--max-size", "1kB"]

    assert minnow.main(arguments) == 1

    message = capsys.readouterr().err.splitlines()[-1]
    assert "can have 0.001 MB: the smallest would have 0.0" in message
    assert message.endswith("Nothing was trained.")


@pytest.mark.parametrize(
    ("text", "size_bytes"), [("1MB", 10**6), ("0.35mb", 350_000), ("350kB", 350_000), ("9b", 9)]
)
def test_size_has_a_unit(text, size_bytes):
    arguments = ["export", "run", "--out", "bundle", "--max-size", text]

    assert minnow.build_parser().parse_args(arguments).max_size == size_bytes


@pytest.mark.parametrize("text", ["1", "MB", "0kB", "1GB", "1 M"])
def test_size_without_unit_is_wrong_usage(text, capsys):
    with pytest.raises(SystemExit, match="2"):
        minnow.main(["export", "run", "--out", "bundle", "--max-size", text])

    assert "is no size, wanted one such as 1MB or 350kB" in capsys.readouterr().err


def change_metadata(run: Path, tmp_path: Path, change) -> Path:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    metadata = json.loads((copy / "metadata.json").read_text())
    change(metadata)
    (copy / "metadata.json").write_text(json.dumps(metadata))
    return copy


def lose_data(metadata):
    metadata["data"]["train"]["path"] += ".gone"


def change_data(metadata):
    metadata["data"]["train"]["sha256"] = "0" * 64


def guess(metadata):
    metadata["metrics"]["dev"]["accuracy"] = 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lose_data, "reviews.csv.gone: no such file. The search trains on the rows of"),
        (change_data, "was trained on 0000"),
        (guess, "no better than always the most frequent label"),
    ],
)
def test_run_that_cannot_teach_is_refused_before_anything(run, tmp_path, change, message, capsys):
    copy = change_metadata(run, tmp_path, change)

    status = minnow.main(["export", str(copy), "--out", str(tmp_path / "b"), "--max-size", "1MB"])

    assert status == 1
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_default_recipe_gives_up_words_and_phrases(tmp_path):
    from tests.helpers.tiny_run import write_tiny_data
    from training.recipes import wide_deep
    from training.train import Sources, train_run

    settings = dataclasses.replace(
        wide_deep.SETTINGS, embedding_dim=8, units=(8,), table_bytes=2**15, epochs=2, min_steps=0
    )
    run = train_run(Sources(write_tiny_data(tmp_path)), tmp_path / "run", settings)
    whole, small = tmp_path / "whole", tmp_path / "small"
    assert minnow.main(["export", str(run.folder), "--out", str(whole)]) == 0
    max_size = size_of(whole) - 12_000
    budget = ["--max-size", f"{max_size}B", "--max-drop", "60", "--fine-tune-epochs", "1"]

    assert minnow.main(["export", str(run.folder), "--out", str(small), *budget]) == 0

    assert size_of(small) <= max_size
    classifier = load_classifier(small)
    compression = classifier.manifest.provenance["compression"]
    assert compression["parameters"] < compression["parameters_before"]
