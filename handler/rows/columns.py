"""Columns: where what was asked for stands in a file, by its name or by an evident one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from handler.errors import InvalidInput

# Where the default column is not in a file, the one that has one of these names, in any case.
EVIDENT: Mapping[str, tuple[str, ...]] = {
    "text": (
        *("text", "texts", "review", "sentence", "content", "body", "message"),
        *("comment", "utterance", "tweet", "document"),
    ),
    "label": (
        *("label", "labels", "sentiment", "category", "class", "target", "stars", "rating"),
        "intent",
    ),
}
JOINT = "\n"  # between the parts of a text from several columns
SHOWN_NAMES = 40  # of a file of thousands of columns


class ColumnError(InvalidInput):
    """Columns that were asked for and do not stand in the file once.

    Args:
        detail: Whole sentences that hold nothing of the file but counts.
        columns: The columns that were asked for, and are the matter.
        names: The file's columns; empty where they may be no names but a row of data.
        advice: What to do about it; empty: name other columns.
        is_ambiguous: `names` are those that one column may be.
    """

    def __init__(
        self,
        detail: str,
        columns: Sequence[str],
        names: Sequence[str] = (),
        advice: str = "",
        is_ambiguous: bool = False,
    ) -> None:
        super().__init__(f"{detail}. {advice}" if advice else detail, field=columns[0])
        self.columns = list(columns)
        self.names = names
        self.advice = advice
        self.is_ambiguous = is_ambiguous

    @property
    def column(self) -> str:
        return self.columns[0]


def find_columns(
    names: Sequence[str], columns: Sequence[str], place: str = ""
) -> list[tuple[int, ...]]:
    """Return the indices in `names` of each of `columns`: several where they are joined.

    Args:
        names: The file's columns.
        columns: "text", or "title,body" for two that are joined.
        place: Where names must stand, for errors.

    Raises:
        ColumnError: A column does not stand there, or more than once.
    """
    of_names = f"of the file's {len(names)} columns"
    found = {column: _find(names, column) for column in columns}
    absent = [column for column, places in found.items() if not places]
    if absent:
        detail = f"none {of_names} is named {' or '.join(absent)}{place}. Another name is set by "
        raise ColumnError(f"{detail}MINNOW_TEXT_COLUMN or --text-column", absent, names)
    for column, places in found.items():
        for candidates in places:
            if len(candidates) > 1:
                same = {names[index] for index in candidates}
                if len(same) > 1:
                    detail = f"{len(candidates)} {of_names} could be {column}: say which one"
                else:
                    detail = f"{len(candidates)} {of_names} are named {column}: rename all but one"
                may_be = [names[index] for index in candidates]
                raise ColumnError(detail, [column], may_be, is_ambiguous=len(same) > 1)
    return [tuple(index for (index,) in found[column]) for column in columns]


def _find(names: Sequence[str], column: str) -> list[list[int]]:
    """Return for each part of `column` the indices of what it may be; nothing if one is absent."""
    if whole := _find_name(names, column):
        return [whole]
    parts = [_find_name(names, part.strip()) for part in column.split(",")]
    return parts if all(parts) and len(parts) > 1 else []


def _find_name(names: Sequence[str], column: str) -> list[int]:
    """Return the indices of the exact name, else of the same in other case, else evident ones."""
    if exact := [index for index, name in enumerate(names) if name == column]:
        return exact
    plain = [name.strip().casefold() for name in names]
    if same := [index for index, name in enumerate(plain) if name == column.strip().casefold()]:
        return same
    evident = EVIDENT.get(column, ())
    return [index for index, name in enumerate(plain) if name in evident]


def name_columns(names: Sequence[str], places: Iterable[tuple[int, ...]]) -> tuple[str, ...]:
    """Return what stands at each of `places`: `[(0,), (1, 2)]` -> ("label", "title,body")."""
    return tuple(",".join(names[index] for index in indices) for indices in places)


def make_picker(
    places: Sequence[Sequence[Any]], get: Callable[[Any, Any], object] | None = None
) -> Callable[[Any], tuple[object, ...]]:
    """Return a function from a row's fields to the tuple of what stands at `places`.

    Args:
        places: For each value its key, or the keys of what is joined.
        get: Returns what stands at a key; None: the fields' own index.
    """
    if get is None and all(len(keys) == 1 for keys in places):
        if len(places) == 1:
            ((key,),) = places
            return lambda fields: (fields[key],)
        return itemgetter(*(key for (key,) in places))
    getter = get or (lambda fields, key: fields[key])
    return lambda fields: tuple(
        join_values([getter(fields, key) for key in keys]) for keys in places
    )


def join_values(values: Sequence[object]) -> object:
    """Return the texts among `values` as one; what is neither a text nor null stays as it is."""
    if len(values) == 1:
        return values[0]
    texts = []
    for value in values:
        if isinstance(value, str):
            texts.append(value)
        elif value is not None:
            return value
    return JOINT.join(text for text in texts if text) if texts else None
