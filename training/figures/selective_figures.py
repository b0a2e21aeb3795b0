"""How good selective answers are on rows: what is answered, how much of it is right, and the sets.

The risk-coverage curve tells what any other threshold would give: the accuracy of the most certain
rows, by how many of all rows they are (El-Yaniv & Wiener, JMLR 2010); AURC is the mean of their
share of errors over all coverages (Geifman, Uziel & El-Yaniv, ICLR 2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from handler.inference.tasks import Selective, Task
from training.answers.selective import TOLD_COVERAGE, measure_distances, read_scores
from training.figures.metrics import divide, show_figure
from training.fitting.encoded import Encoded
from training.tasks import Floats, Objective

CURVE_POINTS = 100
RISK_COVERAGE = "risk_coverage.png"


def measure_selective(
    task: Task,
    objective: Objective,
    outputs: Floats,
    rows: Encoded,
    learned: Encoded | None = None,
) -> dict[str, Any]:
    """Return the figures of selective answers; none of a task that answers everything.

    Args:
        task: What serves.
        outputs: Floats, shape (rows, num_outputs).
        learned: As for `measure_distances`.
    """
    figures: dict[str, Any] = {}
    if not isinstance(task, Selective):
        return figures
    if task.may_abstain:
        figures = _measure_answers(task, objective, outputs, rows, learned)
    sets = task.label_sets
    if sets is not None and sets.ends[0] <= TOLD_COVERAGE <= sets.ends[1]:
        is_in_set = outputs >= sets.find_threshold(TOLD_COVERAGE)
        truth = rows.targets.argmax(axis=1)
        figures["set_coverage"] = float(is_in_set[np.arange(len(truth)), truth].mean())
        figures["set_size"] = float(is_in_set.sum(axis=1).mean())
    return figures


def _measure_answers(
    task: Selective, objective: Objective, outputs: Floats, rows: Encoded, learned: Encoded | None
) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    is_right = objective.row_scores(outputs, rows.targets) > 0
    scores = read_scores(task, outputs)
    is_in = np.ones(len(outputs), np.bool_)
    if task.scope is not None:
        is_in = measure_distances(task.scope, rows, learned) <= task.scope.max_distance
        figures["out_of_scope"] = float(1 - is_in.mean())
    is_answered = is_in
    if task.abstain is not None:
        is_answered = is_in & (scores >= task.abstain.min_score)
        figures["promised_accuracy"] = task.abstain.accuracy
    figures["answered"] = float(is_answered.mean())
    figures["answered_accuracy"] = divide(is_right[is_answered].sum(), is_answered.sum())
    order = np.lexsort((-scores, ~is_in))  # out of scope is never answered: last
    right = np.cumsum(is_right[order]) / np.arange(1, len(order) + 1)
    figures["aurc"] = float(1 - right.mean())
    places = np.unique(np.linspace(0, len(order) - 1, CURVE_POINTS).astype(int))
    figures["risk_coverage"] = [
        [(place + 1) / len(order), float(right[place])] for place in places.tolist()
    ]
    return figures


def format_evaluation(objective: Objective, figures: Mapping[str, Any]) -> str:
    """Return what the objective says of its figures, and below it those of selective answers."""
    own, selective = objective.format_evaluation(figures), format_selective(figures)
    return f"{own}\n\n{selective}" if selective else own


def format_selective(figures: Mapping[str, Any]) -> str:
    """Return the figures of selective answers for people; "" where there are none."""
    lines = []
    if "answered" in figures:
        right = f"{show_figure(figures.get('answered_accuracy'))} of them right"
        promised = figures.get("promised_accuracy")
        wanted = "" if promised is None else f", promised {promised:g}"
        lines.append(f"answered           {figures['answered']:.4f}  ({right}{wanted})")
        if "out_of_scope" in figures:
            lines.append(f"out of scope       {figures['out_of_scope']:.4f}")
        lines.append(f"AURC               {figures['aurc']:.4f}")
    if "set_coverage" in figures:
        lines.append(
            f"sets at {TOLD_COVERAGE:g}        {figures['set_coverage']:.4f}  hold the label, of "
            f"{figures['set_size']:.2f} labels in the mean"
        )
    return "\n".join(lines)


def write_plots(figures: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Draw the risk-coverage curve into `folder`, where there is one; return title -> file name."""
    if "risk_coverage" not in figures:
        return {}
    from training.figures.plots import plot_risk_coverage

    plot_risk_coverage(figures, folder / RISK_COVERAGE)
    return {"Accuracy of what is answered": RISK_COVERAGE}
