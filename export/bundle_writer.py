"""Writing a bundle: all of it, or nothing; nothing here imports TensorFlow."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from export.errors import ExportError
from handler.errors import ArtefactError
from handler.files import empty_folder, write_json
from handler.inference.bundle import read_bundle
from handler.inference.checks import parse_json
from handler.inference.classifier import Classifier, load_classifier
from handler.inference.manifest import (
    FORMAT_VERSION,
    MANIFEST,
    MODEL,
    TOKENIZER,
    Card,
    parse_card,
)
from handler.inference.tasks import read_task
from training.output_folders import INNER_WORK, NEW, Kind, find_obstacle, put_in_place

GOLDEN_WORDS = 24
GOLDEN_LETTERS = 64  # of one of them at most; longer ones are no words that people read
FILES = (MODEL, TOKENIZER, "tokenizer.json")  # the last one of format 1
BUNDLE = Kind("a bundle", FILES, MANIFEST, ("format_version", "golden"))
UNFINISHED = Kind("an unfinished export", (), folders=INNER_WORK)


def write_bundle(
    out: Path,
    files: Mapping[str, bytes],
    words: Sequence[str],
    manifest: dict[str, Any],
    check: Callable[[Classifier], Mapping[str, Any]],
    golden_atol: float,
    force: bool,
) -> Path:
    """Write `files` and the manifest to `out` after `check` accepted the loaded bundle.

    The caller holds `name_partial(out)`.

    Args:
        files: Name -> content.
        words: Of the tokenizer.
        manifest: Its fields but for `format_version`, `golden` and `files`.
        check: Gets the classifier over the written files; what it returns joins the manifest's
            metrics, what it raises leaves no bundle.
        force: A bundle in `out` is replaced.
        golden_atol: Largest difference of a golden output on another machine, as a share of the
            task's `output_scale`.
    """
    work = name_partial(out)
    temporary = work / NEW
    empty_folder(work)
    temporary.mkdir()
    try:
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        task = read_task(manifest["task"])
        manifest = {
            "format_version": FORMAT_VERSION,
            **manifest,
            "golden": {
                "text": make_golden_text(words),
                # An answer of any task; what was written computes its own.
                "outputs": [1.0] + [0.0] * (task.num_outputs - 1),
                "atol": golden_atol * task.output_scale,
            },
            "files": {
                name: {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
                for name, content in files.items()
            },
        }
        write_json(temporary / MANIFEST, manifest)
        classifier = Classifier(read_bundle(temporary))
        golden = classifier.predict_outputs([manifest["golden"]["text"]])[0]
        scale = task.output_scale
        manifest["golden"]["outputs"] = [round(float(value / scale), 6) * scale for value in golden]
        manifest["metrics"] = {**manifest["metrics"], **check(classifier)}
        write_json(temporary / MANIFEST, manifest)
        load_classifier(temporary)  # as the handler will, golden text included
        if obstacle := put_in_place(work, out, BUNDLE, force):
            raise ExportError(obstacle)
    finally:
        empty_folder(work)
    return out


def make_golden_text(words: Sequence[str]) -> str:
    """Return some words of the vocabulary in a fixed random order: no text of the user's."""
    known = [word for word in words if word.isalpha() and len(word) <= GOLDEN_LETTERS]
    order = random.Random(0)
    return " ".join(order.choice(known) for _ in range(GOLDEN_WORDS)) if known else ""


def check_free(out: Path, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Raise ExportError unless `out` can be written: free, or with `force` a bundle and no more.

    Args:
        inputs: Files and folders that are read; `out` must not hold them.
    """
    # A bundle may stand inside its run.
    place = out.parent.resolve() / out.name
    inputs = [path for path in inputs if not place.is_relative_to(path.resolve())]
    if obstacle := find_obstacle(out, BUNDLE, force, inputs):
        raise ExportError(obstacle)
    partial = name_partial(out)
    if os.path.lexists(partial) and (obstacle := find_obstacle(partial, UNFINISHED, True, inputs)):
        raise ExportError(f"{obstacle} A bundle would be made there first.")


def name_partial(out: Path) -> Path:
    """Return where the bundle `out` is made."""
    return out.with_name(f".{out.name}.partial")


def read_card(path: Path) -> Card:
    """Return the card in the JSON file `path`.

    Raises:
        ExportError: Not JSON, not an object of texts, one too long or with characters that do not
            show, or a field that a card does not have.
    """
    try:
        return parse_card(parse_json(path.read_bytes()))
    except ArtefactError as error:
        raise ExportError(f"{path}: {error} A card is a JSON object of texts.") from error
