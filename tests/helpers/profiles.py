"""The tiny bundle with a profile: a thousand texts of one or two words, half of each label."""

import json
import shutil
from pathlib import Path

from handler.inference.classifier import load_classifier
from handler.inference.profile import make_profile

TEXTS = ["good film", "bad film", "good", "bad"] * 250


def write_profiled_bundle(tiny_bundle: Path, folder: Path, **fields) -> Path:
    """Write the tiny bundle with the profile of TEXTS, and with other fields of its manifest."""
    shutil.copytree(tiny_bundle, folder)
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    classifier = load_classifier(folder)
    profile = make_profile(classifier.task, TEXTS, classifier.predict(TEXTS))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"profile": profile.describe()}))
    return folder
