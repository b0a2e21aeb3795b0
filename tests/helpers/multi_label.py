"""The tiny bundle's graph as a model of several labels: its outputs are probabilities as they are.

"good film" -> pos 0.88, neg 0.12, of which the thresholds give both; "bad" -> neg alone.
"""

import shutil
from pathlib import Path

from tests.helpers.hostile import put, read_manifest, write_manifest

TASK = {"kind": "multi-label", "labels": ["pos", "neg"], "thresholds": [0.5, 0.1]}


def copy_bundle(tiny_bundle: Path, folder: Path) -> Path:
    """Return a copy of the tiny bundle whose task is several labels."""
    bundle = Path(shutil.copytree(tiny_bundle, folder))
    document = read_manifest(bundle)
    put(document, ("task",), TASK)
    write_manifest(bundle, document)
    return bundle
