"""Labelled texts whose words tell the label, in files that `minnow lint` and `suggest` read."""

import csv
import random

SECRET = "nobody may see this"
WORDS = {
    "pos": "good great superb fine clever lovely warm".split(),
    "neg": "bad awful dull poor silly dreadful cold".split(),
}


def make_rows(num, seed=0):
    """Texts of four words of their label each, and one that both labels have."""
    chance = random.Random(seed)
    labels = [("pos", "neg")[number % 2] for number in range(num)]
    things = [f"thing{number % 23}" for number in range(num)]
    return [
        (" ".join([*chance.sample(WORDS[label], 4), thing]), label)
        for label, thing in zip(labels, things, strict=True)
    ]


def write(path, rows, header=("text", "label")):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
