import hashlib
import json

import pytest

from export.inspection import format_inspection, inspect_bundle
from handler.inference.bundle import read_bundle
from minnow.cli import main


@pytest.fixture(scope="module")
def found(tiny_bundle):
    return inspect_bundle(read_bundle(tiny_bundle))


def test_every_byte_is_told(found, tiny_bundle):
    sizes = found["size_bytes"]

    assert sizes["weights"] + sizes["graph"] == (tiny_bundle / "model.onnx").stat().st_size
    assert sizes["tokenizer"] == (tiny_bundle / "tokenizer.json.gz").stat().st_size
    (logits,) = found["tensors"]
    assert logits == {
        "name": "logits",
        "type": "FLOAT",
        "shape": [5, 2],
        "size_bytes": 40,
        "read_by": ["Gather"],
    }


def test_nodes_have_their_time_slowest_first(found):
    times = [node["ms"] for node in found["nodes"]]

    assert sorted(node["operator"] for node in found["nodes"]) == ["Gather", "ReduceSum", "Softmax"]
    assert times == sorted(times, reverse=True)
    assert 0 < max(times) <= found["latency_ms"]


def test_operators_limits_and_provenance_are_told(found):
    assert found["operators"] == {"Constant": 1, "Gather": 1, "ReduceSum": 1, "Softmax": 1}
    assert found["limits"] == {"max_length": 8, "precision": "float32"}
    assert found["provenance"] == {"command": "python -m tests.helpers.tiny_bundle"}
    text = format_inspection(found)
    assert text.startswith("tiny, version 1: single-label, labels pos, neg\nreads 8 tokens at most")
    assert "FLOAT [5, 2] logits for Gather" in text


def test_lists_of_numbers_in_a_task_are_told(found):
    task = {"kind": "ranking", "labels": ["a", "b"], "thresholds": [0.5, 0.25], "scale": 2.0}

    text = format_inspection(found | {"task": task})

    assert text.startswith("tiny, version 1: ranking, labels a, b, thresholds 0.5, 0.25, scale 2.0")


def test_command_prints_one_object(tiny_bundle, capsys):
    assert main(["inspect", str(tiny_bundle), "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    manifest = (tiny_bundle / "manifest.json").read_bytes()
    assert found["task"] == {"kind": "single-label", "labels": ["pos", "neg"]}
    assert found["bundle_sha256"] == hashlib.sha256(manifest).hexdigest()


def test_folder_that_is_no_bundle_is_refused(tmp_path, capsys):
    assert main(["inspect", str(tmp_path)]) == 1

    assert "manifest.json: no such file" in capsys.readouterr().err
