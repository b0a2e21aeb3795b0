"""One JSON object as a row: fields by dotted path, and the object written back as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from handler.inference.tasks import Cell, JsonCell, Number
from handler.rows.rows import DECIMALS

BLANK = re.compile(r"[ \t\r\n]*")
MAX_DEPTH = 4  # of paths that are looked for and listed
DECODER = json.JSONDecoder()


def parse_json(text: str | bytes) -> Any:
    """Return the value of JSON; raises ValueError or RecursionError.

    A whole number of thousands of digits, which Python refuses, is a float.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except UnicodeDecodeError:
        raise
    except ValueError:
        return json.loads(text, parse_int=float)


def list_paths(fields: Mapping[str, Any], depth: int = 1) -> list[str]:
    """Return the names of fields, those of objects inside as `data.text`."""
    names = []
    for name, value in fields.items():
        names.append(name)
        if isinstance(value, dict) and depth < MAX_DEPTH:
            names += [f"{name}.{inner}" for inner in list_paths(value, depth + 1)]
    return names


def get_path(fields: Any, path: str) -> object:
    """Return the field of that name, or what stands at the end of a dotted path.

    Raises:
        KeyError: There is no such field.
    """
    if path in fields:
        return fields[path]
    value = fields
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            raise KeyError(path)
        value = value[name]
    return value


def add_fields(
    text: str, fields: Mapping[str, Any], new: Mapping[str, str], replaced: Collection[str] = ()
) -> str:
    """Return the object `text` with further fields: all that it has stays as it is written.

    Args:
        text: One JSON object.
        fields: What it holds.
        new: Name -> JSON; takes the place of a field of this name.
        replaced: Fields that `new` takes the place of under other names too.
    """
    if left_out := {name for name in replaced if name not in new}:
        text = _leave_out(text, left_out)
        fields = {name: value for name, value in fields.items() if name not in left_out}
    for name in new.keys() & fields.keys():
        text = _replace(text, name, new[name])
    added = ", ".join(f"{json.dumps(name)}: {new[name]}" for name in new if name not in fields)
    if not added:
        return text.rstrip()  # without the end of its line
    body = text.rstrip()[:-1].rstrip()
    return f"{body}{', ' if fields else ''}{added}}}"


def encode_cells(names: Sequence[str], cells: Iterable[Cell]) -> dict[str, str]:
    """Return name -> JSON of the cells that are added to a row."""
    rounded = (
        round(cell, DECIMALS) if isinstance(cell, float) and not isinstance(cell, Number) else cell
        for cell in cells
    )
    return {
        name: cell if isinstance(cell, JsonCell) else json.dumps(cell, ensure_ascii=False)
        for name, cell in zip(names, rounded, strict=True)
    }


def _replace(text: str, wanted: str, value: str) -> str:
    """Return the object with `value` for its field `wanted`, wherever it stands."""
    parts = []
    done = 0
    for name, _, start, end in _find_fields(text):
        if name == wanted:
            parts += [text[done:start], value]
            done = end
    return "".join([*parts, text[done:]])


def _leave_out(text: str, names: Collection[str]) -> str:
    """Return the object without some of its fields."""
    kept = [text[begin:end] for name, begin, _, end in _find_fields(text) if name not in names]
    return f"{{{', '.join(kept)}}}"


def _find_fields(text: str) -> Iterator[tuple[str, int, int, int]]:
    """Yield the name of each field of an object, where it begins, where its value begins and where
    that ends."""
    index = _skip_blank(text, text.index("{") + 1)
    while text[index] == '"':
        begin = index
        name, index = scanstring(text, index + 1, True)
        start = _skip_blank(text, _skip_blank(text, index) + 1)  # behind the colon
        index = _find_value_end(text, start)
        yield name, begin, start, index
        index = _skip_blank(text, index)
        if text[index] == ",":
            index = _skip_blank(text, index + 1)


def _find_value_end(text: str, start: int) -> int:
    try:
        return DECODER.raw_decode(text, start)[1]
    except ValueError:  # a whole number of thousands of digits
        return json.JSONDecoder(parse_int=float).raw_decode(text, start)[1]


def _skip_blank(text: str, index: int) -> int:
    return BLANK.match(text, index).end()  # type: ignore[union-attr]
