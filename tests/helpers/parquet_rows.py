"""Labelled texts as Parquet files."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pyarrow
from pyarrow import parquet

WORDS = {
    "good": ("fine", "warm", "lovely", "kind", "bright", "quick"),
    "bad": ("poor", "cold", "nasty", "dull", "broken", "slow"),
}
FILLERS = tuple(f"thing{number}" for number in range(40))


def make_texts(num_rows: int, seed: int = 0) -> list[tuple[str, str]]:
    """Return texts and labels; one text in ten has words of the other label."""
    order = random.Random(seed)
    rows = []
    for _ in range(num_rows):
        label = order.choice(("bad", "good"))
        told = label if order.random() < 0.9 else {"bad": "good", "good": "bad"}[label]
        words = [*order.choices(WORDS[told], k=3), *order.choices(FILLERS, k=6)]
        order.shuffle(words)
        rows.append((" ".join(words), label))
    return rows


def write_rows(path: Path, rows: Sequence[tuple[object, object]], group_rows: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    texts, labels = zip(*rows, strict=True)
    table = pyarrow.table({"text": list(texts), "label": list(labels)})
    parquet.write_table(table, path, row_group_size=group_rows)
    return path
