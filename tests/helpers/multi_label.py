"""The tiny bundle's graph as a model of several labels: its outputs are probabilities as they are.

"good film" -> pos 0.88, neg 0.12, of which the thresholds give both; "bad" -> neg alone.
"""

import random
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


WORDS = {
    "anger": "angry furious rage mad",
    "fear": "afraid scared terror panic",
    "joy": "happy glad smile delighted",
    "love": "adore dear heart sweet",
}
SHARES = {"anger": 0.3, "fear": 0.1, "joy": 0.3, "love": 0.2}
FILL = "the a this that movie film today we they it was is very so then".split()


def write_moods(path: Path, num_rows: int, seed: int) -> Path:
    """Write texts with a word of each of their labels, and labels with a pipe between."""
    chance = random.Random(seed)
    lines = ["text,labels"]
    for _ in range(num_rows):
        labels = [label for label, share in SHARES.items() if chance.random() < share]
        words = [chance.choice(FILL) for _ in range(12)]
        words += [chance.choice(WORDS[label].split()) for label in labels]
        chance.shuffle(words)
        lines.append(f"{' '.join(words)},{'|'.join(labels)}")
    path.write_text("\n".join(lines) + "\n")
    return path
