"""A folder from anywhere: what is no bundle of ours is refused in one line, soon, in little memory.

A process of its own tries to load every hostile bundle; a hang or a crash costs those after it.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from handler.errors import ArtefactError
from handler.inference.bundle import read_bundle
from handler.inference.classifier import load_classifier
from handler.inference.trust import Trust
from tests.helpers.hostile import MANIFEST, MODEL, TOKENIZER, change, read_manifest, replace_file
from tests.helpers.hostile_bundles import list_hostile
from tests.helpers.onnx_bytes import graph, integer, message, model, node, tensor
from tests.helpers.paths import ROOT

CASES = {case.name: case for case in list_hostile()}
QUICK = [name for name, case in CASES.items() if not case.is_slow]
SLOW = [name for name, case in CASES.items() if case.is_slow]
# What is promised, where the machine has nothing else to do; on a busy one it takes longer.
MAX_PROCESSOR_S, MAX_SECONDS = 2, 20
MAX_BYTES = 200_000_000
MAX_CHARACTERS = 600
MAX_ADDRESSES = 8 << 30  # of the process: a bomb must not take the machine with it
TIMEOUT_S = 300


def try_all(folder: Path, *which: str) -> dict[str, dict]:
    """Return name -> what became of the bundle, of all before one that hung or crashed."""
    command = [sys.executable, "-m", "tests.helpers.hostile_bundles", str(folder), *which]
    limits = (MAX_ADDRESSES, MAX_ADDRESSES)
    with (folder / "found.jsonl").open("w+") as out:
        subprocess.run(
            command,
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_S,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limits),  # noqa: PLW1509
        )
        out.seek(0)
        lines = [json.loads(line) for line in out]
    return {line["name"]: line for line in lines}


@pytest.fixture(scope="module")
def quick(tmp_path_factory) -> dict[str, dict]:
    return try_all(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def slow(tmp_path_factory) -> dict[str, dict]:
    return try_all(tmp_path_factory.mktemp("slow"), "slow")


def assert_refused(found: dict, file: str) -> None:
    kind, _, text = found["found"].partition(": ")
    assert kind in ("ArtefactError", "MissingArtefactError"), found
    assert text.isprintable(), found
    assert len(text) < MAX_CHARACTERS, found
    assert file in text, found
    assert text.endswith(".") or "minnow export" in text, found  # a sentence, or what to do
    assert found["processor_s"] < MAX_PROCESSOR_S, found
    assert found["seconds"] < MAX_SECONDS, found
    assert found["bytes"] < MAX_BYTES, found


def test_there_are_hundreds_of_hostile_bundles():
    assert len(CASES) == len(list(list_hostile())) > 800


@pytest.mark.parametrize("name", QUICK, ids=ascii)
def test_a_hostile_bundle_is_refused(quick, name):
    assert_refused(quick[name], CASES[name].file)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_a_bomb_is_refused(slow, name):
    # Either is right, as the memory or the time of loading or of the first run ends.
    assert_refused(slow[name], "")
    assert MODEL in slow[name]["found"] or MANIFEST in slow[name]["found"] or "tokenizer" in name


@pytest.fixture
def bundle(tiny_bundle, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


LABELS = [
    "\u0645\u062b\u0628\u062a",  # Arabic
    "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with a joiner
    "\U0001f469\u200d\U0001f4bb",  # an emoji of two
    "\U0001fa8e\ufe0f",  # newer than the tables of some Python
    "e\u0301t\u00e9",
    "a\u00a0b",
    "p" * 256,
    "</script>",
]


@pytest.mark.parametrize("label", LABELS, ids=ascii)
def test_a_label_that_people_can_read_is_accepted(bundle, label):
    change(("task", "labels", 0), label)(bundle)

    (prediction,) = load_classifier(bundle).predict(["good film"])

    assert read_bundle(bundle).manifest.task.cells(prediction.outputs)[0] == label


@pytest.mark.parametrize("name", [MANIFEST, MODEL, TOKENIZER])
def test_a_link_to_a_file_is_followed(bundle, name):
    (bundle / name).rename(bundle / "content")
    (bundle / name).symlink_to("content")

    assert load_classifier(bundle).manifest.name == "tiny"


def test_what_is_written_byte_by_byte_is_the_tiny_bundle(bundle, tiny_classifier):
    """What the hostile graphs are made from is accepted, so each is refused for its change."""
    replace_file(bundle, MODEL, model(graph()))

    texts = ["good film", "", "bad bad"]
    assert load_classifier(bundle).predict(texts) == tiny_classifier.predict(texts)


def test_typed_and_empty_tensors_are_accepted(bundle):
    typed = message(5, tensor("typed", (3,), (), message(7, b"\1\2\3"), kind=7))
    empty = message(5, tensor("empty", (0,)))
    replace_file(bundle, MODEL, model(graph(typed, empty, node("Add", "sums sums", "unused"))))

    assert load_classifier(bundle).predict(["good"])


@pytest.mark.slow
def test_a_model_with_a_flipped_bit_is_refused_or_answers(bundle, tiny_bundle):
    """With the hash made right again: the graph, its weights, names that no one reads."""
    intact = (tiny_bundle / MODEL).read_bytes()
    texts = ["good film", "bad", "", "zebra film good"]
    accepted = 0

    for index in range(len(intact)):
        flipped = bytearray(intact)
        flipped[index] ^= 1 << index % 8
        replace_file(bundle, MODEL, bytes(flipped))
        try:
            classifier = load_classifier(bundle)
        except ArtefactError as error:
            assert str(error).isprintable()  # noqa: PT017
            continue
        accepted += 1
        assert all(sum(row.outputs) == pytest.approx(1) for row in classifier.predict(texts))

    assert accepted < len(intact) / 2


@pytest.mark.parametrize("pinned", [("0" * 64,), ("0" * 64, "f" * 64)])
def test_a_manifest_of_another_hash_than_the_pinned_is_refused(bundle, pinned):
    found = read_bundle(bundle).sha256

    with pytest.raises(
        ArtefactError,
        match=f"manifest.json: sha256 is {found}, MINNOW_BUNDLE_SHA256 wants {' or '.join(pinned)}",
    ):
        load_classifier(bundle, trust=Trust(sha256=pinned))


def test_a_pinned_manifest_is_read_and_any_change_of_it_refused(bundle):
    pinned = (read_bundle(bundle).sha256, "0" * 64)

    assert load_classifier(bundle, trust=Trust(sha256=pinned)).manifest.name == "tiny"
    document = read_manifest(bundle)
    change(("name",), document["name"])(bundle)  # the same fields, other blanks

    with pytest.raises(ArtefactError, match="MINNOW_BUNDLE_SHA256"):
        load_classifier(bundle, trust=Trust(sha256=pinned))


def test_a_file_that_grows_while_it_is_read_is_refused(bundle, monkeypatch):
    path, fstat = bundle / MODEL, os.fstat

    def grow(descriptor):
        found = fstat(descriptor)
        with path.open("ab") as file:
            file.write(b"more")
        return found

    monkeypatch.setattr("handler.inference.bundle.os.fstat", grow)
    with pytest.raises(ArtefactError, match="has another size while it is read"):
        read_bundle(bundle)


def test_names_of_nodes_come_into_no_line(bundle, capfd):
    """ONNX Runtime's own lines would hold them, escapes of terminals included."""
    hidden = node("Softmax", "sums", "outputs", integer("axis", 7))
    replace_file(bundle, MODEL, model(graph(nodes=(hidden,))))

    with pytest.raises(ArtefactError):
        load_classifier(bundle)

    assert capfd.readouterr() == ("", "")
