"""A label that few rows have: Minnow beside weighted TF-IDF regressions, on sets of a folder.

Of a set one label is kept in a hundredth of the training rows, and all others are one. Both models
choose a threshold for a precision of 0.8 on rows that they were not fitted to: Minnow by `minnow
train --threshold-label`, TF-IDF (words and characters, C = 10, balanced class weights) by five
folds. Test rows of the label count as many times less as makes them a hundredth too. Of sets as
they are, macro F1 is measured.

Run: python -m benchmarks.rare DATA
"""

from __future__ import annotations

import argparse
import random
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve
from sklearn.model_selection import StratifiedKFold

from benchmarks.few.models import CommandError, Fitted, Setup, fit_minnow, fit_tfidf
from benchmarks.few.sets import LabelledSet, Rows, find_sets
from handler.inference.tasks import SingleLabel
from training.answers.decisions import MACRO_F1
from training.errors import DataError
from training.tasks import make_objective

SHARE = 0.01
FEWEST = 10  # rows of the label: two a fold
PRECISION = 0.8
OTHERS = "other"
NUM_FOLDS = 5
NEVER = 2.0  # a threshold that no probability reaches
NO_PROMISE = "no threshold of"  # in what `minnow export` says of a precision that none keeps
PARTS = ("words", "characters")  # of TF-IDF
RARE = ("agnews:Sci/Tech", "agnews:World", "airline:positive")
WHOLE = ("airline",)
HEADER = """\
# A label that few rows have

{description}
`make bench-rare DATA=folder`; all but counts in per cent. AP is the average precision of the label.
"at 80" is the recall at a precision of 80 on the curve of the test rows; "chosen" are precision and
recall there at the threshold that was chosen without them, "none" where none has the precision: of
Minnow's rows nine times in ten (docs/tasks.md), of TF-IDF's as they are.

| set: label | rows, of the label | test rows of the label | model | AP | at 80 | chosen |
|---|---|---|---|---|---|---|
"""
MACRO_HEADER = """
| set as it is | rows | model | accuracy | macro F1 | balanced accuracy | calibration error |
|---|---|---|---|---|---|---|
"""


def main() -> int:
    options = read_options()
    setup = Setup(options.work, options=options.train_options)
    names = {name.partition(":")[0] for name in [*options.rare, *options.whole]}
    try:
        sets = {labelled.name: labelled for labelled in find_sets(options.data, sorted(names))}
        lines = [HEADER.format(description=(__doc__ or "").split("\n\n")[1].strip() + "\n")]
        for name in options.rare:
            lines += told(measure_rare(sets[name.partition(":")[0]], name, options.rows, setup))
        lines.append(MACRO_HEADER)
        for name in options.whole:
            lines += told(measure_whole(sets[name], setup))
    except (CommandError, DataError) as error:
        print(error, file=sys.stderr)
        return 1
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text("".join(lines), encoding="utf-8")
    return 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.rare", description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of the sets")
    parser.add_argument("--rare", type=split, default=RARE, help="set:label,set:label")
    parser.add_argument("--whole", type=split, default=WHOLE, help="sets as they are")
    parser.add_argument("--rows", type=int, default=20_000, help="most rows that are trained on")
    parser.add_argument("--train-options", type=shlex.split, default=[], help="of `minnow train`")
    parser.add_argument("--work", type=Path, default=Path("benchmarks/runs/rare"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/rare.md"))
    return parser.parse_args()


def split(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def told(lines: Iterator[str]) -> Iterator[str]:
    """Give lines with their ends, each printed as soon as it is measured."""
    for line in lines:
        print(line, flush=True)
        yield f"{line}\n"


def measure_rare(labelled: LabelledSet, name: str, most_rows: int, setup: Setup) -> Iterator[str]:
    """Give the line of each model for one rare label."""
    label = name.partition(":")[2]
    if label not in labelled.labels:
        raise DataError(f"{labelled.name}: has no label {label!r}, wanted {labelled.labels}")
    rows = make_rare(labelled.train, label, most_rows)
    test = merge_others(labelled.test, label)
    is_label = np.array([one == label for one in test.labels])
    weights = np.where(is_label, SHARE / (1 - SHARE) * (~is_label).sum() / is_label.sum(), 1.0)
    counts = f"{len(rows.texts):,}, {rows.labels.count(label)} | {is_label.sum():,}"
    for model, fit in (("Minnow", fit_minnow_rare), ("TF-IDF, balanced", fit_tfidf_rare)):
        try:
            fitted, threshold = fit(rows, label, setup)
        except CommandError as error:  # such as a precision that no threshold reaches
            yield f"| {name} | {counts} | {model} | not measured: {error} | | |"
            continue
        column = sorted({label, OTHERS}).index(label)
        scores = fitted.predict(test.texts)[:, column]
        yield f"| {name} | {counts} | {model} | {describe(scores, is_label, weights, threshold)} |"


def make_rare(rows: Rows, label: str, most_rows: int) -> Rows:
    """Return rows of which a hundredth has the label, ten at least, in random order; the others are
    one label."""
    merged = merge_others(rows, label)
    order = list(range(len(merged.texts)))
    random.Random(0).shuffle(order)
    others = [row for row in order if merged.labels[row] == OTHERS]
    others = others[: round((1 - SHARE) * most_rows)]
    own = [row for row in order if merged.labels[row] == label]
    chosen = {*others, *own[: max(FEWEST, round(SHARE / (1 - SHARE) * len(others)))]}
    return merged.take([row for row in order if row in chosen])


def merge_others(rows: Rows, label: str) -> Rows:
    return Rows(rows.texts, [one if one == label else OTHERS for one in rows.labels])


def fit_minnow_rare(rows: Rows, label: str, setup: Setup) -> tuple[Fitted, float]:
    """Return the bundle, and its threshold; NEVER where none promises the precision, for which the
    same model is fitted without one."""
    wanted = ["--threshold-label", label, "--min-precision", str(PRECISION)]
    try:
        fitted = fit_minnow(rows, 0, replace(setup, options=[*setup.options, *wanted]))
    except CommandError as error:
        if NO_PROMISE not in str(error):
            raise
        return fit_minnow(rows, 0, setup), NEVER
    task = fitted.task
    return fitted, task.thresholds[label] if isinstance(task, SingleLabel) else 0.5


def fit_tfidf_rare(rows: Rows, label: str, setup: Setup) -> tuple[Fitted, float]:
    """Return the weighted regression, and the lowest threshold that has the precision out of
    folds."""
    is_label = np.array([one == label for one in rows.labels])
    column = sorted({label, OTHERS}).index(label)
    scores = np.zeros(len(is_label))
    folds = StratifiedKFold(NUM_FOLDS, shuffle=True, random_state=0)
    for inside, outside in folds.split(is_label, is_label):
        fitted = fit_tfidf(rows.take(inside.tolist()), 0, setup, PARTS, "balanced")
        scores[outside] = fitted.predict(rows.take(outside.tolist()).texts)[:, column]
    precision, _, thresholds = precision_recall_curve(is_label, scores)
    good = np.flatnonzero(precision[:-1] >= PRECISION)
    threshold = float(thresholds[good[0]]) if len(good) else NEVER
    return fit_tfidf(rows, 0, setup, PARTS, "balanced"), threshold


def describe(
    scores: NDArray[np.floating],
    is_label: NDArray[np.bool_],
    weights: NDArray[np.float64],
    threshold: float,
) -> str:
    """Return average precision, recall at the precision, and both at the threshold, in per cent."""
    area = average_precision_score(is_label, scores, sample_weight=weights)
    precision, recall, _ = precision_recall_curve(is_label, scores, sample_weight=weights)
    at = recall[precision >= PRECISION].max()
    is_told = scores >= threshold
    told = "none"
    if threshold < NEVER:
        right = weights @ (is_label & is_told)
        precise, found = right / max(weights @ is_told, 1e-9), right / (weights @ is_label)
        told = f"{100 * precise:.1f}, {100 * found:.1f}"
    return f"{100 * area:.1f} | {100 * at:.1f} | {told}"


def measure_whole(labelled: LabelledSet, setup: Setup) -> Iterator[str]:
    """Give the line of each model for a set as it is."""
    rows, test = labelled.train, labelled.test
    for_macro = replace(setup, options=[*setup.options, "--decide", MACRO_F1])
    minnow = fit_minnow(rows, 0, for_macro)
    plain = fit_tfidf(rows, 0, setup, PARTS)
    weighted = fit_tfidf(rows, 0, setup, PARTS, "balanced")
    likeliest = SingleLabel(labelled.labels)
    for model, fitted, task in (
        ("Minnow", minnow, likeliest),
        (f"Minnow, --decide {MACRO_F1}", minnow, minnow.task or likeliest),
        ("TF-IDF", plain, likeliest),
        ("TF-IDF, balanced", weighted, likeliest),
    ):
        outputs = np.asarray(fitted.predict(test.texts))
        figures = make_objective(task).evaluate(test.labels, outputs)
        names = ("accuracy", "macro_f1", "balanced_accuracy", "calibration_error")
        cells = " | ".join(f"{100 * figures[one]:.1f}" for one in names)
        yield f"| {labelled.name} | {len(rows.texts):,} | {model} | {cells} |"


if __name__ == "__main__":
    sys.exit(main())
