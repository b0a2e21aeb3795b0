"""The models of bundles in folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from handler.inference.classifier import CPU, load_classifier
from handler.inference.manifest import MANIFEST
from handler.inference.models import Model, Models
from handler.inference.monitor import Monitor
from handler.inference.trust import ANY, Trust
from handler.settings import Limits


def load_models(
    folder: Path,
    limits: Limits | None = None,
    monitor: Monitor | None = None,
    threads: int = 1,
    providers: Sequence[str] = CPU,
    trust: Trust = ANY,
) -> Models:
    """Return the model of the bundle in `folder`, or the models of all bundles below it.

    Of several bundles the first by its folder's name is the default. Hidden folders are passed
    over: an export that was killed leaves `.NAME.partial`.

    Args:
        trust: Which bundles may serve.

    Raises:
        ArtefactError: A bundle must not serve, or there is none.
    """
    folders = [folder]
    if not os.path.lexists(folder / MANIFEST):
        found = sorted(path.parent for path in folder.glob(f"[!.]*/{MANIFEST}"))
        folders = found or folders  # whose error says what is missing
    classifiers = [load_classifier(path, threads, providers, trust) for path in folders]
    return Models([Model(classifier, limits, monitor) for classifier in classifiers])
