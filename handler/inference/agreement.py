"""How far two versions of a model agree on the same texts: what a shadow's line of the log tells.

It holds counts, means and labels, never a text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from handler.inference.tasks import MultiLabel, Ordinal, Regression, Selective

if TYPE_CHECKING:
    from handler.inference.classifier import Prediction
    from handler.inference.models import Model
    from handler.inference.tasks import Task

MAX_CHANGES = 30  # pairs of labels in one line: the most frequent ones
NO_LABEL = ""  # not answered, or of several labels one that was not given


class Answered(NamedTuple):
    """What a model has answered, for a shadow that runs the same texts.

    Args:
        latency_ms: Of the predictions alone.
    """

    model: Model
    texts: Sequence[str]
    predictions: Sequence[Prediction]
    latency_ms: float


def measure_agreement(
    task: Task, other: Task, predictions: Sequence[Prediction], others: Sequence[Prediction]
) -> dict[str, Any]:
    """Return what a line of the log tells of two predictions of each text.

    Args:
        task, other: Of the same kind; of what answered and of what is tried.
        predictions, others: Of the same texts.

    Returns:
        texts: How many.
        agreed: Of how many the answer is the same: the label, all labels, the number within a tenth
            of the standard deviation.
        score_difference: Mean over the texts of how far the score of the answer's label is from the
            score that the other one gives this label; of several labels the mean over all of them;
            of numbers and ordered labels how far the values are apart.
        score_shift: Mean of the other one's score of its own answer, less this one's; of several
            labels of their mean score, of numbers and ordered labels of the value.
        changed: Label -> the other one's label -> texts, where they differ, at most 30 pairs; of
            several labels each that was lost or gained counts, against "".
        changed_others: Texts of further pairs.
    """
    rows = [(left.outputs, right.outputs) for left, right in zip(predictions, others, strict=True)]
    differences = [_measure_difference(_plain(task), _plain(other), *pair) for pair in rows]
    shifts = [_measure(_plain(other), right) - _measure(_plain(task), left) for left, right in rows]
    found: dict[str, Any] = {
        "texts": len(rows),
        "agreed": 0,
        "score_difference": round(sum(differences) / len(rows), 6),
        "score_shift": round(sum(shifts) / len(rows), 6),
    }
    if isinstance(task, Regression):
        left, right = ([pair[side][:1] for pair in rows] for side in (0, 1))
        return found | {"agreed": _count_same(task, left, right)}
    changes: Counter[tuple[str, str]] = Counter()
    for left_row, right_row in rows:
        pairs = _find_changes(task.predicted_labels(left_row), other.predicted_labels(right_row))
        found["agreed"] += not pairs
        changes.update(pairs)
    return found | _describe(changes)


def _describe(changes: Counter[tuple[str, str]]) -> dict[str, Any]:
    changed: dict[str, dict[str, int]] = {}
    for (label, new), count in changes.most_common(MAX_CHANGES):
        changed.setdefault(label, {})[new] = count
    left_out = changes.total() - sum(sum(of_label.values()) for of_label in changed.values())
    found: dict[str, Any] = {"changed": changed} if changed else {}
    return found | ({"changed_others": left_out} if left_out else {})


def _find_changes(labels: Sequence[str], others: Sequence[str]) -> list[tuple[str, str]]:
    """Return (label, the other one's label) of each change: ["a"], ["b"] -> [("a", "b")]."""
    if set(labels) == set(others):
        return []
    if len(labels) <= 1 and len(others) <= 1:
        return [((*labels, NO_LABEL)[0], (*others, NO_LABEL)[0])]
    lost = [(label, NO_LABEL) for label in labels if label not in others]
    return lost + [(NO_LABEL, label) for label in others if label not in labels]


def _plain(task: Task) -> Any:
    """Return the task itself, whose answers are never withheld."""
    return task.task if isinstance(task, Selective) else task


def _measure(task: Any, row: Sequence[float]) -> float:
    row = row[: task.num_outputs]
    if isinstance(task, MultiLabel):
        return float(sum(row) / len(row))
    if isinstance(task, Ordinal | Regression):
        return float(task.answer(row)["value"])
    return float(task.cells(row)[1])


def _measure_difference(
    task: Any, other: Any, row: Sequence[float], other_row: Sequence[float]
) -> float:
    if isinstance(task, Ordinal | Regression):
        return abs(_measure(task, row) - _measure(other, other_row))
    scores = dict(zip(task.labels, row, strict=False))  # behind them may be a distance
    others = dict(zip(other.labels, other_row, strict=False))
    if isinstance(task, MultiLabel):
        labels = scores.keys() | others.keys()
        gaps = [abs(scores.get(label, 0) - others.get(label, 0)) for label in labels]
        return float(sum(gaps) / len(gaps))
    label, score = task.cells(row[: task.num_outputs])[:2]
    return float(abs(score - others.get(label, 0)))


def _count_same(
    task: Regression, rows: Sequence[Sequence[float]], others: Sequence[Sequence[float]]
) -> int:
    import numpy as np

    return int(task.same_answers(np.asarray(rows), np.asarray(others)).sum())
