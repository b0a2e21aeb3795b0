"""The tiny bundle with answers that may be withheld; no word of its graph changes."""

import json
import shutil
from pathlib import Path
from typing import Any

# "good film" has 0.88, "good" too, "film" 0.5. Words: [PAD] [UNK] good bad film.
ABSTAIN = {"accuracy": 0.98, "min_score": 0.9}
# In scope: texts of about two words that tell about two nats each.
SCOPE = {
    "coverage": 0.99,
    "information": "ff222",
    "center": [2.0, 0.7],
    "precision": [1.0, 0.0, 1.0],
    "max_distance": 4.0,
}
LABEL_SETS = [[0.5, 0.9], [0.9, 0.4], [0.95, 0.1]]
SELECTIVE: dict[str, Any] = {"abstain": ABSTAIN, "scope": SCOPE, "label_sets": LABEL_SETS}


def write_selective_bundle(tiny_bundle: Path, folder: Path, **fields: Any) -> Path:
    """Write the tiny bundle with these fields of its task, all of SELECTIVE by default."""
    shutil.copytree(tiny_bundle, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["task"] |= fields or SELECTIVE
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
