"""Figures of several labels, as scikit-learn defines them, and how people are shown them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.inference.tasks import MultiLabel
from training.figures.confusions import SHOWN_LABELS, worst_classes
from training.figures.metrics import (
    CALIBRATION_BINS,
    confidence_interval,
    divide,
    measure_counts,
    show_figure,
)
from training.figures.precision_recall import average_precision

COLUMNS = ("precision", "recall", "f1", "average_precision", "threshold")  # of a label's line
Floats = NDArray[np.floating]


def measure(task: MultiLabel, outputs: Floats, targets: Floats) -> dict[str, Any]:
    """Return the figures but those that the objective itself defines.

    Args:
        outputs, targets: Floats, shape (rows, labels); targets are 0 or 1.
    """
    given, true = task.is_over(outputs), targets > 0
    right, guesses, rows = (given & true).sum(axis=0), given.sum(axis=0), true.sum(axis=0)
    gaps, bins = measure_calibration(outputs, targets)
    classes = {
        name: {
            **counted,
            "average_precision": average_precision(outputs[:, label], true[:, label]),
            "calibration_error": float(gaps[label]),
            "threshold": task.thresholds[label],
        }
        for label, (name, counted) in enumerate(
            measure_counts(right, rows, guesses, task.labels).items()
        )
    }
    present = [row for row in classes.values() if row["rows"]]

    def mean(name: str) -> float | None:
        """Over the labels that stand in the data: one that does not has no F1."""
        return float(np.mean([row[name] for row in present])) if present else None

    exact = float((given == true).all(axis=1).mean())
    return {
        "rows": len(outputs),
        "micro_f1": divide(2 * right.sum(), rows.sum() + guesses.sum()),
        "micro_precision": divide(right.sum(), guesses.sum()),
        "micro_recall": divide(right.sum(), rows.sum()),
        "macro_f1": mean("f1"),
        "sample_f1": 0.0,  # in its place; the objective's own
        "mean_average_precision": mean("average_precision"),
        "exact_match": exact,
        "exact_match_interval": confidence_interval(exact, len(outputs)),
        "ranking_loss": ranking_loss(outputs, true),
        "log_loss": 0.0,
        "calibration_error": float(np.mean(gaps)),
        "labels_a_row": float(true.sum(axis=1).mean()),
        "labels_given_a_row": float(given.sum(axis=1).mean()),
        "classes": classes,
        "labels": list(task.labels),
        "reliability": bins,
    }


def ranking_loss(outputs: Floats, true: NDArray[np.bool_]) -> float:
    """Return the mean share of pairs, a label that a row has and one that it has not, in which the
    second is as probable or more; 0 of a row with no pair.

    Args:
        outputs, true: Shape (rows, labels).
    """
    total = 0.0
    for scores, has in zip(outputs, true, strict=True):
        others, own = np.sort(scores[~has]), scores[has]
        if len(others) and len(own):
            wrong = len(others) - np.searchsorted(others, own, side="left")
            total += float(wrong.mean()) / len(others)
    return total / max(len(outputs), 1)


def measure_calibration(
    outputs: Floats, targets: Floats
) -> tuple[NDArray[np.float64], list[dict[str, float]]]:
    """Return the expected calibration error of each label, float64, shape (labels,), in 15 bins of
    equal width; and of all labels together each bin's probability, share and number of answers.

    Args:
        outputs, targets: As in `measure`.
    """
    rows = np.asarray(outputs, np.float64)
    num_labels = rows.shape[1]
    bins = np.minimum((rows * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    places = (bins + CALIBRATION_BINS * np.arange(num_labels)).ravel()

    def sums(values: Floats) -> NDArray[np.float64]:
        flat = np.bincount(places, values.ravel(), CALIBRATION_BINS * num_labels)
        return np.asarray(flat.reshape(num_labels, CALIBRATION_BINS), np.float64)

    said, found, number = sums(rows), sums(targets), sums(np.ones_like(rows))
    gaps = np.asarray(np.abs(said - found).sum(axis=1) / len(rows), np.float64)
    pooled = zip(said.sum(axis=0), found.sum(axis=0), number.sum(axis=0), strict=True)
    drawn = [
        {"probability": float(p / n), "share": float(y / n), "answers": int(n)}
        for p, y, n in pooled
        if n
    ]
    return gaps, drawn


def format_figures(figures: Mapping[str, Any]) -> str:
    """Return a line for each figure, and a table of labels; of many the worst.

    Args:
        figures: As `MultiLabelObjective.evaluate` gives them.
    """
    names, classes = figures["labels"], figures["classes"]
    width = max(6, *(len(name) for name in names))
    low, high = figures["exact_match_interval"]
    lines = [
        f"rows               {figures['rows']}",
        f"micro F1           {show_figure(figures['micro_f1'])}  (precision "
        f"{show_figure(figures['micro_precision'])}, recall "
        f"{show_figure(figures['micro_recall'])})",
        f"macro F1           {show_figure(figures['macro_f1'])}  (mean over the labels)",
        f"sample F1          {figures['sample_f1']:.4f}  (mean over the rows)",
        f"exact match        {figures['exact_match']:.4f}  (95 %: {low:.4f} to {high:.4f})",
        f"average precision  {show_figure(figures['mean_average_precision'])}  (mean over the "
        "labels)",
        f"ranking loss       {figures['ranking_loss']:.4f}",
        f"log loss           {figures['log_loss']:.4f}  (summed over the labels)",
        f"calibration error  {figures['calibration_error']:.4f}  (mean over the labels)",
        f"labels a row       {figures['labels_a_row']:.4f}  (given: "
        f"{figures['labels_given_a_row']:.4f})",
    ]
    if "weighted_sample_f1" in figures:
        lines += [
            f"weighted sample F1 {figures['weighted_sample_f1']:.4f}  (by the weights of the rows)",
            f"weighted log loss  {figures['weighted_log_loss']:.4f}",
        ]
    lines += [
        "",
        f"{'label':{width}}  precision     recall         f1   av.prec.  threshold    rows",
    ]
    shown = worst_classes(classes) if len(names) > 3 * SHOWN_LABELS else list(classes)
    for name in shown:
        row = classes[name]
        cells = "".join(f"  {show_figure(row[figure]):>9}" for figure in COLUMNS)
        lines.append(f"{name:{width}}{cells}  {row['rows']:6}")
    if len(shown) < len(names):
        lines.append(f"… the {len(shown)} of {len(names)} labels with the lowest F1")
    return "\n".join(lines)
