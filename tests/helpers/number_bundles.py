"""Bundles of numbers, made of the tiny bundle without `onnx`: "good" adds 2, "bad" takes 2."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.helpers.hostile import MODEL, read_manifest, replace_file, write_manifest
from tests.helpers.onnx_bytes import (
    FLOAT,
    graph,
    integer,
    ints,
    message,
    model,
    node,
    tensor,
    value,
)
from tests.helpers.paths import TESTS

TINY = TESTS / "tiny_bundle"
REGRESSION = {
    "kind": "regression",
    "lowest": -3.0,
    "highest": 5.0,
    "mean": 0.5,
    "standard_deviation": 2.0,
    "clips": True,
    "interval": {"coverage": 0.9, "edges": [0.0], "radii": [1.0, 2.5]},
}
ORDINAL = {"kind": "ordinal", "labels": ["1", "2"]}
NODES = (
    node("Constant", "", "axes", ints("value_ints", [1])),
    node("Gather", "numbers token_ids", "rows"),
    node("ReduceSum", "rows axes", "outputs", integer("keepdims", 0)),
)
# In the order of the tiny bundle's vocabulary: padding, unknown, "good", "bad", "film".
NUMBERS = message(5, tensor("numbers", (5, 1), (0, 0, 2, -2, 0)))


def write_regression(folder: Path) -> Path:
    """Write a bundle whose number is twice the good words less twice the bad ones."""
    bundle = _copy(folder, REGRESSION, [2.0])
    outputs = value(12, "outputs", FLOAT, ("batch", 1))
    replace_file(bundle, MODEL, model(graph(nodes=NODES, logits=NUMBERS, outputs=outputs)))
    return bundle


def write_ordinal(folder: Path) -> Path:
    """Write the tiny bundle as one of two stars: "good" speaks for 1, "bad" for 2."""
    return _copy(folder, ORDINAL, None)


def _copy(folder: Path, task: dict, outputs: list[float] | None) -> Path:
    bundle = folder / task["kind"]
    shutil.copytree(TINY, bundle)
    document = read_manifest(bundle)
    document["task"] = task
    if outputs is not None:
        document["golden"]["outputs"] = outputs
    write_manifest(bundle, document)
    return bundle
