"""Which labels are taken for which, for people: as a matrix, and of many labels the worst pairs."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.figures.metrics import show_figure

SHOWN_LABELS = 12  # above, a matrix is wider than a terminal
SHOWN_PAIRS = 20


def format_classification(figures: Mapping[str, Any], loss_name: str = "log loss") -> str:
    """Return a line for each figure, and classes and confusions as tables.

    Of many labels the worst are shown.

    Args:
        figures: As `SingleLabelObjective.evaluate` gives them.
        loss_name: What `log_loss` is called.
    """
    names, classes = figures["labels"], figures["classes"]
    width = max(6, *(len(name) for name in names))
    low, high = figures["accuracy_interval"]
    majority = figures["majority_accuracy"]
    lines = [
        f"rows               {figures['rows']}",
        f"accuracy           {figures['accuracy']:.4f}  (95 %: {low:.4f} to {high:.4f})",
        f"majority baseline  {majority:.4f}  (the accuracy of the most frequent label)",
        f"balanced accuracy  {figures['balanced_accuracy']:.4f}  (the mean recall of the labels)",
        f"macro F1           {figures['macro_f1']:.4f}",
        f"average precision  {figures['average_precision']:.4f}  (the mean of the labels)",
        f"{loss_name:19}{figures['log_loss']:.4f}",
        f"calibration error  {figures['calibration_error']:.4f}  (true probabilities would show "
        f"{figures['calibration_noise']:.4f} on so many rows)",
        *_format_weighted(figures),
        "",
        f"{'label':{width}}  precision     recall         f1  average precision    rows",
    ]
    shown = worst_classes(classes) if len(names) > SHOWN_LABELS else list(classes)
    for name in shown:
        row = classes[name]
        cells = "".join(f"  {show_figure(row[one]):>9}" for one in ("precision", "recall", "f1"))
        area = show_figure(row["average_precision"])
        lines.append(f"{name:{width}}{cells}  {area:>17}  {row['rows']:6}")
    if len(shown) < len(names):
        lines.append(f"… the {len(shown)} of {len(names)} labels with the lowest F1")
    lines += ["", *format_confusions(names, figures["confusion_matrix"], width)]
    return "\n".join(lines)


def _format_weighted(figures: Mapping[str, Any]) -> list[str]:
    """Return the figures by the weights of the rows, where those count differently."""
    if "weighted_accuracy" not in figures:
        return []
    return [
        f"weighted accuracy  {figures['weighted_accuracy']:.4f}  (by the weights of the rows; each "
        "row counts once above)",
        f"weighted log loss  {figures['weighted_log_loss']:.4f}",
    ]


def format_confusions(
    names: Sequence[str], confusions: Sequence[Sequence[int]], width: int
) -> list[str]:
    """Return lines: the matrix, or of many labels the pairs that are confused most.

    Args:
        confusions: A row for each true label, a column for each predicted one.
        width: Of the column of names.
    """
    if len(names) > SHOWN_LABELS:
        return _format_pairs(names, confusions, width)
    lines = ["confusion matrix (a row for each true label, a column for each predicted one)"]
    lines.append(" " * width + "".join(f"  {name:>{max(6, len(name))}}" for name in names))
    for name, row in zip(names, confusions, strict=True):
        pairs = zip(row, names, strict=True)
        cells = "".join(f"  {count:{max(6, len(other))}}" for count, other in pairs)
        lines.append(f"{name:{width}}{cells}")
    return lines


def _format_pairs(
    names: Sequence[str], confusions: Sequence[Sequence[int]], width: int
) -> list[str]:
    counts = np.array(confusions)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:SHOWN_PAIRS]
    pairs = [divmod(int(place), len(names)) for place in order]
    lines = [f"most confused labels\n{'rows':>6}  {'true label':{width}}  predicted label"]
    for true, predicted in pairs:
        if counts[true, predicted]:
            lines.append(f"{counts[true, predicted]:6}  {names[true]:{width}}  {names[predicted]}")
    return lines


def worst_classes(classes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the labels with the lowest F1 of those that have rows, the worst first."""
    present = [name for name, row in classes.items() if row["rows"]]
    return sorted(present, key=lambda name: classes[name]["f1"])[:SHOWN_PAIRS]


def most_confused(confusions: Sequence[Sequence[int]], num_labels: int) -> list[int]:
    """Return the columns of the labels with the most mistakes, in the order of the columns."""
    counts = np.array(confusions)
    np.fill_diagonal(counts, 0)
    mistakes = counts.sum(axis=0) + counts.sum(axis=1)
    return sorted(np.argsort(-mistakes, kind="stable")[:num_labels].tolist())


def write_confusions(figures: Mapping[str, Any], path: Path) -> None:
    """Write the whole matrix as CSV: a row for each true label, a column for each predicted one."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["true label", *figures["labels"]])
        for name, row in zip(figures["labels"], figures["confusion_matrix"], strict=True):
            writer.writerow([name, *row])
