"""Training writes, export reads and writes, the handler reads; a newer format stops at each."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from handler.errors import ArtefactError
from handler.inference.bundle import read_bundle
from handler.inference.classifier import load_classifier

pytestmark = pytest.mark.slow


def raise_format_version(path: Path) -> None:
    document = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(document | {"format_version": document["format_version"] + 1}))


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
        classifier.predict_probabilities(texts), load_predictor(run)(texts), rtol=0, atol=1e-5
    )
    predictions = classifier.predict(texts)
    assert [list(prediction.scores) for prediction in predictions] == [run.labels] * 4
    assert [prediction.truncated for prediction in predictions] == [False, False, False, True]
    assert [prediction.known_tokens for prediction in predictions] == [6, 0, 0, 32]


def test_export_reads_what_training_wrote(tiny_run):
    from export.run_reader import read_run as read_for_export
    from training.run_folder import read_run

    run = read_for_export(tiny_run)

    assert run.metadata == read_run(tiny_run).metadata
    assert run.tokenizer == (tiny_run / "tokenizer.json").read_bytes()
    assert run.token_ids.dtype == np.int32
    assert run.probabilities.shape == (len(run.token_ids), len(run.metadata["labels"]))


def test_rooms_agree_on_the_format_versions():
    from export.run_reader import FORMAT_VERSION as read_by_export
    from training.run_folder import FORMAT_VERSION as written_by_training

    assert read_by_export == written_by_training


def test_newer_run_is_refused_by_training_and_by_export(tiny_run, tmp_path):
    from export.errors import ExportError
    from export.export import export_run
    from training.errors import RunError
    from training.run_folder import read_run

    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    raise_format_version(run / "metadata.json")
    message = r"run/metadata\.json: format_version is 2, this build reads 1\. Train again\."

    with pytest.raises(RunError, match=message):
        read_run(run)
    with pytest.raises(ExportError, match=message):
        export_run(run, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_newer_bundle_is_refused_by_the_handler(exported, tmp_path):
    bundle = Path(shutil.copytree(exported, tmp_path / "bundle"))
    raise_format_version(bundle / "manifest.json")

    with pytest.raises(
        ArtefactError, match=r"manifest\.json: format_version is 3, this build reads 2\. Export"
    ):
        read_bundle(bundle)
