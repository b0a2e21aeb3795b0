"""Several labels: none, one or more of two or more, each decided for itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from handler.errors import ArtefactError
from handler.inference.checks import Check, array, number, refuse
from handler.inference.tasks.labels import MAX_LABELS, read_labels
from handler.inference.tasks.task import (
    DEFAULT_OPTIONS,
    PROBABILITY_ATOL,
    Cell,
    JsonCell,
    Options,
    OutputRow,
    Tensor,
    log_odds,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

USUAL_THRESHOLD = 0.5
SCORE_DECIMALS = 6  # float32 holds seven digits


def read_threshold(value: object, field: str) -> float:
    """Return a threshold: above 0, as a label of 0 would stand everywhere, and 1 at most."""
    threshold: float = number(value, field)
    if not 0 < threshold <= 1:
        refuse(field, value, "a number above 0 and 1 at most")
    return threshold


class MultiLabel:
    """Any of the labels; column i is the probability of `labels[i]`, whatever the others are.

    Args:
        labels: Two or more.
        thresholds: From which probability on a text has the label, one for each; at 1 it has it
            only where float32 cannot tell its probability from 1. By default 0.5 for each.

    Raises:
        ArtefactError: There is not one threshold for each label.
    """

    kind = "multi-label"
    fields: Mapping[str, Check] = {
        "labels": read_labels,
        "thresholds": array(read_threshold, MAX_LABELS, least=2),
    }
    output_scale = 1.0
    # Both JSON arrays, the labels' and their probabilities': a label may hold any separator.
    columns: Mapping[str, type] = {"predicted_labels": str, "predicted_scores": str}

    def __init__(self, labels: Sequence[str], thresholds: Sequence[float] | None = None) -> None:
        self.labels = tuple(labels)
        self.num_outputs = len(self.labels)
        usual = (USUAL_THRESHOLD,) * self.num_outputs
        self.thresholds = usual if thresholds is None else tuple(thresholds)
        if len(self.thresholds) != self.num_outputs:
            raise ArtefactError(
                f"task.thresholds has {len(self.thresholds)} numbers, wanted "
                f"{self.num_outputs}: one for each label."
            )
        self.tensors = (
            Tensor("labels", "BYTES"),
            Tensor("scores", "FP32", self.num_outputs),
        )

    def describe(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "labels": list(self.labels),
            "thresholds": list(self.thresholds),
        }

    def find_flaw(self, row: OutputRow) -> str:
        if all(-PROBABILITY_ATOL <= value <= 1 + PROBABILITY_ATOL for value in row):
            return ""
        return "holds a number outside 0 to 1"  # or none at all, NaN

    def answer(self, row: OutputRow, options: Options = DEFAULT_OPTIONS) -> dict[str, Any]:
        """Return `labels`, the most probable first, and `scores`; ranked where `top_k` is asked.

        The options choose the scores that are shown; which labels a text has, the thresholds say.
        """
        scores = dict(zip(self.labels, row, strict=True))
        if options is not DEFAULT_OPTIONS:
            ranked = self.rank(row)[: options.top_k] if options.top_k else scores.items()
            scores = {name: value for name, value in ranked if value >= options.threshold}
        return {"labels": list(self.predicted_labels(row)), "scores": scores}

    def describe_answer(self) -> dict[str, Any]:
        probability = {"type": "number", "minimum": 0, "maximum": 1}
        scores = {
            "type": "object",
            "properties": dict.fromkeys(self.labels, probability),
            "additionalProperties": False,
        }
        labels = {
            "type": "array",
            "items": {"type": "string", "enum": list(self.labels)},
            "uniqueItems": True,
            "description": "Those over their thresholds, the most probable first; may be empty.",
        }
        return {"labels": labels, "scores": scores}

    def cells(self, row: OutputRow) -> tuple[Cell, ...]:
        chosen = self._choose(row)
        labels = [self.labels[column] for column in chosen]
        scores = [round(row[column], SCORE_DECIMALS) for column in chosen]
        return JsonCell(json.dumps(labels, ensure_ascii=False)), JsonCell(json.dumps(scores))

    def rank(self, row: OutputRow) -> list[tuple[str, float]]:
        return sorted(zip(self.labels, row, strict=True), key=lambda pair: -pair[1])

    def raw_score(self, score: float) -> float:
        return log_odds(score)

    def tensor_values(self, name: str, row: OutputRow) -> Sequence[Cell]:
        """Return for `labels` one JSON array, the cell of a file: of however many there are."""
        return self.cells(row)[:1] if name == "labels" else row

    def predicted_labels(self, row: OutputRow) -> Sequence[str]:
        return tuple(self.labels[column] for column in self._choose(row))

    def explained_output(self, row: OutputRow) -> int:
        """Return the most probable label that is given; where none is, the most probable one."""
        chosen = self._choose(row)
        return chosen[0] if chosen else row.index(max(row))

    def same_answers(
        self, left: NDArray[np.floating[Any]], right: NDArray[np.floating[Any]]
    ) -> NDArray[np.bool_]:
        same: NDArray[np.bool_] = (self.is_over(left) == self.is_over(right)).all(axis=1)
        return same

    def margins(self, outputs: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Return how far the label that is nearest to its threshold is from it."""
        import numpy as np

        gaps = np.abs(outputs - np.asarray(self.thresholds))
        nearest: NDArray[np.floating[Any]] = gaps.min(axis=1)
        return nearest

    def is_over(self, outputs: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        """Return which labels each row has; both of shape (rows, labels)."""
        import numpy as np

        over: NDArray[np.bool_] = outputs >= np.asarray(self.thresholds)
        return over

    def _choose(self, row: OutputRow) -> list[int]:
        """Return the columns over their thresholds, the most probable first."""
        pairs = zip(row, self.thresholds, strict=True)
        over = [column for column, (value, threshold) in enumerate(pairs) if value >= threshold]
        return sorted(over, key=lambda column: -row[column])
