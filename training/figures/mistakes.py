"""The answers that were wrong and most certain: what a look at the data should begin with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.rows.data import Part
from training.tasks import Objective

MOST = 20
SHOWN_CHARACTERS = 300


@dataclass(frozen=True)
class Mistake:
    """One wrong answer.

    Args:
        row: Number of the row in its file, from 1.
        score: Of the predicted label; of a number how far it is from the truth.
        text: For the report alone.
    """

    row: int
    label: str
    predicted: str
    score: float
    text: str


def find_mistakes(
    objective: Objective, part: Part, outputs: NDArray[np.floating[Any]]
) -> list[Mistake]:
    """Return the most confident mistakes, the most confident first; of numbers the largest errors.

    Args:
        outputs: Floats, shape (rows, num_outputs).
    """
    if "labels" not in objective.task.describe():
        return _find_largest_errors(objective, part, outputs)
    scores = objective.mistake_scores(outputs, objective.encode(part.labels))
    worst = np.argsort(-scores, kind="stable")[:MOST]
    return [
        Mistake(
            part.rows[row],
            part.labels[row],
            ", ".join(objective.task.predicted_labels(outputs[row].tolist())),
            float(scores[row]),
            part.texts[row],
        )
        for row in worst.tolist()
        if scores[row] >= 0
    ]


def _find_largest_errors(
    objective: Objective, part: Part, outputs: NDArray[np.floating[Any]]
) -> list[Mistake]:
    errors = (outputs - objective.encode(part.labels))[:, 0]
    worst = np.argsort(-np.abs(errors), kind="stable")[:MOST]
    return [
        Mistake(
            part.rows[row],
            part.labels[row],
            f"{outputs[row, 0]:.6g}",
            float(errors[row]),
            part.texts[row],
        )
        for row in worst.tolist()
        if errors[row]
    ]


def name_mistakes(objective: Objective) -> str:
    """Return what people call what `find_mistakes` finds."""
    has_labels = "labels" in objective.task.describe()
    return "most confident mistakes" if has_labels else "largest errors"


def format_mistakes(mistakes: Sequence[Mistake], has_labels: bool = True) -> list[str]:
    """Return a Markdown table of mistakes, the texts shortened."""
    what, form = ("score", ".3f") if has_labels else ("error", "+.4g")
    lines = [f"| row | label | predicted | {what} | text |", "|---|---|---|---|---|"]
    for mistake in mistakes:
        text = " ".join(mistake.text.split())
        if len(text) > SHOWN_CHARACTERS:
            text = f"{text[:SHOWN_CHARACTERS]}…"
        score = format(mistake.score, form)
        cells = [str(mistake.row), mistake.label, mistake.predicted, score, text]
        lines.append(f"| {' | '.join(map(escape_cell, cells))} |")
    return lines


def escape_cell(cell: str) -> str:
    """Return a cell that Markdown shows as it stands."""
    for sign in "\\`*_[]<>|#&":
        cell = cell.replace(sign, f"\\{sign}")
    return cell
