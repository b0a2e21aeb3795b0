"""A label as text: what a cell holds, by its own text; what is missing; what differs by form."""

from __future__ import annotations

import datetime
import decimal
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable

from handler.inference.checks import find_hidden
from handler.inference.tasks import MAX_LABEL_CHARACTERS
from training.errors import DataError

# What other tools write where there is nothing, as pandas reads it.
MISSING = frozenset(
    (
        *("", "NaN", "nan", "-NaN", "-nan", "N/A", "n/a", "NA", "<NA>", "#N/A", "#NA", "#N/A N/A"),
        *("null", "NULL", "None", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
    )
)
# Digits of a number that is normalized: of more it is an identifier.
MAX_DIGITS = 30
NUMBER = re.compile(r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)")


class LabelProblem(DataError):
    """Why a cell is no label; holds nothing of the cell.

    Attributes:
        column: Of several columns the one that the cell stands in; "" where they are one or all.
    """

    column = ""


def format_label(value: object, most: int = MAX_LABEL_CHARACTERS) -> str:
    """Return a label as its own text: 1 -> "1", True -> "true", Decimal("1.50") -> "1.50".

    Blanks around it are no part of it. "" where there is none: null, NaN, and what other tools
    write for them.

    Raises:
        LabelProblem: The value is none that a label can be.
    """
    text = _format_value(value).strip()
    if text in MISSING:
        return ""
    hidden = find_hidden(text)
    # Bytes that are no UTF-8 come as half surrogate pairs; the reader tells of their encoding.
    if hidden and not "\ud800" <= hidden <= "\udfff":
        place = f"U+{ord(hidden):04X}, at character {text.index(hidden)}"
        raise LabelProblem(f"holds a character that does not show or reorders others ({place})")
    if len(text) > most:
        raise LabelProblem(f"has {len(text)} characters, wanted a label of {most} at most")
    return text


def _format_value(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isinf(value):
            raise LabelProblem("is a number that is not finite, wanted a label")
        return "" if math.isnan(value) else repr(value)
    if isinstance(value, decimal.Decimal):
        return "" if value.is_nan() else str(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    raise LabelProblem(f"is {type(value).__name__}, wanted one label: a text or a number")


def normalize_label(label: str) -> str:
    """Return the form that all variants of a label have: "Pos" -> "pos", "1.0" -> "1".

    The same for every file, so that training and evaluation agree without knowing each other.
    """
    text = " ".join(unicodedata.normalize("NFC", label).casefold().split())
    number = _read_number(text)
    return text if number is None else number


def find_variants(labels: Iterable[str]) -> list[dict[str, int]]:
    """Return the labels that differ by case, blanks or number form alone, each with its rows.

    `["Pos", "pos", "neg", "pos"]` -> `[{"Pos": 1, "pos": 2}]`.
    """
    forms: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for label, count in Counter(labels).items():
        if label:
            forms[normalize_label(label)][label] = count
    return [variants for variants in forms.values() if len(variants) > 1]


def _read_number(text: str) -> str | None:
    """Return a decimal number without needless digits; None for what is none, such as "007"."""
    if len(text) > MAX_DIGITS or not NUMBER.fullmatch(text):
        return None
    shown = f"{decimal.Decimal(text):f}"
    if "." in shown:
        shown = shown.rstrip("0").rstrip(".")
    return "0" if shown in ("-0", "") else shown
