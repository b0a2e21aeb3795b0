"""Several labels a row: lists in a cell, or labels with a separator between.

A list is one of JSON (Lines), of Parquet, or written out in a cell, as JSON or as Python shows it.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from handler.inference.tasks import MultiLabel, SingleLabel
from training.errors import DataError, SettingsError
from training.rows.columns import Columns
from training.rows.labels import LabelProblem, format_label, normalize_label
from training.rows.soft_labels import SoftLabel

LIST = re.compile(r"""\s*\[\s*(["'\]]|-?\d)""")  # how a list begins; other labels may too
SURE = re.compile(r"""\s*\[\s*["'\]]""")  # and what else hardly does: "[1]" may be a label
NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
SEPARATORS = ("|", ";", ",")  # that are looked for
# Of the parts of cells that hold a separator so many stand in another cell too, if they are labels.
# In "Boston, MA" and "Phones|Android" places and products stand once.
REPEATED_SHARE = 0.8
MANY_PARTS = 2  # cells that hold the separator: one alone shows nothing
HARD = 0.5  # from this probability on a soft label counts as one that the row has
SIDES = {0.0, 1.0}

Describe = Callable[[int, LabelProblem], DataError]  # from a row's number and what is wrong


class LabelSet(str):
    """The labels of a row, each with a probability of its own; as a text those that it has, sorted.

    So to all that shows and compares rows it is one text, and "" where it has none.

    Args:
        probabilities: Label -> 0 to 1; 1 where the row just has it. What is not there is 0.
    """

    __slots__ = ("probabilities",)
    probabilities: dict[str, float]

    def __new__(cls, probabilities: Mapping[str, float]) -> LabelSet:
        names = sorted(name for name, share in probabilities.items() if share >= HARD)
        label = super().__new__(cls, ", ".join(names))
        label.probabilities = dict(probabilities)
        return label

    def __reduce__(self) -> tuple[type[LabelSet], tuple[dict[str, float]]]:
        return LabelSet, (self.probabilities,)

    @property
    def names(self) -> list[str]:
        """The labels that the row has, sorted."""
        return sorted(name for name, share in self.probabilities.items() if share >= HARD)

    @property
    def is_soft(self) -> bool:
        return not SIDES.issuperset(self.probabilities.values())


def say_several(columns: Columns, kind: str | None) -> Columns:
    """Return the columns that say whether rows have several labels, as the kind of task needs it;
    None: it is found.

    Raises:
        SettingsError: A separator is given for a single label.
    """
    if kind == SingleLabel.kind and columns.separator:
        raise SettingsError("--label-separator is for several labels, the task is single-label.")
    known = {MultiLabel.kind: True, SingleLabel.kind: False, None: columns.several}
    return dataclasses.replace(columns, several=known.get(kind))


def names_of(label: str) -> list[str]:
    """Return the labels of a row: of a set all that it has, of any other the label itself."""
    if isinstance(label, LabelSet):
        return label.names
    return [str(label)] if label else []


def shares_of(label: str) -> Mapping[str, float]:
    """Return the labels that a row has or may have, those of probability 0 too, and how far it has
    each, 0 to 1."""
    if isinstance(label, LabelSet | SoftLabel):
        return label.probabilities
    return dict.fromkeys(names_of(label), 1.0)


def is_list(value: object, columns: Columns) -> bool:
    """Say whether a cell holds a list of labels, or what was meant as one."""
    if isinstance(value, list | tuple):
        return True
    if not isinstance(value, str) or columns.several is False:
        return False
    return bool((LIST if columns.several else SURE).match(value))


def read_list(value: object, columns: Columns) -> LabelSet:
    """Return the labels of a cell of which `is_list` is true.

    Raises:
        LabelProblem: It is no list of labels; holds nothing of the cell.
    """
    return make_set(_parse_list(value) if isinstance(value, str) else list(value), columns)  # type: ignore[call-overload]


def make_set(parts: Iterable[object], columns: Columns) -> LabelSet:
    """Return the set of labels that a row has.

    Raises:
        LabelProblem: One is none, stands twice, or holds the separator.
    """
    found: dict[str, float] = {}
    for part in parts:
        label = format_label(part)
        if not label:
            raise LabelProblem("has a label without a name among others")
        if any("\ud800" <= letter <= "\udfff" for letter in label):
            raise LabelProblem("has a label that is not Unicode text")
        if columns.normalize_labels:
            label = normalize_label(label)
        if label in found:
            raise LabelProblem("has one label twice")
        if columns.separator and columns.separator in label:
            raise LabelProblem("is a list with a label that holds the --label-separator itself")
        found[label] = 1.0
    return LabelSet(found)


def split_cell(cell: str, columns: Columns) -> LabelSet:
    """Return the labels of a cell with the separator between: "a|b" -> a and b; "" -> none.

    Raises:
        LabelProblem: As `make_set`.
    """
    if not cell:
        return LabelSet({})
    return make_set(cell.split(columns.separator) if columns.separator else [cell], columns)


def settle_labels(
    labels: list[str], columns: Columns, describe: Describe
) -> tuple[list[str], Columns]:
    """Return the labels of all rows in one form, and the columns that say which: sets where rows
    can have several, as was asked for or as any cell is a list.

    Args:
        columns: `several` and `separator` are what was asked for.
        describe: Makes the error of a row, from 1.
    """
    if columns.several is False:
        return [_take_one(label, row, describe) for row, label in enumerate(labels, 1)], columns
    has_lists = any(isinstance(label, LabelSet) for label in labels)
    if not (columns.several or columns.separator or has_lists):
        return labels, columns
    separator = columns.separator
    if separator is None:
        separator = "" if has_lists else find_separator(labels)
    columns = dataclasses.replace(columns, several=True, separator=separator)
    sets: dict[str, LabelSet] = {}
    found: list[str] = []
    for row, label in enumerate(labels, 1):
        if isinstance(label, LabelSet):
            found.append(label)
        elif isinstance(label, SoftLabel):
            found.append(LabelSet(label.probabilities))
        else:
            if label not in sets:
                try:
                    sets[label] = split_cell(label, columns)
                except LabelProblem as error:
                    raise describe(row, error) from None
            found.append(sets[label])
    return found, columns


def find_separator(labels: Sequence[str]) -> str:
    """Return what stands between the labels of cells that look like lists of them; "" if they do
    not.

    They do where nearly every part stands in other cells too, alone or beside others:
    "Action,Comedy", "Comedy", "Action,Drama", but not "Boston, MA", "Salem, MA".
    """
    cells = {label for label in labels if type(label) is str and label}
    if all(NUMBER.fullmatch(cell) for cell in cells):  # "4,5", with a decimal comma
        return ""
    for separator in SEPARATORS:
        holders: defaultdict[str, int] = defaultdict(int)
        parted: set[str] = set()
        num_parted = 0
        for cell in cells:
            parts = {part.strip() for part in cell.split(separator)}
            for part in parts:
                holders[part] += 1
            if len(parts) > 1:
                num_parted += 1
                parted |= parts
        if num_parted < MANY_PARTS or "" in parted or len(holders) >= len(cells):
            continue
        repeated = sum(holders[part] > 1 for part in parted)
        if repeated >= REPEATED_SHARE * len(parted):
            return separator
    return ""


def describe_list_like(labels: Sequence[str], separator: str) -> str:
    """Return what to say of a column that looks like lists, where nobody said what it is."""
    cells = Counter(label for label in labels if label)
    parts = {part.strip() for cell in cells for part in cell.split(separator)}
    holders = sum(count for cell, count in cells.items() if separator in cell)
    return (
        f"{holders:,} labels hold {separator!r}, and look like lists: {len(cells):,} different "
        f"cells of {len(parts):,} labels. If a text can have several labels, say "
        f'--label-separator "{separator}"; if each cell is one label, --task single-label.'
    )


def describe_sets(labels: Sequence[str], shown: int) -> list[str]:
    """Return lines on sets of labels: how many there are, how many a row has."""
    counts = Counter(name for label in labels for name in names_of(label))
    sizes = [len(names_of(label)) for label in labels]
    names = ", ".join(f"{name} {count:,}" for name, count in counts.most_common(shown))
    more = f", and {len(counts) - shown:,} more" if len(counts) > shown else ""
    several, empty = sum(size > 1 for size in sizes), sizes.count(0)
    return [
        f"several labels a text: {len(counts):,} labels, {sum(sizes) / len(sizes):.2f} a row, "
        f"{several:,} rows with more than one, {empty:,} with none",
        f"{names}{more}",
    ]


def _take_one(label: str, row: int, describe: Describe) -> str:
    if not isinstance(label, LabelSet):
        return label
    if len(label.names) == 1:
        return label.names[0]
    many = f"has {len(label.names)} labels, wanted one"
    cure = "that a text can have several is learned by minnow train --task multi-label"
    raise describe(row, LabelProblem(f"{many} ({cure})"))


def _parse_list(text: str) -> list[Any]:
    """Return the items of a list, as JSON has it or as Python shows it."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        try:
            found = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            found = None
    if not isinstance(found, list):
        raise LabelProblem('begins as a list and is none, wanted one such as ["a", "b"]')
    return found
