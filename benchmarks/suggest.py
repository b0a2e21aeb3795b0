"""What a labelled row teaches that `minnow suggest` chose, beside one drawn at random.

Of each set some rows are labelled at first, and in each round as many more: drawn at random, those
of the smallest margin, or what `minnow suggest` chooses among 2,000. The linear half is fitted to
them and read on 1,000 other training rows; the test split is not read.

Run: python -m benchmarks.suggest DATA
"""

from __future__ import annotations

import argparse
import random
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.few.sets import find_train_file
from training.curation.out_of_fold import train_speller
from training.curation.selection import measure_margins
from training.curation.suggest import Plan, choose, encode_texts, predict_others
from training.rows.overlaps import group_rows
from training.rows.readers import Dataset, read_dataset

# Set -> rows that are labelled first, and in each round.
SETS = {"agnews": 50, "trec": 50, "airline": 50, "banking77": 154}
POOL_ROWS, TEST_ROWS = 2_000, 1_000
ROUNDS = 3
CHANCE, MARGIN, SUGGEST = "at random", "smallest margin", "`minnow suggest`"
WAYS = (CHANCE, MARGIN, SUGGEST)


def main() -> int:
    parser = argparse.ArgumentParser("benchmarks.suggest", description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of the sets")
    parser.add_argument("--sets", default=",".join(SETS), help="comma between")
    parser.add_argument("--samples", type=int, default=5, help="of each set")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/suggest.md"))
    options = parser.parse_args()
    lines: list[str] = []
    for name in options.sets.split(","):
        lines += measure_set(options.data / name, SETS.get(name, 50), options.samples)
    sizes = " | ".join(f"{number + 1} times" for number in range(ROUNDS + 1))
    head = f"| set, rows at first | chosen | {sizes} | beside chance, all rounds |\n"
    head += "|---" * (ROUNDS + 4) + "|\n"
    text = f"# `minnow suggest`\n\n{__doc__.partition('Run:')[0]}\nAccuracy in per cent, means of "
    text += f"{options.samples} samples; ± is the standard error.\n\n{head}"
    text += "".join(f"{line}\n" for line in lines)
    print(text)
    options.results.write_text(text, "utf-8")
    return 0


def measure_set(folder: Path, num_rows: int, num_samples: int) -> list[str]:
    """Return the lines of a set, one for each way to choose."""
    dataset = read_dataset(find_train_file(folder))
    num_rows = min(num_rows, count_pool(dataset) // (ROUNDS + 1))
    found: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    for seed in range(num_samples):
        for way in WAYS:
            found[way].append(simulate(dataset, num_rows, seed, way))
            print(folder.name, seed, way, np.round(found[way][-1], 1), file=sys.stderr, flush=True)
    lines = []
    for way in WAYS:
        means = " | ".join(f"{mean:.1f}" for mean in np.mean(found[way], axis=0))
        gains = (np.array(found[way]) - np.array(found[CHANCE]))[:, 1:].mean(axis=1)
        error = gains.std(ddof=1) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
        beside = "" if way == CHANCE else f"{gains.mean():+.1f} ± {error:.1f}"
        lines.append(f"| {folder.name}, {num_rows} | {way} | {means} | {beside} |")
    return lines


def simulate(dataset: Dataset, num_rows: int, seed: int, way: str) -> list[float]:
    """Return the accuracy in per cent before and after each round."""
    order = list(range(len(dataset)))
    random.Random(seed).shuffle(order)
    num_pool = count_pool(dataset)
    pool, test = order[:num_pool], take(dataset, order[num_pool:][:TEST_ROWS])
    groups = group_rows([dataset.texts[row] for row in pool])
    labelled, others = list(range(num_rows)), np.arange(num_rows, num_pool)
    chance = np.random.default_rng(seed)
    accuracies = [measure(take(dataset, [pool[place] for place in labelled]), test)]
    for _ in range(ROUNDS):
        known = take(dataset, [pool[place] for place in labelled])
        texts = [dataset.texts[pool[place]] for place in others]
        if way == CHANCE:
            chosen = chance.choice(len(others), num_rows, replace=False)
        elif way == MARGIN:
            chosen = np.argsort(measure_margins(predict(known, texts)), kind="stable")[:num_rows]
        else:
            chosen = choose(known, texts, groups[others], Plan(num_rows, None, seed=seed))
        labelled += others[chosen].tolist()
        others = np.delete(others, chosen)
        accuracies.append(measure(take(dataset, [pool[place] for place in labelled]), test))
    return accuracies


def count_pool(dataset: Dataset) -> int:
    """Return how many rows are chosen from."""
    return min(POOL_ROWS, 2 * len(dataset) // 3)


def take(dataset: Dataset, rows: list[int]) -> Dataset:
    """Return some rows as a set of their own."""
    texts = [dataset.texts[row] for row in rows]
    return replace(dataset, texts=texts, labels=[dataset.labels[row] for row in rows])


def predict(labelled: Dataset, texts: list[str]) -> NDArray[np.float64]:
    """Return the probabilities of texts by the linear half; columns are the sorted labels."""
    tokenizer = train_speller([*labelled.texts, *texts])
    return predict_others(labelled, encode_texts(tokenizer, texts), tokenizer, 0)


def measure(labelled: Dataset, test: Dataset) -> float:
    """Return the accuracy on test rows in per cent; rows of an unknown label count as wrong."""
    names = sorted(set(labelled.labels))
    told = [names[column] for column in predict(labelled, test.texts).argmax(axis=1)]
    right = [one == other for one, other in zip(told, test.labels, strict=True)]
    return 100 * float(np.mean(right))


if __name__ == "__main__":
    sys.exit(main())
