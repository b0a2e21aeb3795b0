"""Training writes, export reads and writes, the handler reads; another format stops at each."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from handler.errors import ArtefactError
from handler.inference.bundle import read_bundle
from handler.inference.classifier import load_classifier

pytestmark = pytest.mark.slow


def set_format_version(path: Path, version: int) -> None:
    document = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(document | {"format_version": version}))


@pytest.fixture(scope="module")
def exported(tiny_run, tmp_path_factory) -> Path:
    from export.export import ExportSettings, export_run

    out = tmp_path_factory.mktemp("bundles") / "tiny"
    export_run(tiny_run, out, ExportSettings(precision="float32"))
    return out


def test_run_bundle_and_answers_agree(tiny_run, exported):
    from training.run_folder import read_run
    from training.train import load_predictor

    run = read_run(tiny_run)
    texts = ["the plot was not good .", "", "zebra", "this film felt great . " * 20]

    classifier = load_classifier(exported)

    # 1e-5: Keras and ONNX Runtime sum the gates in another order.
    np.testing.assert_allclose(
        classifier.predict_outputs(texts), load_predictor(run)(texts), rtol=0, atol=1e-5
    )
    assert classifier.task.describe() == run.task.describe()
    predictions = classifier.predict(texts)
    assert [len(prediction.outputs) for prediction in predictions] == [2] * 4
    assert [prediction.truncated for prediction in predictions] == [False, False, False, True]
    assert [prediction.known_tokens for prediction in predictions] == [6, 0, 0, 32]


def test_the_profile_is_what_a_process_counts_of_the_same_rows(tiny_run, exported):
    from export.compress.distill import prepare_distillation
    from handler.inference.profile import make_profile
    from training.run_folder import read_run

    run = read_run(tiny_run)
    classifier = load_classifier(exported)
    texts = prepare_distillation(run, epochs=1).dev_texts

    counted = make_profile(classifier.task, texts, classifier.predict(texts)).describe()

    assert classifier.manifest.profile.describe() == run.metadata["profile"] == counted
    assert counted["rows"] == len(texts) > 0


def test_a_bundle_that_decides_otherwise_has_a_profile_of_its_own_answers(tiny_run, tmp_path):
    from export.decide import decide_run
    from training.run_folder import read_run

    run = read_run(tiny_run)

    decide_run(tiny_run, {"scope_coverage": 0.5}, tmp_path)

    before, after = (
        one.metadata["profile"]["histograms"]["label"]["counts"]
        for one in (run, read_run(tmp_path))
    )
    assert before[-1] == 0
    assert 0.3 < after[-1] / sum(after) < 0.7  # of no label: out of scope
    assert sum(before) == sum(after)


@pytest.mark.parametrize("version", [3, 6])
def test_run_of_another_format_is_refused_by_training_and_by_export(tiny_run, tmp_path, version):
    from export.export import export_run
    from training.errors import RunError
    from training.run_folder import read_run

    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    set_format_version(run / "metadata.json", version)
    message = (
        rf"metadata\.json: format_version is {version}, this build reads 5\. Train again: minnow"
    )

    with pytest.raises(RunError, match=message):
        read_run(run)
    with pytest.raises(RunError, match=message):
        export_run(run, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("version", [4, 6])
def test_bundle_of_another_format_is_refused_by_the_handler(exported, tmp_path, version):
    bundle = Path(shutil.copytree(exported, tmp_path / "bundle"))
    set_format_version(bundle / "manifest.json", version)

    with pytest.raises(
        ArtefactError,
        match=rf"manifest\.json: format_version is {version}, this build reads 5\. Export",
    ):
        read_bundle(bundle)
