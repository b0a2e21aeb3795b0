"""From a run folder to a bundle: convert, quantize, optimise, verify, write."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from export.bundle_writer import check_free, name_partial, write_bundle
from export.convert import OPSET, convert_model, count_fused_layers
from export.errors import ExportError, ToleranceError
from export.optimize import optimize_model
from export.quantize import quantize_model
from export.tokenizer_file import pack_tokenizer, read_words
from export.verify import TOLERANCES, check_nodes, verify_outputs
from handler.errors import ArtefactError
from handler.files import holding, naming
from handler.inference.classifier import Classifier
from handler.inference.manifest import MODEL, TOKENIZER, Card, check_name
from training.output_folders import restore
from training.run_folder import Run, advise_training, read_run
from training.tasks import make_objective

LIBRARIES = ("tf2onnx", "onnx", "onnxruntime", "minnow-maas")
# What a golden output may differ by on another CPU. int8: the reduced range makes the integer
# sums equal everywhere; the float32 parts round differently, and a rounding can move an activation
# by one step of 1/127.
GOLDEN_ATOL = {"float32": 1e-3, "int8": 0.02}


@dataclass(frozen=True)
class ExportSettings:
    """How a run becomes a bundle.

    Args:
        precision: "int8" (CPU) or "float32" (CPU or GPU).
        reduce_range: Keep int8 weights within 7 bits, so that CPUs without VNNI compute the same.
        name: The model's name in every answer; the run folder's name by default.
        version: The model's version in every answer.
        embedding_bits: 4 or 8, of the word vectors of an int8 bundle. None: 4, which makes the
            default recipe's bundle of IMDB a quarter smaller and its development log loss at most
            0.0004 larger; 8 where 4 take a reference row too far from Keras.
        sparsity: Share of an int8 bundle's weights that become zero: a smaller zip, no more speed.
        card: What people should know of the model.
    """

    precision: str = "int8"
    reduce_range: bool = True
    name: str = ""
    version: str = "1"
    embedding_bits: int | None = None
    sparsity: float = 0.0
    card: Card = Card()


@dataclass(frozen=True)
class Converted:
    """What `convert_run` gives.

    Args:
        graph: The run's float32 graph.
        num_layers: Fused kind -> layers of the Keras model, each of which must be one node.
    """

    graph: onnx.ModelProto
    num_layers: Mapping[str, int]


def convert_run(run: Run) -> Converted:
    """Return the float32 graph of the run's Keras model.

    Raises:
        RunError: The model's file is damaged.
        ExportError: The model cannot be exported, or does not compute the task's outputs.
    """
    model = run.load_model()
    if model.output_shape != (None, run.task.num_outputs):
        raise ExportError(
            f"{run.model_path}: its output has the shape {model.output_shape}, wanted "
            f"(None, {run.task.num_outputs}) of a {run.task.kind} task. "
            f"{advise_training(run.metadata)}"
        )
    return Converted(optimize_model(convert_model(model)), count_fused_layers(model))


def check_settled(run: Run) -> None:
    """Raise ExportError for a run that does not reach what its answers were to reach."""
    settled = run.metadata.get("settled") or {}
    if not settled.get("is_reached", True):
        objective = make_objective(run.task, run.metadata["aims"])
        raise ExportError(f"{run.folder}: {objective.describe_settled(settled)}.")


def name_model(folder: Path, settings: ExportSettings) -> ExportSettings:
    """Return the settings with the model's name, that of the run in `folder` where none is given.

    Raises:
        ExportError: A name or version that cannot stand in an address; says which would do.
    """
    named = replace(settings, name=settings.name or folder.resolve().name)
    for field, flag, value in (
        ("name", "--name", named.name),
        ("version", "--model-version", named.version),
    ):
        try:
            check_name(field, value)
        except ArtefactError as error:
            safe = re.sub(r"[^A-Za-z0-9._-]+", "-", value).strip("-._")[:128] or "model"
            raise ExportError(f"{error} Export with {flag} {safe}") from error
    return named


def export_run(
    folder: Path,
    out: Path,
    settings: ExportSettings | None = None,
    force: bool = False,
    evaluate: Callable[[Classifier], Mapping[str, Any]] | None = None,
    converted: Converted | None = None,
    is_held: bool = False,
) -> dict[str, Any]:
    """Write the bundle of the run in `folder` to `out`; return its metrics.

    Args:
        evaluate: Figures of the finished classifier to keep in the manifest as `metrics.bundle`.
        converted: What `convert_run` gives, if it is there already.
        is_held: The caller holds `name_partial(out)`, so that no other process exports to `out`.

    Raises:
        OSError: Another process exports to `out`, or the disk is full.
        RunError: The run cannot be read.
        ExportError: `out` is in the way, the name cannot stand in an address, a layer or mask of
            the model cannot be exported, or the bundle computes something else than Keras; `out` is
            then as it was.
    """
    settings = name_model(folder, settings or ExportSettings())
    check_free(out, force)
    work = name_partial(out)
    with nullcontext() if is_held else holding(work, out), naming(out):
        restore(work, out)
        check_free(out, force)  # again: another process may just have ended
        return _export_run(folder, out, settings, force, evaluate, converted)


def _export_run(
    folder: Path,
    out: Path,
    settings: ExportSettings,
    force: bool,
    evaluate: Callable[[Classifier], Mapping[str, Any]] | None,
    converted: Converted | None,
) -> dict[str, Any]:
    run = read_run(folder)
    check_settled(run)
    converted = converted or convert_run(run)
    if settings.embedding_bits is None:
        try:
            four_bits = replace(settings, embedding_bits=4)
            return _export(run, out, four_bits, converted, evaluate, force)
        except ToleranceError:
            if settings.precision != "int8":
                raise
        settings = replace(settings, embedding_bits=8)
    return _export(run, out, settings, converted, evaluate, force)


def _export(
    run: Run,
    out: Path,
    settings: ExportSettings,
    converted: Converted,
    evaluate: Callable[[Classifier], Mapping[str, Any]] | None,
    force: bool,
) -> dict[str, Any]:
    graph = converted.graph
    if settings.precision == "int8":
        quantized = quantize_model(
            graph,
            settings.reduce_range,
            settings.embedding_bits or 4,
            settings.sparsity,
            run.weight_tables,
        )
        graph = optimize_model(quantized)
    census = check_nodes(graph, converted.num_layers)
    metrics: dict[str, Any] = {}

    def check(classifier: Classifier) -> Mapping[str, Any]:
        metrics["reference"] = verify_outputs(classifier, run, TOLERANCES[settings.precision])
        if evaluate is not None:
            metrics["bundle"] = evaluate(classifier)
        return metrics

    files = {
        MODEL: graph.SerializeToString(deterministic=True),
        TOKENIZER: pack_tokenizer(run.tokenizer),
    }
    manifest = describe_run(run, settings, census)
    words = read_words(run.tokenizer)
    write_bundle(out, files, words, manifest, check, GOLDEN_ATOL[settings.precision], force)
    return metrics


def describe_run(run: Run, settings: ExportSettings, census: dict[str, int]) -> dict[str, Any]:
    """Return the manifest's fields that come from the run and the settings."""
    metadata = run.metadata
    headline = make_objective(run.task).headline
    return {
        "name": settings.name,
        "version": settings.version,
        "task": run.task.describe(),
        "max_length": metadata["max_length"],
        "pad_id": metadata["pad_id"],
        "unknown_id": metadata["unknown_id"],
        "precision": settings.precision,
        "card": settings.card._asdict(),
        "metrics": {"keras": {role: headline(part) for role, part in metadata["metrics"].items()}},
        "provenance": {
            "command": metadata["command"],
            "recipe": metadata["recipe"],
            "settings": metadata["settings"],
            "constants": metadata["constants"],
            "columns": metadata["columns"],
            "data": {
                # The file's name, not its folder: a bundle travels further than a run.
                role: part | {"path": Path(part["path"]).name}
                for role, part in metadata["data"].items()
            },
            "versions": metadata["versions"]
            | {name: importlib.metadata.version(name) for name in LIBRARIES},
            "opset": OPSET,
            "reduce_range": settings.reduce_range,
            "embedding_bits": settings.embedding_bits if settings.precision == "int8" else None,
            "sparsity": settings.sparsity,
            "compression": metadata.get("compression"),
            "early_exit": metadata.get("early_exit"),
            "cross_validated": run.is_cross_validated,
            "nodes": census,
        }
        | ({"settled": metadata["settled"]} if metadata.get("settled") else {}),
    } | ({"profile": metadata["profile"]} if metadata.get("profile") else {})
