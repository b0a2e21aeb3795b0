"""`minnow predict`: texts in, one line each out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minnow.options import BundleOption, Json

if TYPE_CHECKING:
    from handler.inference.classifier import Prediction
    from handler.inference.tasks import Task

PANEL = "Model"
EXAMPLES = (
    'minnow predict "A clever, moving film."',
    'minnow predict --bundle bundles/reviews "Dull." "Superb."',
    "minnow predict --json < reviews.txt",
)


def predict(
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT...",
            help="Texts to classify; a first one that is a bundle's folder names the bundle.",
            show_default="one text a line from standard input",
        ),
    ] = None,
    bundle: BundleOption = None,
    json_output: Json = False,
) -> None:
    """Classify texts, or the lines of standard input."""
    from handler.inference.classifier import load_classifier
    from handler.inference.models import Model
    from handler.settings import DEFAULT_BUNDLE, NO_LIMITS

    bundle, texts = split_bundle(bundle, texts or [])
    texts = texts or [line.rstrip("\n") for line in sys.stdin]
    model = Model(load_classifier(bundle or DEFAULT_BUNDLE), NO_LIMITS)
    predictions = model.predict(texts)
    if json_output:
        print(json.dumps(model.answer(texts, predictions), ensure_ascii=False))
        return
    for prediction in predictions:
        print(format_prediction(model.task, prediction))


def split_bundle(bundle: Path | None, texts: list[str]) -> tuple[Path | None, list[str]]:
    """Return the bundle and the texts: a first text that is a bundle's folder is the bundle."""
    if bundle is None and texts and (Path(texts[0]) / "manifest.json").is_file():
        return Path(texts[0]), texts[1:]
    return bundle, texts


def format_prediction(task: Task, prediction: Prediction) -> str:
    """Return a line: the answer with tabs between, and what limits its worth."""
    cells = task.cells(prediction.outputs)
    line = "\t".join(cell if isinstance(cell, str) else f"{cell:.4f}" for cell in cells)
    notes = ["no known words"] if prediction.known_tokens == 0 else []
    notes += ["truncated"] if prediction.truncated else []
    return f"{line}  ({', '.join(notes)})" if notes else line
