"""Regression: one number for each text, with an interval that holds the truth so many times in a
hundred."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from handler.errors import ArtefactError
from handler.inference.checks import FLOAT32_MAX, Check, array, flag, number, record
from handler.inference.tasks.task import (
    DEFAULT_OPTIONS,
    Cell,
    Number,
    Options,
    OutputRow,
    Tensor,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_RADII = 1_000
LABEL = "LABEL_0"  # as transformers calls the only output of a model of one
KEPT_DIGITS = 5  # behind the first one of the standard deviation: int8 moves the second
# Of the standard deviation: by more two numbers are not the same answer.
SAME_SHARE = 0.1


class Interval(NamedTuple):
    """How far the truth is from a number; by the number, as some are less certain than others.

    Args:
        coverage: Share of the texts whose truth the interval shall hold, above 0 and below 1.
        edges: Where one radius ends and the next one begins, ascending.
        radii: One more than there are edges, each 0 or more.
    """

    coverage: float
    edges: tuple[float, ...]
    radii: tuple[float, ...]


class Regression:
    """One number; the only column is the number itself, in the unit of the labels.

    Args:
        lowest, highest: Of the labels that were learned from.
        mean, standard_deviation: Of those.
        clips: No answer is below `lowest` or above `highest`.
        interval: As `Interval` has it, as an object; None where too few rows tell.

    Raises:
        ArtefactError: Fields that do not fit each other.
    """

    kind = "regression"
    fields: Mapping[str, Check] = {}  # below: `_read_interval` stands behind it
    num_outputs = 1

    def __init__(
        self,
        lowest: float,
        highest: float,
        mean: float,
        standard_deviation: float,
        clips: bool = True,
        interval: Mapping[str, Any] | None = None,
    ) -> None:
        if not lowest <= mean <= highest:
            raise ArtefactError(
                f"task.mean is {mean:g}, wanted one between task.lowest ({lowest:g}) and "
                f"task.highest ({highest:g})."
            )
        if not 0 < standard_deviation <= highest - lowest:
            raise ArtefactError(
                f"task.standard_deviation is {standard_deviation:g}, wanted one above 0 and at "
                f"most task.highest - task.lowest ({highest - lowest:g})."
            )
        self.lowest, self.highest = lowest, highest
        self.mean, self.standard_deviation = mean, standard_deviation
        self.clips = clips
        self.interval = _read_parts(interval)
        self._digits = KEPT_DIGITS - math.floor(math.log10(standard_deviation))
        has_interval = self.interval is not None
        names = ["predicted_value", *["predicted_low", "predicted_high"] * has_interval]
        self.columns: Mapping[str, type] = dict.fromkeys(names, float)
        self.tensors = (Tensor("value", "FP32"), *[Tensor("interval", "FP32", 2)] * has_interval)

    @property
    def output_scale(self) -> float:
        return self.standard_deviation

    def describe(self) -> dict[str, Any]:
        interval: dict[str, Any] | None = None
        if self.interval is not None:
            coverage, edges, radii = self.interval
            interval = {"coverage": coverage, "edges": list(edges), "radii": list(radii)}
        return {
            "kind": self.kind,
            "lowest": self.lowest,
            "highest": self.highest,
            "mean": self.mean,
            "standard_deviation": self.standard_deviation,
            "clips": self.clips,
            "interval": interval,
        }

    def find_flaw(self, row: OutputRow) -> str:
        is_finite = all(-FLOAT32_MAX <= value <= FLOAT32_MAX for value in row)  # nor NaN
        return "" if is_finite else "holds a number that is not finite"

    def answer(self, row: OutputRow, options: Options = DEFAULT_OPTIONS) -> dict[str, Any]:
        """Return `value`, and `interval`, its ends; options that choose among labels choose
        nothing."""
        value, *ends = self.cells(row)
        return {"value": value} | ({"interval": ends} if ends else {})

    def describe_answer(self) -> dict[str, Any]:
        value: dict[str, Any] = {"type": "number"}
        if self.clips:
            value |= {"minimum": self._round(self.lowest), "maximum": self._round(self.highest)}
        if self.interval is None:
            return {"value": value}
        share = f"{100 * self.interval.coverage:g} of 100"
        ends = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
        return {
            "value": value,
            "interval": {
                **ends,
                "description": f"From, to: the truth lies there in {share} texts.",
            },
        }

    def cells(self, row: OutputRow) -> tuple[float, ...]:
        """Return the number, and the ends of its interval where there is one."""
        value = row[0]
        if self.interval is None:
            return (self._round(value),)
        radius = self.interval.radii[bisect_right(self.interval.edges, value)]
        low, high = value - radius, value + radius
        if self.clips:
            low, high = max(low, min(self.lowest, value)), min(high, max(self.highest, value))
        return self._round(value), self._round(low), self._round(high)

    def rank(self, row: OutputRow) -> list[tuple[str, float]]:
        """Return the number as the score of the only label, as transformers' pipelines have it."""
        return [(LABEL, self._round(row[0]))]

    def raw_score(self, score: float) -> float:
        return score

    def tensor_values(self, name: str, row: OutputRow) -> Sequence[Cell]:
        value, *ends = self.cells(row)
        return ends if name == "interval" else (value,)

    def predicted_labels(self, row: OutputRow) -> Sequence[str]:
        return ()

    def explained_output(self, row: OutputRow) -> int:
        return 0

    def same_answers(
        self, left: NDArray[np.floating[Any]], right: NDArray[np.floating[Any]]
    ) -> NDArray[np.bool_]:
        gaps = abs(left[:, 0] - right[:, 0])
        same: NDArray[np.bool_] = gaps <= SAME_SHARE * self.standard_deviation
        return same

    def margins(self, outputs: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Return the same for all: a number has no next one that it could become."""
        return 0 * abs(outputs[:, 0]) + SAME_SHARE * self.standard_deviation

    def _round(self, value: float) -> float:
        """Return a number without the digits that float32 and int8 make up: 3.700000048 -> 3.7."""
        return Number(round(value, self._digits))


def _read_parts(interval: Mapping[str, Any] | None) -> Interval | None:
    if interval is None:
        return None
    coverage, edges, radii = (interval[name] for name in Interval._fields)
    if not 0 < coverage < 1:
        raise ArtefactError(
            f"task.interval.coverage is {coverage:g}, wanted one above 0 and below 1."
        )
    if len(radii) != len(edges) + 1:
        raise ArtefactError(
            f"task.interval.radii has {len(radii)} numbers, wanted {len(edges) + 1}: one more than "
            "task.interval.edges."
        )
    if any(first >= second for first, second in zip(edges, edges[1:], strict=False)):
        raise ArtefactError("task.interval.edges do not ascend.")
    if min(radii) < 0:
        raise ArtefactError(f"task.interval.radii has {min(radii):g}, wanted 0 or more.")
    return Interval(coverage, tuple(edges), tuple(radii))


def _read_interval(value: Any, field: str) -> dict[str, Any] | None:
    """Return null or an object of the shape of `Interval`."""
    if value is None:
        return None
    numbers = array(number, MAX_RADII)
    shape = record({"coverage": number, "edges": numbers, "radii": numbers})
    found: dict[str, Any] = shape(value, field)
    return found


Regression.fields = {
    **dict.fromkeys(("lowest", "highest", "mean", "standard_deviation"), number),
    "clips": flag,
    "interval": _read_interval,
}
