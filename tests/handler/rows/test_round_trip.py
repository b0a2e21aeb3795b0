"""Any table of texts and labels is read back as it was written, whatever the file looks like."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

import pyarrow
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from handler.rows.formats import compress
from handler.rows.options import ReadOptions
from handler.rows.quotes import format_fields
from tests.helpers.rows import open_content

# Nothing that a file cannot hold; of control characters those that texts have.
CHARACTERS = st.one_of(
    st.characters(exclude_categories=("Cs", "Cc")),
    st.sampled_from('"",;\t|\r\n \'\\{}[]:'),
)
TEXTS = st.text(CHARACTERS, max_size=30)
LABELS = st.sampled_from(["pos", "neg", "so, so", "très bien", "1.0"])
TABLES = st.lists(st.tuples(TEXTS, LABELS), min_size=1, max_size=8)
WORDS = [
    "très",
    "bien,",
    "über",
    "“so”",
    "it’s",
    "film;",
    "a\tb",
    "x|y",
    "two\nlines",
    '"',
    "5 €",
    "é",
]
WESTERN_TEXTS = st.lists(st.sampled_from([*WORDS, "the", "sentence", "goes", "on"])).map(" ".join)
WESTERN_TABLES = st.lists(st.tuples(WESTERN_TEXTS, LABELS), min_size=1, max_size=8)
NAMES = ("text", "label")
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
DELIMITERS = st.sampled_from([",", ";", "\t", "|"])
ADDED = ("predicted",)

Table = Sequence[tuple[str, str]]


def read_back(content: bytes, name: str, options: ReadOptions | None = None) -> list[object]:
    """Return the values of a file, read at once and from the middle on, which are the same."""
    rows = open_content(content, name, NAMES, options=options)
    found = [(row.problem, row.values, rows.position) for row in rows]
    assert {problem for problem, _, _ in found} == {""}
    middle = found[len(found) // 2][2]
    rest = open_content(content, name, NAMES, middle, options=options)
    values = [values for _, values, _ in found]
    if not name.startswith("a.xlsx"):
        assert [row.values for row in rest] == values[len(found) // 2 + 1 :]
    return values


def write_delimited(table: Table, delimiter: str, end: str, quoting: int) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    if quoting == csv.QUOTE_ALL:
        writer.writerows([NAMES, *table])
        return text.getvalue()
    # `csv` leaves a carriage return unquoted on some versions of Python.
    return "".join(format_fields(row, delimiter) + end for row in [NAMES, *table])


def may_be_rows(table: Table, delimiter: str) -> bool:
    """Say whether a text of several lines looks like rows itself: docs/reading.md tells of it."""
    lines = [f"{text}\t{label}".splitlines() for text, label in table]
    return delimiter == "\t" and any(
        len(of_row) > 1 and all(line.count("\t") == 1 for line in of_row) for of_row in lines
    )


@pytest.mark.parametrize("compression", ["", "gzip"])
@settings(deadline=None)  # the first example imports
@given(
    table=TABLES,
    delimiter=DELIMITERS,
    end=ENDS,
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    bom=st.booleans(),
)
def test_delimited_files_in_utf_8(
    compression: str, table: Table, delimiter: str, end: str, quoting: int, bom: bool
) -> None:
    assume(not may_be_rows(table, delimiter))
    content = write_delimited(table, delimiter, end, quoting).encode(
        "utf-8-sig" if bom else "utf-8"
    )
    name = "a.tsv" if delimiter == "\t" else "a.csv"

    found = read_back(compress(content, compression), name + (".gz" if compression else ""))

    assert found == table


@settings(deadline=None)  # the first example imports
@given(table=TABLES, delimiter=DELIMITERS, end=ENDS, order=st.sampled_from(["le", "be"]))
def test_delimited_files_in_utf_16_with_a_byte_order_mark(
    table: Table, delimiter: str, end: str, order: str
) -> None:
    assume(not may_be_rows(table, delimiter))
    text = "\ufeff" + write_delimited(table, delimiter, end, csv.QUOTE_ALL)

    assert read_back(text.encode(f"utf-16-{order}"), "a.csv") == table


@settings(deadline=None)  # the first example imports
@given(table=WESTERN_TABLES, delimiter=DELIMITERS, is_named=st.booleans())
def test_delimited_files_in_windows_1252(table: Table, delimiter: str, is_named: bool) -> None:
    assume(not may_be_rows(table, delimiter))
    # Found where most letters are ASCII, as in any text of a few sentences.
    prose = ("The film was très bien, and that is all there is to say about it for now.", "pos")
    written = [*table, *[prose] * 8]
    content = write_delimited(written, delimiter, "\r\n", csv.QUOTE_MINIMAL).encode("cp1252")
    options = ReadOptions(encoding="windows-1252") if is_named else None

    assert read_back(content, "a.csv", options) == written


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("indent", [None, 2])
@settings(deadline=None)  # the first example imports
@given(table=TABLES, is_ascii=st.booleans())
def test_json(encoding: str, indent: int | None, table: Table, is_ascii: bool) -> None:
    objects = [dict(zip(NAMES, row, strict=True)) for row in table]
    lines = "\n".join(json.dumps(row, ensure_ascii=is_ascii) for row in objects)
    array = json.dumps(objects, ensure_ascii=is_ascii, indent=indent)

    assert read_back(lines.encode(encoding), "a.jsonl") == table
    assert read_back(array.encode(encoding), "a.json") == table


@settings(deadline=None)  # the first example imports
@given(table=TABLES, kind=st.sampled_from(["string", "large_string", "string_view", "dictionary"]))
def test_parquet(table: Table, kind: str) -> None:
    columns = []
    for column in zip(*table, strict=True):
        if kind == "dictionary":
            columns.append(pyarrow.array(column).dictionary_encode())
        else:
            columns.append(pyarrow.array(column, getattr(pyarrow, kind)()))
    sink = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_arrays(columns, NAMES), sink)

    assert read_back(sink.getvalue(), "a.parquet") == table


@settings(deadline=None)  # the first example imports
@given(table=st.lists(st.tuples(TEXTS, st.sampled_from(["pos", "neg"])), min_size=1, max_size=8))
def test_lines_of_fasttext(table: Table) -> None:
    written = [(text.replace("\n", " ").replace("\r", " "), label) for text, label in table]
    assume(not any(text.lstrip().startswith("__label__") for text, _ in written))  # a second one
    content = "".join(f"__label__{label} {text}\n" for text, label in written)

    assert read_back(content.encode(), "a.txt") == written


@settings(deadline=None)  # the first example imports
@given(table=TABLES, delimiter=DELIMITERS, end=ENDS, kind=st.sampled_from(["csv", "jsonl"]))
def test_what_is_written_back_is_what_was_read(
    table: Table, delimiter: str, end: str, kind: str
) -> None:
    assume(not may_be_rows(table, delimiter))
    if kind == "jsonl":
        content = b"".join(b'{"n":1e400, "text":%s}\n' % json.dumps(t).encode() for t, _ in table)
    else:
        content = write_delimited(table, delimiter, end, csv.QUOTE_ALL).encode()
    rows = open_content(content, f"a.{kind}", ["text"], added=ADDED)
    found = list(rows)

    output = rows.header + rows.encode(found, [("x",)] * len(found), "1")

    if kind == "jsonl":
        assert output.replace(b', "predicted": "x", "model_version": "1"', b"") == content
    else:
        mark = delimiter.encode()
        header = output.replace(mark.join([b"", *map(str.encode, ADDED), b"model_version"]), b"", 1)
        assert header.replace(mark + b"x" + mark + b"1", b"") == content
