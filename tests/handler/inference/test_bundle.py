"""A bundle that is not what was exported must not serve; the message names the file."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from handler.errors import ArtefactError
from handler.inference.bundle import read_bundle
from handler.inference.classifier import load_classifier
from handler.inference.manifest import Card


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
    assert list(bundle.tokenizer.word_ids) == ["[PAD]", "[UNK]", "good", "bad", "film"]
    files = [tiny_bundle / name for name in ("model.onnx", "tokenizer.json.gz")]
    assert bundle.size_bytes == sum(path.stat().st_size for path in files)
    assert bundle.manifest.task.describe() == {
        "kind": "single-label",
        "labels": ["pos", "neg"],
    }
    assert bundle.manifest.max_length == 8


def test_a_card_is_read_and_may_be_absent_or_partial(bundle):
    assert read_bundle(bundle).manifest.card == Card()

    change_manifest(bundle, card={"summary": "good or bad?", "known_failures": ["irony"]})

    assert read_bundle(bundle).manifest.card == Card("good or bad?", known_failures=("irony",))


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (None, "card is null, wanted an object of summary, data"),
        ([], "card is an array of 0, wanted an object"),
        ({"summary": 1}, "card.summary is 1, wanted a text"),
        ({"known_failures": "irony"}, "card.known_failures is 'irony', wanted an array"),
        ({"sumary": "good"}, "card has the field 'sumary', wanted summary, data"),
    ],
)
def test_a_card_of_a_wrong_type_is_named(bundle, card, message):
    change_manifest(bundle, card=card)

    assert_refused(bundle, "manifest.json", message)


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

    assert_refused(bundle, "model.onnx", r"is no regular file \(drwx")


@pytest.mark.parametrize(
    ("found", "shown"), [(4, "4"), (0, "0"), ("5", "'5'"), (None, "null"), (True, "true")]
)
def test_other_format_version_is_refused(bundle, found, shown):
    change_manifest(bundle, format_version=found)

    assert_refused(
        bundle, "manifest.json", f"format_version is {shown}, this build reads 5. Export the model"
    )


@pytest.mark.parametrize("content", [b'{"format_version": 1', b"\xff\xfe\x00", b"[" * 9_000])
def test_broken_json_is_refused(bundle, content):
    (bundle / "manifest.json").write_bytes(content)

    assert_refused(
        bundle, "manifest.json", "(not JSON|is nested too deep to be read). Export the model again:"
    )


@pytest.mark.parametrize("content", ["[]", "null", "3"])
def test_json_that_is_no_object_is_refused(bundle, content):
    (bundle / "manifest.json").write_text(content)

    assert_refused(bundle, "manifest.json", "format_version is null, this build reads 5")


@pytest.mark.parametrize("field", ["task", "golden", "files", "max_length", "precision"])
def test_missing_field_is_named(bundle, field):
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    del document[field]
    path.write_text(json.dumps(document))

    assert_refused(bundle, "manifest.json", f"{field} is missing. Export the model again:")


def test_file_that_the_manifest_does_not_list_is_named(bundle):
    change_manifest(bundle, files={"model.onnx": {"sha256": "0" * 64, "size_bytes": 1}})

    assert_refused(bundle, "manifest.json", "files.tokenizer.json.gz is missing")


def test_a_field_that_the_format_does_not_have_is_named(bundle):
    change_manifest(bundle, max_lenght=8)

    assert_refused(bundle, "manifest.json", "it has the field 'max_lenght', wanted format_version,")


def test_wrong_golden_outputs_are_refused(bundle):
    golden = {"text": "good film", "outputs": [0.5, 0.5], "atol": 0.01}
    change_manifest(bundle, golden=golden)

    assert_refused(
        bundle, "manifest.json", r"the golden text's outputs are off by 0\.3808, at most 0\.01"
    )


def test_golden_that_is_not_a_number_is_refused(bundle):
    change_manifest(bundle, golden={"text": "good", "outputs": [np.nan] * 2, "atol": 0.01})

    assert_refused(bundle, "manifest.json", "holds NaN, wanted finite numbers")


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"kind": "telepathy"}, "the task is 'telepathy', this build knows single-label.*Export"),
        ({"kind": "single-label"}, "task.labels is missing"),
        ({"kind": "single-label", "labels": ["a"], "x": 1}, "task has the field 'x', wanted kind,"),
        (["a", "b"], "the task is null, this build knows single-label"),
    ],
)
def test_a_task_that_this_build_does_not_know_is_named(bundle, task, message):
    change_manifest(bundle, task=task)

    assert_refused(bundle, "manifest.json", message)


def test_a_task_of_another_width_than_the_model_is_refused(bundle):
    change_manifest(
        bundle,
        task={"kind": "single-label", "labels": ["a", "b", "c"]},
        golden={"text": "good film", "outputs": [0.8, 0.1, 0.1], "atol": 0.01},
    )

    assert_refused(bundle, "model.onnx", r"the graph has .*float\) \[\*, 2\].* wanted token_ids")


def test_a_precision_that_this_build_does_not_know_is_named(bundle):
    change_manifest(bundle, precision="float16")

    assert_refused(
        bundle, "manifest.json", "precision is 'float16', wanted 'int8' or 'float32'. Export"
    )
