"""JSON: one object a line, or one array of objects."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any

from handler.errors import InvalidInput
from handler.inference.tasks import Cell
from handler.rows.columns import find_columns, make_picker
from handler.rows.json_array import ArrayItems
from handler.rows.json_fields import add_fields, encode_cells, get_path, list_paths, parse_json
from handler.rows.lines import TOO_LONG
from handler.rows.options import UTF_8, Found
from handler.rows.rows import MODEL_VERSION, Position, Row, describe_replaced, find_replaced
from handler.rows.text import TextFile

NOT_UTF8 = "it is not UTF-8"
NOT_JSON = "it is not JSON"
SAMPLE_OBJECTS = 100  # whose fields are looked at


class JsonRows:
    """Objects; one without a column that is asked for is a problem, and has no values.

    `fields` of a row are its text and what it holds. A file that begins with `[` is read as one
    array; what is written is one object a line all the same, since an array has an end.
    """

    names = None

    def __init__(
        self, file: TextFile, columns: Sequence[str], start: Position, added: Collection[str]
    ) -> None:
        self.file = file
        self.added = tuple(added)
        self.new = (*added, MODEL_VERSION)
        _refuse_object(file.sample)
        is_array = file.sample.lstrip().startswith("[")
        self.items: Any = ArrayItems(file.lines) if is_array else file.lines
        paths = self._find_paths(columns, is_array)
        self.pick = make_picker(paths, get_path if _need_paths(paths) else None)
        # JSON readers stumble over a byte order mark in UTF-8, and need that of UTF-16.
        self.header = b"" if file.encoding == UTF_8 else file.encode_mark()
        found = tuple(",".join(path) for path in paths)
        details: tuple[str, ...] = ("one JSON array",) if is_array else ()
        details += describe_replaced(find_replaced(self.names_found, added), added)
        self.found = Found(file.encoding, found, tuple(columns), details=details)
        self.items.skip_to(start.offset)
        self.number = start.row

    @property
    def position(self) -> Position:
        return Position(self.number, self.items.offset)

    def __iter__(self) -> Iterator[Row]:
        while (line := self.items.next_line()) is not None:
            if not line.isspace():
                self.number += 1
                yield self._read(self.number, line)

    def encode(self, rows: Sequence[Row], cells: Sequence[Sequence[Cell]], version: str) -> bytes:
        lines = []
        for row, new in zip(rows, cells, strict=True):
            line, fields = row.fields
            text = line.decode(UTF_8, "surrogatepass")
            cells_of_row = encode_cells(self.new, (*new, version))
            replaced = find_replaced(fields, self.added) if MODEL_VERSION in fields else ()
            lines.append(add_fields(text, fields, cells_of_row, replaced))
        content = "".join(f"{line}\n" for line in lines)
        return self.file.encode(content.encode(UTF_8, "surrogatepass"))

    def _find_paths(self, columns: Sequence[str], is_array: bool) -> list[tuple[str, ...]]:
        """Return the paths of each column, as the file's first objects have them.

        Raises:
            ColumnError: None of them has it.
        """
        names: dict[str, None] = {}
        for fields in islice(_read_sample(self.file.sample, is_array), SAMPLE_OBJECTS):
            names |= dict.fromkeys(list_paths(fields))
        self.names_found = (*names,)
        if not names:
            return [(column,) for column in columns]
        listed = [*names]
        places = find_columns(listed, columns)
        return [tuple(listed[index] for index in indices) for indices in places]

    def _read(self, number: int, line: bytes) -> Row:
        if self.items.take_cut():
            return Row(number, (), problem=TOO_LONG)
        # Of bytes `json` guesses the encoding, which takes a quarter of its time.
        is_utf8 = line.startswith(b'{"')
        try:
            fields = parse_json(line.decode(UTF_8, "surrogatepass") if is_utf8 else line)
        except UnicodeDecodeError as error:
            return Row(number, (), problem=f"{NOT_UTF8} (byte {error.start})")
        except (ValueError, RecursionError):
            return Row(number, (), problem=NOT_JSON)
        if not isinstance(fields, dict):
            return Row(number, (), problem=f"it is {type(fields).__name__}, wanted an object")
        try:
            return Row(number, self.pick(fields), (line, fields))
        except KeyError as error:
            return Row(number, (), problem=f"it has no field {error.args[0]}")


def _need_paths(paths: Sequence[Sequence[str]]) -> bool:
    return any("." in name for path in paths for name in path)


def _read_sample(sample: str, is_array: bool) -> Iterator[dict[str, Any]]:
    """Yield the objects that can be read in the first lines."""
    decoder = json.JSONDecoder()
    lines = sample.split("[", 1)[1:] if is_array else sample.splitlines()
    for line in lines:
        index = 0
        while 0 <= (index := line.find("{", index)) and (is_array or not line[:index].strip()):
            try:
                fields, index = decoder.raw_decode(line, index)
            except (ValueError, RecursionError):
                break
            yield fields
            if not is_array:
                break


def _refuse_object(sample: str) -> None:
    """Raise InvalidInput for one object over several lines: neither an array nor lines."""
    if sample.strip().partition("\n")[0].strip() in ("{", "{}"):
        raise InvalidInput(
            "the file is one JSON object over several lines, wanted an array of objects or one "
            "object a line"
        )
