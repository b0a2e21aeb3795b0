"""Which columns of a file hold what: the text, the label, and what may stand beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handler.inference.tasks import MAX_LABEL_CHARACTERS, MAX_LABELS
from handler.rows.columns import SHOWN_NAMES, ColumnError
from handler.rows.options import Found, ReadOptions


@dataclass(frozen=True)
class Columns:
    """Which columns hold what, and how they are read.

    Args:
        text: "text" stands for an evident one too, such as "review", where there is none of that
            name; "title,body" joins two.
        label: As for the text; a label, or a JSON object of probabilities.
        group: Optional.
        options: How the file is read, as far as it is not found.
        normalize_labels: Take labels that differ by case, blanks or number form for one.
        labels: Columns named as the labels, which hold their probabilities; in place of `label`.
        weight: Column of what each row counts; optional.
        several: Whether a row can have several labels (`training/rows/label_sets.py`); None: found.
        separator: What stands between the labels of a cell; "" for nothing; None: found.
    """

    text: str = "text"
    label: str = "label"
    group: str | None = None
    options: ReadOptions = ReadOptions()
    normalize_labels: bool = False
    labels: tuple[str, ...] = ()
    weight: str | None = None
    several: bool | None = None
    separator: str | None = None

    @property
    def most_characters(self) -> int:
        """Of a cell: of one label, or of as many as there may be."""
        is_one = not (self.several or self.separator)
        return MAX_LABEL_CHARACTERS if is_one else MAX_LABEL_CHARACTERS * MAX_LABELS

    @property
    def label_place(self) -> str:
        """What errors say of where labels stand: `column 'label'`, `column 'pos,neg'`."""
        names = self.labels[:SHOWN_NAMES] or (self.label,)
        more = ",…" if len(self.labels) > SHOWN_NAMES else ""
        return f"column {','.join(names) + more!r}"

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The columns to read, each with the option that names it: text, labels, the others."""
        labels = [(label, "--label-columns") for label in self.labels]
        others = [(self.group, "--group-column"), (self.weight, "--weight-column")]
        return [
            (self.text, "--text-column"),
            *(labels or [(self.label, "--label-column")]),
            *((name, flag) for name, flag in others if name is not None),
        ]

    @property
    def names(self) -> list[str]:
        """The columns to read, in the order of `fields`."""
        return [name for name, _ in self.fields]

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Columns:
        """Return the columns whose `dataclasses.asdict` was stored."""
        options = ReadOptions(**fields.get("options", {}))
        return cls(**{**fields, "options": options, "labels": tuple(fields.get("labels", ()))})

    def resolve(self, found: Found) -> Columns:
        """Return the columns by the names that the file has for them; labels keep their own."""
        if not found.columns:
            return self
        names = dict(zip(self.fields, found.columns, strict=True))
        return dataclasses.replace(
            self,
            text=names[self.text, "--text-column"],
            label=names.get((self.label, "--label-column"), self.label),
            group=names.get((self.group or "", "--group-column")),
            weight=names.get((self.weight or "", "--weight-column")),
        )


def describe_column(error: ColumnError, columns: Columns) -> str:
    """Return what to say of columns that do not stand in a file once, and which option helps."""
    flags = [flag for name, flag in columns.fields if name in error.columns]
    if error.advice:
        return f"{error}."
    if any(column in error.names for column in error.columns):
        return f"column {error.column!r} stands there twice. Rename one."
    shown = ", ".join(repr(name) for name in error.names[:SHOWN_NAMES]) or "none"
    if error.is_ambiguous:
        return f"several columns could be {error.column!r}: {shown}. Name it with {flags[0]}."
    if len(error.names) > SHOWN_NAMES:
        shown += f" and {len(error.names) - SHOWN_NAMES} more"
    wanted = " and no column ".join(repr(column) for column in error.columns)
    it = "it" if len(flags) == 1 else "them"
    return f"no column {wanted}; the columns are {shown}. Name {it} with {' and '.join(flags)}."
