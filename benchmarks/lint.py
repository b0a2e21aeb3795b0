"""How many wrong labels `minnow lint` finds: labels of known rows are flipped, and looked for.

Of each set a share of the labels is replaced, at random or by a label that the row's own is often
taken for (by the clean rows out of their folds). Precision counts the flipped rows alone: a suspect
that was wrong before, as some of every set are, counts against it.

Run: python -m benchmarks.lint DATA
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.few.sets import find_train_file
from training.curation.label_errors import find_label_errors
from training.curation.out_of_fold import encode_dataset, predict_out_of_fold
from training.rows.data import Data, Sources, read_sources

SETS = ("agnews", "trec", "imdb", "airline", "banking77")
MOST_ROWS = {"imdb": 2_000}  # long texts; of the others --rows
SHARES = (0.05, 0.1)
FIRST = (20, 50, 100)
SIMILAR, AT_RANDOM = "similar", "random"
HEAD = (
    "| set | rows | flipped | suspects: precision / recall | off the diagonal alone | "
    "another label is likelier | right of the first 20 / 50 / 100 | of as many as were flipped, by "
    "the label's probability | by its margin |\n|---|---|---|---|---|---|---|---|---|\n"
)
Bools = NDArray[np.bool_]


def main() -> int:
    parser = argparse.ArgumentParser("benchmarks.lint", description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of the sets")
    parser.add_argument("--sets", default=",".join(SETS), help="comma between")
    parser.add_argument("--rows", type=int, default=5_000, help="of a set at most")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/lint.md"))
    options = parser.parse_args()
    lines = []
    for name in options.sets.split(","):
        for line in measure_set(options.data / name, MOST_ROWS.get(name, options.rows)):
            print(line, flush=True)
            lines.append(line)
    text = f"# `minnow lint`\n\n{__doc__.partition('Run:')[0]}\n{HEAD}" + "\n".join(lines)
    options.results.write_text(f"{text}\n", "utf-8")
    return 0


def measure_set(folder: Path, most_rows: int) -> Iterator[str]:
    """Yield a line of the table for each share and kind of flipped labels."""
    data = read_sample(folder, most_rows)
    labels = data.objective.task.labels  # type: ignore[attr-defined]  # of a single label
    numbers = {label: number for number, label in enumerate(labels)}
    given = np.array([numbers[label] for label in data.train.labels])
    started = time.process_time()
    clean, _ = predict_out_of_fold(encode_dataset(data), data.objective, 0)
    seconds = time.process_time() - started
    print(f"{folder.name}: {seconds:.1f} s of one core", file=sys.stderr, flush=True)
    confusions = np.stack([clean[given == label].mean(axis=0) for label in range(len(labels))])
    for kind in (AT_RANDOM, SIMILAR):
        for share in SHARES:
            flipped = flip_labels(given, confusions, share, kind)
            train = replace(data.train, labels=[labels[number] for number in flipped])
            rows = encode_dataset(replace(data, train=train))
            outputs, _ = predict_out_of_fold(rows, data.objective, 0)
            figures = describe(outputs, flipped, flipped != given)
            yield f"| {folder.name} | {len(given):,} | {100 * share:.0f} % {kind} | {figures} |"


def read_sample(folder: Path, most_rows: int) -> Data:
    """Return a random part of the training rows."""
    data = read_sources(Sources(find_train_file(folder)))
    order = list(range(len(data.train)))
    random.Random(0).shuffle(order)
    texts = [data.train.texts[row] for row in order[:most_rows]]
    labels = [data.train.labels[row] for row in order[:most_rows]]
    return replace(data, train=replace(data.train, texts=texts, labels=labels))


def flip_labels(
    given: NDArray[np.int64], confusions: NDArray[np.float64], share: float, kind: str
) -> NDArray[np.int64]:
    """Return the labels, a share of them replaced by others.

    Args:
        confusions: Shape (labels, labels): probability of each label for the rows of one.
    """
    chance = np.random.default_rng(0)
    flipped = given.copy()
    for row in chance.choice(len(given), round(share * len(given)), replace=False):
        odds = confusions[given[row]].copy() if kind == SIMILAR else np.ones(len(confusions))
        odds[given[row]] = 0
        flipped[row] = chance.choice(len(odds), p=odds / odds.sum())
    return flipped


def describe(outputs: NDArray[np.float64], labels: NDArray[np.int64], is_wrong: Bools) -> str:
    """Return the cells of a line, all in per cent."""
    rows = np.arange(len(labels))
    own = outputs[rows, labels]
    others = outputs.copy()
    others[rows, labels] = -1
    found = find_label_errors(outputs, labels).rows
    cells = [_share(is_wrong, np.isin(rows, found))]
    cells.append(_share(is_wrong, is_off_diagonal(outputs, labels)))
    cells.append(_share(is_wrong, others.max(axis=1) > own))
    cells.append(" / ".join(f"{100 * is_wrong[found[:k]].mean():.0f}" for k in FIRST))
    for scores in (own, own - others.max(axis=1)):
        first = np.argsort(scores, kind="stable")[: is_wrong.sum()]
        cells.append(f"{100 * is_wrong[first].mean():.0f}")
    return " | ".join(cells)


def is_off_diagonal(outputs: NDArray[np.float64], labels: NDArray[np.int64]) -> Bools:
    """Return which rows are told with confidence to be of another label."""
    means = [outputs[labels == label, label].mean() for label in range(outputs.shape[1])]
    confident = np.where(outputs >= means, outputs, -1.0)
    told: Bools = (confident.max(axis=1) >= 0) & (confident.argmax(axis=1) != labels)
    return told


def _share(is_wrong: Bools, is_found: Bools) -> str:
    hits = (is_wrong & is_found).sum()
    return f"{100 * hits / max(1, is_found.sum()):.0f} / {100 * hits / is_wrong.sum():.0f}"


if __name__ == "__main__":
    sys.exit(main())
