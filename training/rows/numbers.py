"""Labels that are numbers: read strictly, so that no number is misread, and described."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError
from training.rows.cells import describe_empty_cell
from training.rows.readers import Dataset
from training.rows.soft_labels import SoftLabel

NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
WITH_COMMA = re.compile(r"[+-]?[0-9]+(,[0-9]+)+(\.[0-9]+)?")
LARGEST = 1e30  # squares of float32 numbers end at 3.4e38; of standardised ones there is room
# float32 has 24 bits: of less than this beside the largest number, it tells 100 numbers apart only.
LEAST_SPREAD = 1e-5
MANY_NUMBERS = 100  # different labels, above which nobody means classes that are fractions


def read_number(label: str) -> float:
    """Return the number that a label is: "4" -> 4.0, "4.0" -> 4.0, "-1.5e3" -> -1500.0.

    Raises:
        DataError: Why it is none, and what to do; holds nothing of the cell.
    """
    if isinstance(label, SoftLabel):
        raise DataError("has probabilities, wanted a number")
    if not NUMBER.fullmatch(label):
        raise DataError(_describe_flaw(label))
    number = float(label)
    if not -LARGEST <= number <= LARGEST:
        raise DataError(f"is beyond {LARGEST:g}, wanted a number that float32 can square")
    return number


def _describe_flaw(label: str) -> str:
    if WITH_COMMA.fullmatch(label):
        return "has a comma, wanted a number with a decimal point and no other sign, such as 1234.5"
    if is_infinite(label):
        return "is infinite, wanted a number"
    if any(sign.isdigit() for sign in label):
        return "holds more than a number, wanted its digits alone, such as 1234.5"
    return "is a text, wanted a number such as 1234.5"


def is_infinite(label: str) -> bool:
    """Say whether a label is what programs write for infinity."""
    return label.strip("+-").casefold() in ("inf", "infinity")


def read_numbers(labels: Sequence[str], place: Callable[[int], str]) -> NDArray[np.float64]:
    """Return the numbers, float64, shape (len(labels),).

    Args:
        place: Row, from 1 -> how an error begins.

    Raises:
        DataError: A label is none.
    """
    known: dict[str, float] = {}
    numbers = np.empty(len(labels))
    for index, label in enumerate(labels):
        number = None if isinstance(label, SoftLabel) else known.get(label)
        if number is None:
            try:
                number = known[label] = read_number(label)
            except DataError as error:
                begin = place(index + 1)
                raise DataError(f"{begin} {error}. Mend the cell or remove the row.") from None
        numbers[index] = number
    return numbers


def read_column(dataset: Dataset) -> NDArray[np.float64]:
    """Return the numbers of a file's label column, float64, shape (rows,).

    Raises:
        DataError: A cell is empty or no number; with file, row and column.
    """
    path, column = dataset.path, dataset.label_column
    if "" in dataset.labels:
        raise DataError(describe_empty_cell(path, dataset.labels.index("") + 1, column))
    return read_numbers(dataset.labels, lambda row: f"{path}: row {row}: column {column!r}")


def find_numbers(labels: Sequence[str]) -> NDArray[np.float64]:
    """Return the numbers among the labels, float64; what is none is passed over."""
    counts = Counter(label for label in labels if not isinstance(label, SoftLabel))
    found: list[float] = []
    for label, count in counts.items():
        try:
            found += [read_number(label)] * count
        except DataError:
            continue
    return np.array(sorted(found), np.float64)


def are_fractional(labels: Sequence[str]) -> bool:
    """Say whether labels are numbers that are measured, not numbers of classes: all are numbers,
    and one or more has a fraction. "3.7" has, "4" and "4.0" have none.

    Infinity may stand among them, and of more than `MANY_NUMBERS` different ones a tenth may be
    none, which is then told as an error of the row.
    """
    if any(isinstance(label, SoftLabel) for label in labels):
        return False
    different = {label for label in set(labels) - {""} if not is_infinite(label)}
    numbers = [float(label) for label in different if NUMBER.fullmatch(label)]
    most_strange = len(different) // 10 if len(different) > MANY_NUMBERS else 0
    if not numbers or len(different) - len(numbers) > most_strange:
        return False
    return any(math.isfinite(number) and not number.is_integer() for number in numbers)


def are_whole(labels: Sequence[str]) -> bool:
    """Say whether all labels are whole numbers, such as stars: labels that may have an order."""
    different = set(labels)
    if len(different) < 3 or any(isinstance(label, SoftLabel) for label in labels):
        return False
    return all(NUMBER.fullmatch(label) and float(label).is_integer() for label in different)


def have_commas(labels: Sequence[str]) -> bool:
    """Say whether all labels are numbers, some with a comma in them."""
    different = set(labels)
    is_comma = [bool(WITH_COMMA.fullmatch(label)) for label in different]
    return any(is_comma) and all(
        found or NUMBER.fullmatch(label) for found, label in zip(is_comma, different, strict=True)
    )


def describe_numbers(numbers: NDArray[np.float64]) -> str:
    """Return one line: `numbers from 1 to 10, mean 5.48, median 7, standard deviation 3.47`."""
    return (
        f"numbers from {numbers.min():.6g} to {numbers.max():.6g}, mean {numbers.mean():.4g}, "
        f"median {np.median(numbers):.4g}, standard deviation {numbers.std():.4g}; "
        f"{len(np.unique(numbers)):,} different ones"
    )


def check_spread(numbers: NDArray[np.float64], dataset: Dataset) -> None:
    """Raise DataError where all numbers are one, or nearly so for float32."""
    column = dataset.label_place
    if numbers.min() == numbers.max():
        raise DataError(
            f"{column} holds {numbers[0]:g} in every row, wanted different numbers. Is this the "
            "right --label-column?"
        )
    largest = float(np.abs(numbers).max())
    if numbers.std() < LEAST_SPREAD * largest:
        raise DataError(
            f"{column} holds numbers that differ too little beside their size: a standard "
            f"deviation of {numbers.std():.3g} beside {largest:.6g}. Subtract {numbers.min():.12g} "
            "from each, and add it to the answers."
        )
    if numbers.std() < 1 / LARGEST:
        raise DataError(
            f"{column} holds numbers that are too small for float32, with a standard deviation of "
            f"{numbers.std():.3g}. Multiply them, and divide the answers."
        )
