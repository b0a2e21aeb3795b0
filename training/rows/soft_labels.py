"""Soft labels: rows of which probabilities are known, such as what a bigger model said of them.

A cell holds a JSON object, `{"pos": 0.8, "neg": 0.2}`, or each label has a column of its own.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from training.rows.labels import LabelProblem, format_label, normalize_label

SUM_ATOL = 1e-3  # what two or three decimals leave of a sum of 1
OBJECT = re.compile(r'\s*\{\s*["}]')  # how JSON begins; other labels may begin with a brace too


class SoftLabel(str):
    """Probabilities of labels; as a text the most probable one, of equal ones the first by name.

    So it is that label to all that splits, counts, measures and shows rows, and only targets
    (`Objective.encode`) have the probabilities.

    Args:
        probabilities: Label -> probability, of which the sum is 1.
    """

    __slots__ = ("probabilities",)
    probabilities: dict[str, float]

    def __new__(cls, probabilities: Mapping[str, float]) -> SoftLabel:
        label = super().__new__(cls, min(probabilities, key=lambda p: (-probabilities[p], p)))
        label.probabilities = dict(probabilities)
        return label

    def __reduce__(self) -> tuple[type[SoftLabel], tuple[dict[str, float]]]:
        return SoftLabel, (self.probabilities,)


def list_labels(labels: Iterable[str]) -> set[str]:
    """Return every label that rows have or may have: those of probability 0 too."""
    found: set[str] = set()
    for label in labels:
        if isinstance(label, SoftLabel):
            found |= label.probabilities.keys()
        else:
            found.add(label)
    return found


def is_soft(value: object) -> bool:
    """Say whether a cell holds probabilities, or what was meant as such."""
    return isinstance(value, dict) or (isinstance(value, str) and bool(OBJECT.match(value)))


def read_soft_label(value: object, normalize: bool = False) -> SoftLabel:
    """Return the label of a cell of which `is_soft` is true.

    Args:
        value, normalize: As in `read_probabilities`; the sum is 1.

    Raises:
        LabelProblem: It is no such object; holds nothing of the cell.
    """
    return SoftLabel(scale_to_one(read_probabilities(value, normalize)))


def read_probabilities(value: object, normalize: bool = False) -> dict[str, float]:
    """Return label -> probability of a cell of which `is_soft` is true, whatever their sum.

    Args:
        value: `{"pos": 0.8, "neg": 0.2}`, or the same as JSON; null is 0, as a label that is not
            there.
        normalize: Labels that differ by form alone are one, of the sum of their probabilities.

    Raises:
        LabelProblem: It is no such object; holds nothing of the cell.
    """
    pairs = value.items() if isinstance(value, dict) else _parse_pairs(str(value))
    found: dict[str, float] = {}
    for name, number in pairs:
        label = format_label(name)
        if not label:
            raise LabelProblem("has a probability of a label without a name")
        if any("\ud800" <= letter <= "\udfff" for letter in label):
            raise LabelProblem("has a label that is not Unicode text")
        if label in found:
            raise LabelProblem("has two probabilities of one label")
        found[label] = _read_probability(number)
    if normalize:
        merged: dict[str, float] = {}
        for label, probability in found.items():
            form = normalize_label(label)
            merged[form] = merged.get(form, 0.0) + probability
        found = merged
    return found


def read_label_columns(labels: Sequence[str], cells: Sequence[object]) -> SoftLabel:
    """Return the label of a row that has a column for each of `labels`; an empty cell is 0.

    Raises:
        LabelProblem: A cell is no probability, or the sum is not 1; holds nothing of the row.
    """
    return SoftLabel(scale_to_one(read_shares(labels, cells)))


def read_shares(labels: Sequence[str], cells: Sequence[object]) -> dict[str, float]:
    """Return label -> probability of a row that has a column for each, whatever their sum.

    Raises:
        LabelProblem: A cell is no probability; holds nothing of the row.
    """
    shares: dict[str, float] = {}
    for label, cell in zip(labels, cells, strict=True):
        try:
            shares[label] = _read_cell(cell)
        except LabelProblem as problem:
            problem.column = label
            raise
    return shares


def scale_to_one(probabilities: Mapping[str, float]) -> dict[str, float]:
    """Return the probabilities so that their sum is 1, not only about 1.

    Raises:
        LabelProblem: The sum is farther from 1 than rounding explains.
    """
    total = sum(probabilities.values())
    if abs(total - 1) > SUM_ATOL:
        raise LabelProblem(
            f"has probabilities whose sum is {total:.4g}, wanted 1 (where a text can have several "
            "labels, --task multi-label takes each for itself)"
        )
    return {label: number / total for label, number in probabilities.items()}


def read_weight(value: object) -> float:
    """Return what a row counts, beside rows of 1: "2.5" -> 2.5.

    Raises:
        LabelProblem: It is no number above 0; holds nothing of the cell.
    """
    number = _read_number(value)
    if number is None or not 0 < number < math.inf:
        raise LabelProblem("is no weight, wanted a number above 0")
    return number


def describe_soft(labels: Sequence[str]) -> str:
    """Return one line about the rows with probabilities; "" where there are none."""
    highest = [max(x.probabilities.values()) for x in labels if isinstance(x, SoftLabel)]
    if not highest:
        return ""
    mean = sum(highest) / len(highest)
    return f"{len(highest):,} rows have probabilities, the highest of each {mean:.3f} in the mean"


def _parse_pairs(text: str) -> list[tuple[str, Any]]:
    try:  # pairs, so that a name that stands twice is seen
        pairs = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        raise LabelProblem(
            "begins as a JSON object and is none, wanted one such as "
            '{"pos": 0.8, "neg": 0.2}, or a label'
        ) from None
    return list(pairs)


class _Pairs(list[Any]):
    """The fields of a JSON object, in order, with those that stand twice."""


def _read_cell(value: object) -> float:
    return 0.0 if isinstance(value, str) and not value.strip() else _read_probability(value)


def _read_probability(value: object) -> float:
    """Return a probability; null is 0."""
    number = 0.0 if value is None else _read_number(value)
    if number is None or not 0 <= number <= 1:
        raise LabelProblem("has what is no probability, wanted numbers from 0 to 1")
    return number


def _read_number(value: object) -> float | None:
    """Return a number, also where it is written as a text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
