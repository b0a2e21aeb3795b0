"""A folder of tiny sets as `benchmarks.few` reads them."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable
from pathlib import Path

WORDS = {"pos": ("good", "warm", "great"), "neg": ("bad", "dull", "cold")}


def write_set(
    folder: Path, train: Iterable[tuple[str, str]], test: Iterable[tuple[str, str]]
) -> Path:
    """Write the rows (text, label) of both files."""
    folder.mkdir(parents=True)
    for name, rows in (("train", train), ("test", test)):
        with gzip.open(folder / f"{name}.csv.gz", "wt", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *rows])
    return folder


def make_rows(num_rows: int, start: int = 0) -> list[tuple[str, str]]:
    """Return rows of both labels in turns, each text another."""
    labels = [("pos", "neg")[row % 2] for row in range(num_rows)]
    return [
        (f"film {start + row} was {WORDS[label][row % 3]} and {WORDS[label][row % 2]}", label)
        for row, label in enumerate(labels)
    ]
