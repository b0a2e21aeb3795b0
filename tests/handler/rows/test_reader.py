"""Reading: the same rows from every format, from any position on; what is wrong with a row."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence

import pyarrow
import pytest
import zstandard
from pyarrow import parquet

from handler.errors import InvalidInput
from handler.rows.columns import ColumnError
from tests.helpers.rows import open_content

NAMES = ["id", "label", "text"]
TEXTS = ['a "great" film,\nin two lines', "dull\tand\rslow", "", "好看 🎬", "last"]
ROWS = [(str(number), f"label {number}", text) for number, text in enumerate(TEXTS, start=1)]
VALUES = [(text, number) for number, _, text in ROWS]
READABLE = [
    f"a.{kind}{compression}"
    for kind in ("csv", "tsv", "jsonl", "parquet")
    for compression in ("", ".gz", ".zst")
]
RESUMABLE = [name for name in READABLE if not name.startswith("a.parquet.")]


def make_file(name: str, rows: Sequence[tuple[str, ...]] = ROWS) -> bytes:
    """Return rows below NAMES in the format and the compression that the name says."""
    _, kind, *compression = name.split(".")
    if kind == "parquet":
        sink = io.BytesIO()
        columns = zip(*rows, strict=True)
        table = pyarrow.table(dict(zip(NAMES, map(list, columns), strict=True)))
        parquet.write_table(table, sink, row_group_size=2)
        content = sink.getvalue()
    elif kind == "jsonl":
        objects = [json.dumps(dict(zip(NAMES, row, strict=True))) for row in rows]
        content = "\n\n".join(objects).encode()
    else:
        text = io.StringIO()
        writer = csv.writer(text, delimiter="," if kind == "csv" else "\t", quoting=csv.QUOTE_ALL)
        writer.writerows([NAMES, *rows])
        content = text.getvalue().encode()
    if compression == ["gz"]:
        return gzip.compress(content)
    return zstandard.compress(content) if compression else content


def read_problems(content: bytes, name: str = "a.csv") -> dict[int, str]:
    """Return row -> problem; rows that could be read have an empty one."""
    return {row.number: row.problem for row in open_content(content, name, ["text"])}


@pytest.mark.parametrize("name", READABLE)
def test_values_come_in_the_order_of_asking(name: str) -> None:
    rows = open_content(make_file(name), name)

    found = list(rows)

    assert [row.values for row in found] == VALUES
    assert [row.number for row in found] == [1, 2, 3, 4, 5]
    assert {row.problem for row in found} == {""}
    assert rows.names == (None if "jsonl" in name else NAMES)


@pytest.mark.parametrize("name", RESUMABLE)
def test_reading_goes_on_from_any_position(name: str) -> None:
    content = make_file(name)
    rows = open_content(content, name)
    positions = [rows.position, *(rows.position for _ in rows)]

    rest = [
        [row.values for row in open_content(content, name, start=position)]
        for position in positions
    ]

    assert [position.row for position in positions] == [0, 1, 2, 3, 4, 5]
    assert rest == [VALUES[number:] for number in range(6)]


def test_plain_lines_go_on_from_any_position() -> None:
    content = b"\xef\xbb\xbfgood\r\n\nbad\tfilm"
    rows = open_content(content, "a.txt", ["text"])
    positions = [rows.position, *(rows.position for _ in rows)]

    rest = [
        [row.values for row in open_content(content, "a.txt", ["text"], position)]
        for position in positions
    ]

    assert rest[0] == [("good",), ("",), ("bad\tfilm",)]
    assert rest == [rest[0][number:] for number in range(4)]


def test_lines_that_end_by_a_carriage_return_alone() -> None:
    content = b'\xef\xbb\xbftext,id\rgood,1\r"a\nb\rc",2\r\rbad,3'
    rows = open_content(content)
    found = [(row.values, rows.position) for row in rows]

    rest = [row.values for row in open_content(content, start=found[1][1])]

    assert [values for values, _ in found] == [("good", "1"), ("a\nb\rc", "2"), ("bad", "3")]
    assert rest == [("bad", "3")]


def test_one_endless_line_that_ends_by_a_carriage_return_is_a_problem_of_its_row() -> None:
    content = b"text,id\rgood,1\r" + b"x" * (5 << 20) + b",2\rbad,3\r"

    assert read_problems(content) == {1: "", 2: "it has a line above 4194304 bytes", 3: ""}


def test_a_carriage_return_outside_quotes_does_not_split_a_row() -> None:
    content = b"text,id\na\rb,1\ngood,2\n"

    assert read_problems(content) == {
        1: "it has a line end of another kind outside quotes",
        2: "",
    }


def test_wrong_quotes_are_problems_of_their_rows() -> None:
    content = b'text\n"good" film\n5" pipe\n"bad\nfilm\n'

    assert read_problems(content) == {
        1: "a quoted field in it goes on after its closing quote",
        2: "",
        3: "a quote in it is never closed",
        4: "",
    }


def test_a_json_line_without_a_column_is_a_problem() -> None:
    _, row = open_content(b'{"text": "a", "id": 1}\n{"text": "good", "other": 1}', "a.jsonl")

    assert (row.values, row.problem) == ((), "it has no field id")


def test_json_lines_may_each_begin_with_a_byte_order_mark() -> None:
    content = b'\xef\xbb\xbf{"text": "a"}\n\xef\xbb\xbf{"text": "b"}\n'

    rows = list(open_content(content, "a.jsonl", ["text"]))

    assert [row.values for row in rows] == [("a",), ("b",)]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv.gz", "a.parquet"])
def test_a_column_that_is_missing_is_named_and_the_others_are_known(name: str) -> None:
    with pytest.raises(ColumnError, match="none of the file's 3 columns is named body") as caught:
        open_content(make_file(name), name, ["text", "body"])

    assert (caught.value.column, caught.value.names) == ("body", NAMES)
    assert "label" not in str(caught.value)


def test_a_column_that_stands_there_twice_is_refused() -> None:
    table = pyarrow.Table.from_arrays([["a"], ["b"], ["c"]], ["text", "id", "text"])
    sink = io.BytesIO()
    parquet.write_table(table, sink)
    files = {"a.csv": b"text,id,text\na,b,c\n", "a.parquet": sink.getvalue()}

    for name, content in files.items():
        with pytest.raises(ColumnError, match="2 of the file's 3 columns are named text"):
            open_content(content, name)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'"text,id\n', "a quote in it is never closed"),
        (b"x" * (5 << 20) + b"\n", "it has a line above 4194304 bytes"),
    ],
)
def test_a_header_that_cannot_be_read_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match="the first line must name the columns, but " + reason):
        open_content(content)


def test_plain_lines_have_one_column() -> None:
    with pytest.raises(InvalidInput, match="holds texts alone, and 2 columns are wanted"):
        open_content(b"good\n", "a.txt")


def test_a_parquet_text_that_is_not_utf8_is_told_from_the_others() -> None:
    sink = io.BytesIO()
    texts = pyarrow.array([b"good", b"caf\xe9", None]).cast(pyarrow.string(), safe=False)
    parquet.write_table(pyarrow.table({"text": texts}), sink)

    rows = list(open_content(sink.getvalue(), "a.parquet", ["text"]))

    assert [row.values for row in rows] == [("good",), ("caf\udce9",), (None,)]
