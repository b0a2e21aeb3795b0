"""The search: a tiny run, trained, pruned, tuned and exported for real."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from export.compress import trials
from export.compress.points import Budget
from export.compress.search import compress_run
from export.errors import ExportError
from export.export import export_run
from handler.inference.classifier import load_classifier
from tests.helpers.tiny_run import SETTINGS, write_tiny_data
from training.errors import DataError, RunError
from training.run_folder import read_run

pytestmark = pytest.mark.slow
BUDGET = Budget(max_size_bytes=14_000, max_drop=60)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of wider layers than `tiny_run`: its weights are most of its bytes."""
    from training.rows.data import Sources
    from training.train import train_run

    folder = tmp_path_factory.mktemp("compression")
    settings = dataclasses.replace(
        SETTINGS, embedding_dim=32, units=(32, 32), epochs=14, patience=14
    )
    return train_run(Sources(write_tiny_data(folder)), folder / "run", settings).folder


@pytest.fixture(scope="module")
def interrupted(run) -> list[dict]:
    """The points of a search that was stopped in its first fine-tuning."""

    def interrupt(*_):
        raise KeyboardInterrupt

    out = run.parent / "small"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trials, "fine_tune", interrupt)
        with pytest.raises(KeyboardInterrupt):
            compress_run(run, out, BUDGET, fine_tune_epochs=1)
    assert not out.exists()
    return read_trials(out)


@pytest.fixture(scope="module")
def found(run, interrupted) -> Path:
    out = run.parent / "small"
    compress_run(run, out, BUDGET, fine_tune_epochs=1)
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
    compression = manifest.provenance["compression"]
    assert compression["width"] < 1
    assert (compression["teacher_share"], compression["epochs"]) == (0.7, 1)


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
    assert "| trial | precision | MB | accuracy |" in report
    assert (folder / "compression.png").read_bytes()[:4] == b"\x89PNG"


def test_pruned_run_is_a_run_without_what_its_making_left(found):
    folder = found.with_name("small.compression")
    pruned = next(path for path in folder.iterdir() if path.name.startswith("width-"))

    assert sorted(path.name for path in pruned.iterdir()) == [
        "metadata.json",
        "model.keras",
        "reference.npz",
        "tokenizer.json",
    ]
    rows, outputs = read_run(pruned).reference()
    assert outputs.shape == (len(rows), 2)


def test_second_search_goes_on_from_the_recorded_trials(found, run, capsys):
    before = read_trials(found)
    texts = ["the plot was not good .", "", "this film felt great ."]
    expected = load_classifier(found).predict_outputs(texts)

    compress_run(run, found, BUDGET, fine_tune_epochs=1, force=True)

    assert read_trials(found) == before
    assert "fine-tuning" not in capsys.readouterr().err
    np.testing.assert_array_equal(load_classifier(found).predict_outputs(texts), expected)


def test_budget_that_cannot_be_met_names_the_nearest_and_writes_nothing(found, run):
    unmet = dataclasses.replace(BUDGET, max_drop=-101, max_trials=1)
    before = (found / "manifest.json").read_bytes()

    with pytest.raises(ExportError, match="bundles keeps the budget; the nearest is ") as caught:
        compress_run(run, found, unmet, fine_tune_epochs=1, force=True)

    assert "No bundle was written" in str(caught.value)
    assert (found / "manifest.json").read_bytes() == before


def test_nearest_bundle_is_written_where_that_is_wanted(found, run, tmp_path):
    # The trials are those of `found`; only the place for the bundle is another.
    shutil.copytree(found.with_name("small.compression"), tmp_path / "near.compression")
    unmet = dataclasses.replace(BUDGET, max_drop=-101, max_trials=1)

    metrics = compress_run(
        run,
        tmp_path / "near",
        unmet,
        fine_tune_epochs=1,
        best_effort=True,
        evaluate=lambda classifier: {"labels": len(classifier.task.labels)},
    )

    assert metrics["bundle"] == {"labels": 2}
    assert load_classifier(tmp_path / "near").manifest.metrics["bundle"] == {"labels": 2}


@pytest.mark.parametrize("speed", [{"min_speedup": 1000}, {"max_latency_ms": 0.0001}])
def test_plan_that_is_too_slow_is_not_trained(run, tmp_path, capsys, speed):
    out = tmp_path / "small"

    with pytest.raises(ExportError, match="bundles keeps the budget"):
        compress_run(run, out, dataclasses.replace(BUDGET, max_trials=1, **speed))

    told = capsys.readouterr().err
    slow = [line.split("-")[1] for line in told.splitlines() if "before any training" in line]
    # A plan that is not trained is no trial, and what is wider need not be measured.
    assert len(slow) > 1
    assert slow == sorted(set(slow), reverse=True)
    assert "fine-tuning" not in told
    assert not out.exists()
    report = (tmp_path / "small.compression" / "compression.md").read_text()
    assert "NOT met" in report


def test_size_that_no_plan_reaches_is_refused_before_training(run, found):
    with pytest.raises(ExportError) as caught:
        compress_run(run, found, Budget(1000, max_drop=0.3), force=True)

    assert "can have 0.001 MB: the smallest would have 0.0" in str(caught.value)
    assert str(caught.value).endswith("Nothing was trained.")


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
        (lose_data, "reviews.csv.gone: no such file. .*/run was trained on its rows, which"),
        (change_data, "was trained on 0000"),
        (guess, "no better than one answer for every text"),
    ],
)
def test_run_that_cannot_teach_is_refused_before_anything(run, tmp_path, change, message):
    copy = change_metadata(run, tmp_path, change)

    with pytest.raises(DataError, match=message):
        compress_run(copy, tmp_path / "b", Budget(10**6, max_drop=0.3))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_default_recipe_gives_up_words_and_phrases(tmp_path):
    from training.recipes import wide_deep
    from training.rows.data import Sources
    from training.train import train_run

    settings = dataclasses.replace(
        wide_deep.SETTINGS, embedding_dim=8, units=(8,), table_bytes=2**15, epochs=2, min_steps=0
    )
    run = train_run(Sources(write_tiny_data(tmp_path)), tmp_path / "run", settings)
    whole, small = tmp_path / "whole", tmp_path / "small"
    export_run(run.folder, whole)
    max_size_bytes = round(0.8 * size_of(whole))

    compress_run(run.folder, small, Budget(max_size_bytes, max_drop=60), fine_tune_epochs=1)

    assert size_of(small) <= max_size_bytes
    classifier = load_classifier(small)
    compression = classifier.manifest.provenance["compression"]
    assert compression["parameters"] < compression["parameters_before"]
    # The run has learned from its development rows: the figures are those of models that have not.
    assert run.is_cross_validated
    assert classifier.manifest.provenance["cross_validated"]
    whole_point = read_trials(small)[0]
    score = run.metadata["metrics"]["dev"]["accuracy"]
    assert (whole_point["score"], whole_point["drop"]) == (score, 0)
    assert "cross-validation" in (tmp_path / "small.compression" / "compression.md").read_text()


def test_cross_validated_run_without_its_held_out_rows_is_refused(run, tmp_path):
    copy = change_metadata(run, tmp_path, lambda metadata: metadata.update(cross_validated=True))

    with pytest.raises(RunError, match=r"run/held_out\.npz: cannot be read .*Train again"):
        compress_run(copy, tmp_path / "b", Budget(10**6, max_drop=0.3))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
