"""The bundle as every peer serves it: the same tokenizer and session, one thread a run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from handler.inference.classifier import Classifier, load_classifier

CORES = len(os.sched_getaffinity(0))
MAX_BATCH = 8  # as `minnow serve` gathers at most


def load() -> Classifier:
    return load_classifier(Path(os.environ["MINNOW_BUNDLE"]))


def classify(classifier: Classifier, texts: Sequence[str]) -> list[dict[str, object]]:
    """Return label, score and scores of each text."""
    return [classifier.task.answer(each.outputs) for each in classifier.predict(texts)]
