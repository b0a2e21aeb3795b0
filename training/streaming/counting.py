"""The first pass over all rows: what is counted of them, and the rows that are kept in memory."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from tqdm import tqdm

from handler.inference.tasks import MAX_LABELS
from handler.inference.tokenizer import PAD, UNKNOWN
from training.errors import DataError
from training.progress import is_quiet
from training.streaming.sampling import KEYS, Row, Sample, hash_text
from training.streaming.word_counts import WordCounts
from training.tokenizer import make_tokenizer

SAMPLE_CHARACTERS = 50_000_000  # of the texts in memory, whose features take thirty times that
DEV_ROWS, DEV_CHARACTERS = 20_000, 10_000_000  # more tell no more
LABEL_ROWS, LABEL_CHARACTERS = 20, 40_000  # of each label at least, as far as there are so many

T = TypeVar("T")


@dataclass(frozen=True)
class Sides:
    """Which rows are held out: those of texts with low keys, so that equal texts share a side.

    Args:
        seed: Of the keys.
        dev_limit: Keys below it are those of held-out rows.
    """

    seed: int
    dev_limit: int

    def find_key(self, text: str) -> int:
        return hash_text(text, self.seed)


def choose_sides(num_rows: int, dev_fraction: float, seed: int) -> Sides:
    """Return the sides of so many rows, about `DEV_ROWS` held out at most."""
    return Sides(seed, int(KEYS * min(dev_fraction, DEV_ROWS / num_rows)))


@dataclass
class Counted:
    """What the first pass found, of one worker's rows or of all.

    Args:
        labels: How many rows each label has, without those held out.
        sample: Of the rows to train on; `rare` of those of each label.
        held_out: The rows of the other side.
    """

    sample: Sample
    labels: Counter[str] = field(default_factory=Counter)
    words: WordCounts = field(default_factory=WordCounts)
    held_out: Sample = field(default_factory=lambda: Sample(2 * DEV_ROWS, DEV_CHARACTERS))
    rare: dict[str, Sample] = field(default_factory=dict)

    def add(self, row: Row, words: Iterable[str]) -> None:
        """Count a row to train on."""
        label = row[2]
        self.labels[label] += 1
        self.words.add(words)
        self.sample.add(row)
        self._keep_rare(label).add(row)

    def merge(self, content: bytes) -> None:
        """Add what another worker has counted, as `to_bytes` gives it."""
        found = json.loads(content)
        self.labels.update(found["labels"])
        self.words.merge(found["words"], found["missed"])
        self.sample.add_all(map(_read_row, found["sample"]))
        self.held_out.add_all(map(_read_row, found["held_out"]))
        for label, rows in found["rare"].items():
            self._keep_rare(label).add_all(map(_read_row, rows))

    def to_bytes(self) -> bytes:
        parts = {
            "labels": self.labels,
            "words": self.words.counts,
            "missed": self.words.missed,
            "sample": self.sample.rows,
            "held_out": self.held_out.rows,
            "rare": {label: sample.rows for label, sample in self.rare.items()},
        }
        return json.dumps(parts).encode()

    def list_sample(self) -> list[Row]:
        """Return the sample, with `LABEL_ROWS` of each label, as far as there are so many."""
        sample = self.sample.rows
        own = Counter(row[2] for row in sample)
        short = [label for label in sorted(self.labels) if own[label] < LABEL_ROWS]
        last = sample[-1] if sample else (-1, "", "")
        more = [row for label in short for row in self.rare[label].rows if row > last]
        return [*sample, *more]

    def _keep_rare(self, label: str) -> Sample:
        if label not in self.rare:
            if len(self.rare) >= MAX_LABELS:
                raise DataError(
                    f"there are more than {MAX_LABELS} labels, the most that a model has. Is this "
                    "the right --label-column?"
                )
            self.rare[label] = Sample(LABEL_ROWS, LABEL_CHARACTERS)
        return self.rare[label]


def count_rows(
    rows: Iterable[tuple[str, str]], sides: Sides, sample_rows: int, max_length: int
) -> Counted:
    """Return what is counted of rows, texts and labels.

    Args:
        max_length: Tokens that are read of a text.
    """
    counted = Counted(Sample(sample_rows, SAMPLE_CHARACTERS))
    split = make_tokenizer([PAD, UNKNOWN], max_length).split
    for text, label in rows:
        row = (sides.find_key(text), text, label)
        if row[0] < sides.dev_limit:
            counted.held_out.add(row)
        else:
            counted.add(row, split(text)[0])
    return counted


def show_rows(rows: Iterable[T], num_rows: int, title: str) -> Iterator[T]:
    """Yield the rows, and show how many have been read, on a terminal."""
    is_barless = is_quiet() or not sys.stderr.isatty()
    return iter(
        tqdm(rows, title, num_rows, unit="row", unit_scale=True, mininterval=1, disable=is_barless)
    )


def _read_row(row: Sequence[object]) -> Row:
    return tuple(row)  # type: ignore[return-value]  # as `to_bytes` wrote it
