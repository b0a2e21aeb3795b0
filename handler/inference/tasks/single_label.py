"""A single label: one of two or more."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from handler.inference.checks import Check
from handler.inference.tasks.labels import read_labels
from handler.inference.tasks.task import (
    DEFAULT_OPTIONS,
    PROBABILITY_ATOL,
    Cell,
    Options,
    OutputRow,
    Tensor,
    log_odds,
)
from handler.inference.tasks.thresholds import Decision, read_thresholds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# What rounding may do to a row that sums to 1: six decimals of 10,000 labels are 0.005 at most.
SUM_ATOL = 0.01


class SingleLabel:
    """One of two labels or more; column i is the probability of `labels[i]`, a row sums to 1.

    Args:
        thresholds: Label -> probability from which on it is the answer, as `Decision` has them;
            none: the answer is the most probable label.
    """

    kind = "single-label"
    fields: Mapping[str, Check] = {"labels": read_labels}
    optional_fields: Mapping[str, Check] = {"thresholds": read_thresholds}
    output_scale = 1.0
    columns: Mapping[str, type] = {"predicted_label": str, "predicted_score": float}

    def __init__(
        self, labels: Sequence[str], thresholds: Mapping[str, float] | None = None
    ) -> None:
        self.labels = tuple(labels)
        self.thresholds = dict(thresholds or {})
        self._decision = Decision(self.labels, self.thresholds) if thresholds else None
        self.num_outputs = len(self.labels)
        self.tensors: tuple[Tensor, ...] = (
            Tensor("label", "BYTES"),
            Tensor("score", "FP32"),
            Tensor("probabilities", "FP32", self.num_outputs),
        )

    def describe(self) -> dict[str, Any]:
        described = {"kind": self.kind, "labels": list(self.labels)}
        return described | ({"thresholds": dict(self.thresholds)} if self.thresholds else {})

    def find_flaw(self, row: OutputRow) -> str:
        if not all(-PROBABILITY_ATOL <= value <= 1 + PROBABILITY_ATOL for value in row):
            return "holds a number outside 0 to 1"  # or none at all, NaN
        total = math.fsum(row)
        return "" if abs(total - 1) <= SUM_ATOL else f"sums to {total:.4g}, wanted 1"

    def answer(self, row: OutputRow, options: Options = DEFAULT_OPTIONS) -> dict[str, Any]:
        """Return `label`, its probability `score`, and `scores`; ranked where `top_k` is asked."""
        label, score = self.cells(row)[:2]
        scores = dict(zip(self.labels, row, strict=True))
        if options is not DEFAULT_OPTIONS:
            ranked = self.rank(row)[: options.top_k] if options.top_k else scores.items()
            scores = {name: value for name, value in ranked if value >= options.threshold}
        return {"label": label, "score": score, "scores": scores}

    def describe_answer(self) -> dict[str, Any]:
        probability = {"type": "number", "minimum": 0, "maximum": 1}
        scores = {
            "type": "object",
            "properties": dict.fromkeys(self.labels, probability),
            "additionalProperties": False,
        }
        return {
            "label": {"type": "string", "enum": list(self.labels)},
            "score": {**probability, "description": "The label's probability."},
            "scores": scores,
        }

    def cells(self, row: OutputRow) -> tuple[str, float]:
        chosen = self.explained_output(row)
        return self.labels[chosen], row[chosen]

    def rank(self, row: OutputRow) -> list[tuple[str, float]]:
        return sorted(zip(self.labels, row, strict=True), key=lambda pair: -pair[1])

    def raw_score(self, score: float) -> float:
        return log_odds(score)

    def tensor_values(self, name: str, row: OutputRow) -> Sequence[Cell]:
        label, score = self.cells(row)[:2]
        values: dict[str, Sequence[Cell]] = {"label": (label,), "score": (score,)}
        return values.get(name, row)

    def predicted_labels(self, row: OutputRow) -> Sequence[str]:
        return (self.labels[self.explained_output(row)],)

    def explained_output(self, row: OutputRow) -> int:
        return row.index(max(row)) if self._decision is None else self._decision.choose(row)

    def choose_all(self, outputs: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
        """Return the column of each answer, int64, shape (rows,)."""
        if self._decision is not None:
            return self._decision.choose_all(outputs)
        columns: NDArray[np.int64] = outputs.argmax(axis=1)
        return columns

    def same_answers(
        self, left: NDArray[np.floating[Any]], right: NDArray[np.floating[Any]]
    ) -> NDArray[np.bool_]:
        same: NDArray[np.bool_] = self.choose_all(left) == self.choose_all(right)
        return same

    def margins(self, outputs: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Return the gap between the two most probable labels, or to the nearest threshold."""
        if self._decision is not None:
            return self._decision.measure_margins(outputs)
        outputs = outputs.copy()
        outputs.sort(axis=1)
        gaps: NDArray[np.floating[Any]] = outputs[:, -1] - outputs[:, -2]
        return gaps
