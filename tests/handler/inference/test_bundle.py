"""A bundle that is not what was exported must not serve; the message names the file."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from handler.errors import ArtefactError
from handler.inference.bundle import Card, read_bundle
from handler.inference.classifier import load_classifier


@pytest.fixture
def bundle(tiny_bundle, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def change_manifest(bundle: Path, **fields) -> None:
    path = bundle / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def assert_refused(bundle: Path, name: str, message: str) -> None:
    with pytest.raises(ArtefactError, match=re.escape(f"{bundle / name}: ") + message):
        load_classifier(bundle)


def test_intact_bundle_is_read_whole(tiny_bundle):
    bundle = read_bundle(tiny_bundle)

    assert bundle.model == (tiny_bundle / "model.onnx").read_bytes()
    assert bundle.tokenizer == (tiny_bundle / "tokenizer.json.gz").read_bytes()
    assert bundle.manifest.task.describe() == {
        "kind": "single-label",
        "labels": ["pos", "neg"],
    }
    assert bundle.manifest.max_length == 8


def test_a_card_is_read_and_may_be_absent_or_partial(bundle):
    assert read_bundle(bundle).manifest.card == Card()

    change_manifest(bundle, card={"summary": "good or bad?", "known_failures": ["irony"], "x": 1})

    assert read_bundle(bundle).manifest.card == Card("good or bad?", known_failures=("irony",))


@pytest.mark.parametrize("card", [None, [], "text", {"summary": 1}, {"known_failures": "irony"}])
def test_a_card_of_a_wrong_type_is_named(bundle, card):
    change_manifest(bundle, card=card)

    assert_refused(bundle, "manifest.json", "(card wants |the card's )")


def test_a_card_may_hold_texts_to_try(bundle):
    change_manifest(bundle, card={"examples": ["Good film!", "Bad."]})

    assert read_bundle(bundle).manifest.card.examples == ("Good film!", "Bad.")


NAMES = [
    "acme/reviews",
    "reviews:v2",
    "a b",
    "",
    ".",
    "..",
    "-x",
    "caf\u00e9",
    "a\n",
    "a" * 129,
    7,
    None,
]


@pytest.mark.parametrize("field", ["name", "version"])
@pytest.mark.parametrize("value", NAMES, ids=ascii)
def test_a_name_that_cannot_stand_in_an_address_is_not_loaded(bundle, field, value):
    change_manifest(bundle, **{field: value})

    assert_refused(bundle, "manifest.json", f"the model's {field} is ")


@pytest.mark.parametrize("value", ["a", "Reviews-2.1_final", "1.0", "a" * 128])
def test_a_name_of_letters_digits_and_signs_is_loaded(bundle, value):
    change_manifest(bundle, name=value, version=value)

    assert read_bundle(bundle).manifest.name == value


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json.gz"])
def test_changed_file_is_named(bundle, name):
    path = bundle / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    assert_refused(bundle, name, "sha256 is [0-9a-f]{64}, the manifest says [0-9a-f]{64}. The file")


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json.gz"])
def test_truncated_file_is_named(bundle, name):
    path = bundle / name
    path.write_bytes(path.read_bytes()[:-1])

    assert_refused(bundle, name, "sha256 is ")


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json.gz", "manifest.json"])
def test_missing_file_is_named(bundle, name):
    (bundle / name).unlink()

    assert_refused(bundle, name, "no such file. A bundle is made by: minnow export")


def test_missing_folder_is_named(tmp_path):
    assert_refused(tmp_path / "nowhere", "manifest.json", "no such file")


def test_folder_in_the_place_of_a_file_is_named(bundle):
    (bundle / "model.onnx").unlink()
    (bundle / "model.onnx").mkdir()

    assert_refused(bundle, "model.onnx", r"cannot be read \(Is a directory\)")


@pytest.mark.parametrize("found", [2, 0, "3", None])
def test_other_format_version_is_refused(bundle, found):
    change_manifest(bundle, format_version=found)

    assert_refused(
        bundle, "manifest.json", f"format_version is {found}, this build reads 3. Export the model"
    )


@pytest.mark.parametrize("content", [b"", b'{"format_version": 1', b"\xff\xfe\x00"])
def test_broken_json_is_refused(bundle, content):
    (bundle / "manifest.json").write_bytes(content)

    assert_refused(bundle, "manifest.json", "not JSON. Export the model again.")


@pytest.mark.parametrize("content", ["[]", "null", "3"])
def test_json_that_is_no_object_is_refused(bundle, content):
    (bundle / "manifest.json").write_text(content)

    assert_refused(bundle, "manifest.json", "format_version is None, this build reads 3")


@pytest.mark.parametrize("field", ["task", "golden", "files", "max_length", "precision"])
def test_missing_field_is_named(bundle, field):
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    del document[field]
    path.write_text(json.dumps(document))

    assert_refused(bundle, "manifest.json", f"field '{field}' is missing or of the wrong type")


def test_file_that_the_manifest_does_not_list_is_named(bundle):
    change_manifest(bundle, files={"model.onnx": {"sha256": "0" * 64}})

    assert_refused(bundle, "manifest.json", "field 'tokenizer.json.gz' is missing")


def test_wrong_golden_outputs_are_refused(bundle):
    golden = {"text": "good film", "outputs": [0.5, 0.5], "atol": 0.01}
    change_manifest(bundle, golden=golden)

    with pytest.raises(
        ArtefactError,
        match=r"^manifest.json: the golden text's outputs are off by 0\.3808, at most 0\.01",
    ):
        load_classifier(bundle)


def test_golden_that_is_not_a_number_is_refused(bundle):
    change_manifest(bundle, golden={"text": "good", "outputs": [np.nan] * 2, "atol": 0.01})

    with pytest.raises(ArtefactError, match="^manifest.json: the golden text's outputs"):
        load_classifier(bundle)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"kind": "telepathy"}, "the task is 'telepathy', this build knows single-label. Export"),
        ({"kind": "single-label"}, "the task single-label has other fields than it should"),
        ({"kind": "single-label", "labels": ["a"], "x": 1}, "the task single-label has other"),
        (["a", "b"], "field .* is missing or of the wrong type"),
    ],
)
def test_a_task_that_this_build_does_not_know_is_named(bundle, task, message):
    change_manifest(bundle, task=task)

    assert_refused(bundle, "manifest.json", message)


def test_a_task_of_another_width_than_the_model_is_refused(bundle):
    change_manifest(bundle, task={"kind": "single-label", "labels": ["a", "b", "c"]})

    with pytest.raises(ArtefactError, match="the model has 2 outputs.* the task 3"):
        load_classifier(bundle)


def test_a_precision_that_this_build_does_not_know_is_named(bundle):
    change_manifest(bundle, precision="float16")

    assert_refused(
        bundle, "manifest.json", "precision is 'float16', this build knows int8, float32. Export"
    )
