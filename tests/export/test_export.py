"""From a run to a bundle, or to nothing."""

import json
import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from export import export as export_module
from export.bundle_writer import read_card
from export.errors import ExportError
from export.export import ExportSettings, convert_run, export_run
from export.verify import Tolerance
from handler.inference.classifier import load_classifier
from handler.inference.tasks import SingleLabel
from training.errors import RunError
from training.run_folder import read_run

pytestmark = pytest.mark.slow


@pytest.fixture
def run_copy(tiny_run, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def spoil_reference(run: Path, row: int) -> None:
    """Turn the outputs of `row` around."""
    with np.load(run / "reference.npz") as arrays:
        stored = dict(arrays)
    outputs = stored["outputs"]
    outputs[row] = (1.0, 0.0) if outputs[row, 0] < 0.5 else (0.0, 1.0)
    np.savez(run / "reference.npz", **stored)


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_bundle_loads_and_computes_what_keras_computed(tiny_run, tmp_path, precision):
    out = tmp_path / "bundle"

    metrics = export_run(tiny_run, out, ExportSettings(precision, name="tiny", version="7"))

    classifier = load_classifier(out)
    manifest = classifier.manifest
    assert sorted(snapshot(out)) == ["manifest.json", "model.onnx", "tokenizer.json.gz"]
    assert (manifest.name, manifest.version, manifest.precision) == ("tiny", "7", precision)
    assert manifest.task.describe() == {"kind": "single-label", "labels": ["neg", "pos"]}
    assert manifest.metrics["reference"] == metrics["reference"]
    assert metrics["reference"]["max_gap"] <= (1e-4 if precision == "float32" else 0.12)
    nodes = manifest.provenance["nodes"]
    assert nodes["LSTM" if precision == "float32" else "DynamicQuantizeLSTM"] == 2
    assert manifest.provenance["data"]["train"]["path"] == "reviews.csv"
    rows, expected = read_run(tiny_run).reference()
    # int8: the export's own tolerance; float32: its worst gap seen is 3e-6.
    atol = 1e-4 if precision == "float32" else 0.12
    np.testing.assert_allclose(classifier.run(rows), expected, rtol=0, atol=atol)


def test_ways_to_int8_are_verified_and_told(tiny_run, tmp_path):
    converted = convert_run(read_run(tiny_run))
    ways = {
        "full": {"reduce_range": False},
        "bytes": {"embedding_bits": 8},
        "sparse": {"sparsity": 0.3},
    }

    for name, way in ways.items():
        export_run(tiny_run, tmp_path / name, ExportSettings(**way), converted=converted)

    for name, way in ways.items():
        manifest = load_classifier(tmp_path / name).manifest
        found = {field: manifest.provenance[field] for field in way}
        assert found == way
        assert 0 < manifest.metrics["reference"]["max_gap"] <= 0.12
    models = {name: (tmp_path / name / "model.onnx").read_bytes() for name in ways}
    assert len(set(models.values())) == 3


def test_figures_of_the_finished_classifier_are_kept(tiny_run, tmp_path):
    out = tmp_path / "bundle"

    metrics = export_run(
        tiny_run, out, evaluate=lambda classifier: {"size_bytes": classifier.size_bytes}
    )

    size_bytes = load_classifier(out).size_bytes
    assert metrics["bundle"] == {"size_bytes": size_bytes}
    assert json.loads((out / "manifest.json").read_text())["metrics"]["bundle"] == metrics["bundle"]


def test_bundle_that_differs_from_the_reference_is_not_written(run_copy, tmp_path):
    spoil_reference(run_copy, row=11)

    with pytest.raises(ExportError, match=r"reference\.npz: in a batch of one row, row 11 \(\d+ "):
        export_run(run_copy, tmp_path / "bundle")

    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_tolerances_are_shares_of_what_outputs_lie_apart(run_copy, tmp_path, monkeypatch):
    monkeypatch.setattr(SingleLabel, "output_scale", 100.0)
    spoil_reference(run_copy, row=0)

    metrics = export_run(run_copy, tmp_path / "bundle")

    assert 0.4 < metrics["reference"]["max_gap"] < 1
    assert load_classifier(tmp_path / "bundle").manifest.golden.atol == 2.0


def test_failed_export_leaves_the_existing_bundle_as_it_was(run_copy, tmp_path, tiny_bundle):
    out = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    spoil_reference(run_copy, row=0)

    with pytest.raises(ExportError, match=r"row 0 \(0 tokens\) is off by 0\.\d+"):
        export_run(run_copy, out, force=True)

    assert snapshot(out) == snapshot(tiny_bundle)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "run"]


def test_force_replaces_a_bundle(tiny_run, tmp_path, tiny_bundle):
    out = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))

    export_run(tiny_run, out, force=True)

    assert load_classifier(out).manifest.name == "tiny"
    assert snapshot(out)["model.onnx"] != snapshot(tiny_bundle)["model.onnx"]


def test_existing_out_is_refused_without_force(tiny_run, tmp_path, tiny_bundle):
    out = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))

    with pytest.raises(ExportError, match=re.escape(f"{out}: exists already. Give another --out")):
        export_run(tiny_run, out)

    assert snapshot(out) == snapshot(tiny_bundle)


def test_force_does_not_replace_a_folder_that_is_no_bundle(tiny_run, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")

    with pytest.raises(ExportError, match=r"is not a bundle \(no manifest\.json\), so nothing"):
        export_run(tiny_run, tmp_path, force=True)

    assert snapshot(tmp_path) == {"notes.txt": b"mine"}


def test_force_does_not_replace_a_file(tiny_run, tmp_path):
    out = tmp_path / "notes.txt"
    out.write_text("mine")

    with pytest.raises(ExportError, match=r"is a file, wanted the name of a folder for a bundle"):
        export_run(tiny_run, out, force=True)

    assert out.read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["metadata.json", "model.keras", "reference.npz", "tokenizer.json"]
)
def test_run_with_a_missing_file_is_refused(run_copy, tmp_path, name):
    (run_copy / name).unlink()

    with pytest.raises(RunError, match=re.escape(f"{run_copy / name}: no such file")):
        export_run(run_copy, tmp_path / "bundle")

    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("metadata.json", "not JSON. Train again: minnow train"),
        ("reference.npz", r"cannot be read \(.*\). Train again: minnow train"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"{"])
def test_run_with_a_broken_file_is_refused(run_copy, tmp_path, name, message, content):
    (run_copy / name).write_bytes(content)

    with pytest.raises(RunError, match=f"{re.escape(str(run_copy / name))}: {message}"):
        export_run(run_copy, tmp_path / "bundle")

    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("outputs", [1, 3])
def test_model_of_another_width_than_its_task_is_refused(run_copy, tmp_path, outputs):
    model = keras.saving.load_model(run_copy / "model.keras", compile=False)
    head = keras.layers.Dense(outputs, activation="sigmoid")(model.layers[-2].output)
    keras.Model(model.input, head).save(run_copy / "model.keras")

    with pytest.raises(ExportError) as caught:
        export_run(run_copy, tmp_path / "bundle")

    assert str(caught.value) == (
        f"{run_copy / 'model.keras'}: its output has the shape (None, {outputs}), wanted (None, 2) "
        "of a single-label task. Train again: minnow train DATA --out RUN --force"
    )
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("name", "version", "cure"),
    [
        ("acme/reviews:v2", "1", "--name acme-reviews-v2"),
        ("film reviews", "1", "--name film-reviews"),
        ("../x", "1", "--name x"),
        ("\u043e\u0442\u0437\u044b\u0432\u044b", "1", "--name model"),
        ("reviews", "v2:latest", "--model-version v2-latest"),
        ("reviews", "", "--model-version model"),
    ],
)
def test_name_that_cannot_stand_in_an_address_is_refused(tiny_run, tmp_path, name, version, cure):
    settings = ExportSettings(name=name, version=version)

    with pytest.raises(ExportError, match=f"the model's (name|version) is .*{re.escape(cure)}$"):
        export_run(tiny_run, tmp_path / "bundle", settings)

    assert not (tmp_path / "bundle").exists()


def test_name_of_the_runs_folder_is_refused_as_well(tiny_run, tmp_path):
    run = Path(shutil.copytree(tiny_run, tmp_path / "my run"))

    with pytest.raises(ExportError, match="--name my-run$"):
        export_run(run, tmp_path / "bundle")


def test_card_is_kept_for_people(tiny_run, tmp_path):
    card = tmp_path / "card.json"
    card.write_text('{"summary": "Reviews.", "known_failures": ["irony", "two words"]}')

    export_run(tiny_run, tmp_path / "bundle", ExportSettings(card=read_card(card)))

    found = load_classifier(tmp_path / "bundle").manifest.card
    assert found.summary == "Reviews."
    assert found.known_failures == ("irony", "two words")
    assert found.terms == ""


@pytest.mark.parametrize(
    "name", ["model.keras", "tokenizer.json", "metadata.json", "reference.npz"]
)
@pytest.mark.parametrize("kept", [0, 0.5, 0.99])
def test_a_run_whose_file_is_cut_short_is_refused_in_one_line(run_copy, tmp_path, name, kept):
    path = run_copy / name
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])

    with pytest.raises(RunError, match=re.escape(f"{path}: ")) as caught:
        export_run(run_copy, tmp_path / "bundle")

    assert str(caught.value).isprintable()
    assert "rain again: minnow " in str(caught.value)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"sumary": "Reviews."}', "card has the field 'sumary', wanted summary, data, terms"),
        ('{"summary": 3}', "card.summary is 3, wanted a text."),
        ("[]", "card is an array of 0, wanted an object of summary, data"),
        ("{", "not JSON. A card is a JSON object of texts."),
    ],
)
def test_wrong_card_is_refused(tmp_path, content, message):
    card = tmp_path / "card.json"
    card.write_text(content)

    with pytest.raises(ExportError, match=re.escape(f"{card}: {message}")):
        read_card(card)


def test_word_vectors_take_8_bits_where_4_are_too_far(tiny_run, tmp_path, monkeypatch):
    verify = export_module.verify_outputs
    gaps = []

    def verify_strictly(classifier, run, tolerance):
        gap = 0.0 if gaps else -1.0
        gaps.append(verify(classifier, run, tolerance)["max_gap"])
        return verify(classifier, run, Tolerance(1.0 + gap, 1.0 + gap))

    monkeypatch.setattr(export_module, "verify_outputs", verify_strictly)

    export_run(tiny_run, tmp_path / "bundle")

    provenance = load_classifier(tmp_path / "bundle").manifest.provenance
    assert provenance["embedding_bits"] == 8
    assert len(gaps) == 2
    gaps.clear()
    with pytest.raises(ExportError, match="Try --embedding-bits 8"):
        export_run(tiny_run, tmp_path / "asked", ExportSettings(embedding_bits=4))
    assert not (tmp_path / "asked").exists()
