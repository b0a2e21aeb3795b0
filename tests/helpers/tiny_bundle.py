"""Writes `tests/tiny_bundle/`: a classifier small enough to compute by hand.

Each word adds its row of logits; softmax of the sum. "good film" -> softmax(2, 0) = (0.88, 0.12).
Committed, because `tests/handler` also runs where `onnx` is not installed.

Run: python -m tests.helpers.tiny_bundle
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from export.tokenizer_file import pack_tokenizer
from training.tokenizer import format_tokenizer, make_tokenizer

FOLDER = Path(__file__).parents[1] / "tiny_bundle"
LOGITS = {"[PAD]": (0, 0), "[UNK]": (0, 0), "good": (2, 0), "bad": (0, 2), "film": (0, 0)}
MAX_LENGTH = 8
GRAPH = """
<ir_version: 10, opset_import: ["" : 18]>
tiny (int32[batch, length] token_ids) => (float[batch, 2] outputs)
{
    axes = Constant <value_ints = [1]> ()
    rows = Gather (logits, token_ids)
    sums = ReduceSum <keepdims = 0> (rows, axes)
    outputs = Softmax <axis = -1> (sums)
}
"""


def write_tiny_bundle(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    model = onnx.parser.parse_model(GRAPH)
    logits = np.array(list(LOGITS.values()), np.float32)
    model.graph.initializer.append(numpy_helper.from_array(logits, "logits"))
    onnx.checker.check_model(model)
    files = {
        "model.onnx": model.SerializeToString(deterministic=True),
        "tokenizer.json.gz": pack_tokenizer(
            format_tokenizer(make_tokenizer(list(LOGITS), MAX_LENGTH))
        ),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "manifest.json").write_text(json.dumps(make_manifest(files), indent=2) + "\n")


def make_manifest(files: dict[str, bytes]) -> dict:
    winning = 1 / (1 + np.exp(-2.0))
    return {
        "format_version": 5,
        "name": "tiny",
        "version": "1",
        "task": {"kind": "single-label", "labels": ["pos", "neg"]},
        "max_length": MAX_LENGTH,
        "pad_id": 0,
        "unknown_id": 1,
        "precision": "float32",
        "golden": {"text": "good film", "outputs": [winning, 1 - winning], "atol": 1e-6},
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
            for name, content in files.items()
        },
        "metrics": {"accuracy": 1.0},
        "provenance": {"command": "python -m tests.helpers.tiny_bundle"},
    }


if __name__ == "__main__":
    write_tiny_bundle(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
