"""What a model's probabilities are worth, for Keras and for ONNX alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
)

from training.errors import DataError

CALIBRATION_BINS = 15


def evaluate(
    labels: Sequence[str], probabilities: NDArray[np.floating[Any]], names: Sequence[str]
) -> dict[str, Any]:
    """Return every figure that `minnow evaluate` prints, ready for JSON.

    Args:
        labels: True label of each row.
        probabilities: Shape (len(labels), len(names)).
        names: Label of each column.

    Raises:
        DataError: A label that the model does not know.
    """
    unknown = sorted(set(labels) - set(names))
    if unknown:
        raise DataError(
            f"the data has {len(unknown)} labels that the model does not know, the first is "
            f"{unknown[0]!r}; it knows {', '.join(map(repr, names))}"
        )
    label_ids = np.array([list(names).index(label) for label in labels])
    predicted = probabilities.argmax(axis=1)
    columns = range(len(names))
    # Rows sum to 1 within float32's rounding; scikit-learn wants float64's.
    rows = np.asarray(probabilities, np.float64)
    rows = rows / rows.sum(axis=1, keepdims=True)
    precision, recall, f1, support = precision_recall_fscore_support(
        label_ids, predicted, labels=columns, zero_division=0.0
    )
    return {
        "rows": len(labels),
        "accuracy": float(accuracy_score(label_ids, predicted)),
        # Over the labels that stand in the data: one that does not has no F1.
        "macro_f1": float(
            f1_score(
                label_ids,
                predicted,
                labels=np.unique(label_ids),
                average="macro",
                zero_division=0.0,
            )
        ),
        "log_loss": float(log_loss(label_ids, rows, labels=columns)),
        "calibration_error": calibration_error(label_ids, rows),
        "classes": {
            name: {
                "precision": float(precision[column]),
                "recall": float(recall[column]),
                "f1": float(f1[column]),
                "rows": int(support[column]),
            }
            for column, name in enumerate(names)
        },
        "labels": list(names),
        "confusion_matrix": confusion_matrix(label_ids, predicted, labels=columns).tolist(),
    }


def headline(figures: dict[str, Any]) -> dict[str, Any]:
    """Return the figures that are one number each."""
    return {name: value for name, value in figures.items() if isinstance(value, (int, float))}


def calibration_error(
    label_ids: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]]
) -> float:
    """Return the expected calibration error, 0 to 1, in 15 bins of equal width.

    The mean gap between confidence and accuracy, weighted by a bin's rows (Naeini et al., AAAI
    2015; Guo et al., ICML 2017).
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == label_ids
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=confidence - correct, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(label_ids))


def format_evaluation(figures: dict[str, Any]) -> str:
    """Return the figures as a text for people: a line each, classes and confusion as tables."""
    names = figures["labels"]
    width = max(6, *(len(name) for name in names))
    lines = [
        f"rows               {figures['rows']}",
        f"accuracy           {figures['accuracy']:.4f}",
        f"macro F1           {figures['macro_f1']:.4f}",
        f"log loss           {figures['log_loss']:.4f}",
        f"calibration error  {figures['calibration_error']:.4f}",
        "",
        f"{'label':{width}}  precision  recall      f1    rows",
    ]
    for name, row in figures["classes"].items():
        lines.append(
            f"{name:{width}}     {row['precision']:.4f}  {row['recall']:.4f}  {row['f1']:.4f}"
            f"  {row['rows']:6}"
        )
    lines += ["", "confusion matrix (a row for each true label, a column for each predicted one)"]
    lines.append(" " * width + "".join(f"  {name:>{max(6, len(name))}}" for name in names))
    for name, row in zip(names, figures["confusion_matrix"], strict=True):
        cells = "".join(f"  {n:{max(6, len(other))}}" for n, other in zip(row, names, strict=True))
        lines.append(f"{name:{width}}{cells}")
    return "\n".join(lines)
