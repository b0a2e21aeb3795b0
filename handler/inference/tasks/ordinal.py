"""Ordinal labels: one of several numbers that are labels, such as stars, of which each is more than
the one before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from handler.errors import ArtefactError
from handler.inference.checks import Check, show
from handler.inference.tasks.single_label import SingleLabel
from handler.inference.tasks.task import DEFAULT_OPTIONS, Cell, Options, OutputRow, Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# The graph compares every threshold with every lower one.
MAX_ORDERED = 100


class Ordinal(SingleLabel):
    """One of two ordered labels or more; column i is the probability of `labels[i]`, which is a
    number, as a text, and larger than the one before. A row sums to 1.

    The answer is the median label: the truth is as likely above it as below, so that its distance
    to the truth is the least to be expected. The most probable label may be another one.

    Raises:
        ArtefactError: Labels that are no numbers, or do not ascend.
    """

    kind = "ordinal"
    optional_fields: Mapping[str, Check] = {}
    columns: Mapping[str, type] = {
        "predicted_label": str,
        "predicted_score": float,
        "predicted_value": float,
    }

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__(labels)
        if len(labels) > MAX_ORDERED:
            raise ArtefactError(f"task.labels are {len(labels)}, wanted {MAX_ORDERED} at most.")
        self.values = tuple(_read_value(label, index) for index, label in enumerate(labels))
        for index in range(1, len(labels)):
            if self.values[index - 1] >= self.values[index]:
                raise ArtefactError(
                    f"task.labels[{index}] is {show(labels[index])}, wanted a larger number than "
                    "the one before."
                )
        self.tensors = (*self.tensors, Tensor("value", "FP32"))

    def answer(self, row: OutputRow, options: Options = DEFAULT_OPTIONS) -> dict[str, Any]:
        """Return `label`, its `score` and all `scores`, and `value`, the mean that they tell."""
        return super().answer(row, options) | {"value": self._expect(row)}

    def describe_answer(self) -> dict[str, Any]:
        value = {"type": "number", "minimum": self.values[0], "maximum": self.values[-1]}
        described = "The mean of the labels by their scores."
        return super().describe_answer() | {"value": {**value, "description": described}}

    def cells(self, row: OutputRow) -> tuple[Any, ...]:
        best = self.explained_output(row)
        return self.labels[best], row[best], self._expect(row)

    def tensor_values(self, name: str, row: OutputRow) -> Sequence[Cell]:
        return (self._expect(row),) if name == "value" else super().tensor_values(name, row)

    def explained_output(self, row: OutputRow) -> int:
        half = math.fsum(row) / 2
        sums = accumulate(row)
        return next((index for index, total in enumerate(sums) if total > half), len(row) - 1)

    def choose_all(self, outputs: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
        """Return the column of the median of each row, int64, shape (rows,)."""
        found: NDArray[np.int64] = (outputs.cumsum(axis=1)[:, :-1] <= 0.5).sum(axis=1)
        return found

    def margins(self, outputs: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Return half of how far a sum of probabilities is from one half, where the answer
        changes: the sum may change by more than one of its parts."""
        sums = outputs.cumsum(axis=1)[:, :-1]
        gaps: NDArray[np.floating[Any]] = abs(sums - 0.5).min(axis=1) / 2
        return gaps

    def _expect(self, row: OutputRow) -> float:
        total = math.fsum(row)
        mean = math.fsum(share * value for share, value in zip(row, self.values, strict=True))
        return min(max(mean / total, self.values[0]), self.values[-1])


def _read_value(label: str, index: int) -> float:
    try:
        value = float(label)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in label:
        raise ArtefactError(f"task.labels[{index}] is {show(label)}, wanted a number as a text.")
    return value
