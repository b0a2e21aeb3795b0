"""Writing: a task's cells in every format, whatever columns the task has."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from handler.inference.classifier import Prediction
from handler.inference.tasks import (
    SCORED_COLUMNS,
    TASKS,
    MultiLabel,
    Ordinal,
    Regression,
    Selective,
    SingleLabel,
)
from handler.inference.tasks.selective import Abstain
from handler.rows.parquet import join_cells
from handler.rows.score import encode_block, predict_each, read_blocks
from handler.settings import Limits
from tests.helpers.rows import open_content

COLUMNS = {"stars": float, "tone": str, "anger": float}
CELLS = [(4.25, "calm", 0.1), (1.0, 'a "b",\nc', 1 / 3)]


def encode(content: bytes, name: str) -> tuple[bytes, bytes]:
    """Return the header and all rows with CELLS."""
    rows = open_content(content, name, ["text"], added=tuple(COLUMNS))
    return rows.header, rows.encode(list(rows), CELLS, "v2")


def test_csv_has_the_tasks_columns_and_the_version() -> None:
    header, body = encode(b'id,text\r\n1,good\r\n2,"b,d"\r\n', "a.csv")

    assert header == b"id,text,stars,tone,anger,model_version\r\n"
    assert body == (
        b'1,good,4.250000,calm,0.100000,v2\r\n2,"b,d",1.000000,"a ""b"",\nc",0.333333,v2\r\n'
    )


def test_csv_scored_once_more_gets_the_new_values() -> None:
    header, body = encode(b"stars,text,model_version\n9,good,v1\n9,bad,v1\n", "a.csv")

    assert header == b"text,stars,tone,anger,model_version\n"
    assert body.startswith(b"good,4.250000,calm,0.100000,v2\n")


OTHER = "without the columns of an earlier model: predicted_label, abstained"


def test_csv_that_another_model_scored_keeps_none_of_its_columns() -> None:
    rows = open_content(
        b"predicted_label,text,abstained,tone,model_version\npos,good,,sad,v1\n,bad,uncertain,sad,v1\n",
        "a.csv",
        ["text"],
        added=tuple(COLUMNS),
    )

    assert rows.header == b"text,stars,tone,anger,model_version\n"
    assert rows.encode(list(rows), CELLS, "v2").startswith(b"good,4.250000,calm,0.100000,v2\nbad,")
    assert rows.found.details == (OTHER,)


def test_columns_of_those_names_that_no_model_wrote_stay() -> None:
    header, _ = encode(b"text,abstained,best_label\ngood,no,x\nbad,yes,y\n", "a.csv")

    assert header == b"text,abstained,best_label,stars,tone,anger,model_version\n"


def test_json_lines_that_another_model_scored_keep_none_of_its_fields() -> None:
    content = (
        b'{"predicted_label": "a, \\"b\\"", "text": "good", "abstained": {"x": [1]}, '
        b'"model_version": "v1", "id":7}\n{ "text" : "bad", "abstained": 1 }\n'
    )
    rows = open_content(content, "a.jsonl", ["text"], added=tuple(COLUMNS))

    lines = rows.encode(list(rows), CELLS, "v2").decode().splitlines()

    assert lines[0] == (
        '{"text": "good", "model_version": "v2", "id":7, "stars": 4.25, "tone": "calm", '
        '"anger": 0.1}'
    )
    assert lines[1].startswith('{ "text" : "bad", "abstained": 1, "stars": 1.0')
    assert rows.found.details == (OTHER,)


def test_json_lines_that_are_scored_once_more_are_a_line_for_each_row() -> None:
    first = open_content(b'{"text": "good"}\n{"text": "bad"}\n', "a.jsonl", ["text"], added=COLUMNS)
    once = first.encode(list(first), CELLS, "v1")

    again = open_content(once, "a.jsonl", ["text"], added=COLUMNS)

    assert again.encode(list(again), CELLS, "v1") == once


def test_parquet_that_another_model_scored_keeps_none_of_its_columns() -> None:
    table = pyarrow.table(
        {
            "predicted_label": ["a", "b"],
            "text": ["good", "bad"],
            "abstained": ["", ""],
            "model_version": ["v1", "v1"],
        }
    )
    source, output = io.BytesIO(), io.BytesIO()
    parquet.write_table(table, source)
    rows = open_content(source.getvalue(), "a.parquet", ["text"], added=tuple(COLUMNS))
    cells = rows.encode(list(rows), CELLS, "v2")

    join_cells(io.BytesIO(source.getvalue()), io.BytesIO(cells), output, COLUMNS, "v2")

    assert parquet.read_table(io.BytesIO(output.getvalue())).column_names == [
        *("text", "stars", "tone", "anger", "model_version")
    ]
    assert rows.found.details == (OTHER,)


def test_scored_columns_are_those_of_every_task() -> None:
    interval = {"coverage": 0.9, "edges": [], "radii": [1.0]}
    tasks: list[Any] = [
        Selective(SingleLabel(["a", "b"]), Abstain(0.9, 0.5)),
        MultiLabel(["a", "b"], [0.5, 0.5]),
        Regression(0, 2, 1, 1, interval=interval),
        Ordinal(["1", "2"]),
    ]

    assert {name for task in tasks for name in task.columns} == SCORED_COLUMNS
    assert {task.kind for task in tasks} == {*TASKS}


def test_json_lines_have_numbers_as_numbers() -> None:
    _, body = encode(b'{"stars": 9, "text": "good"}\n{"text": "bad"}', "a.jsonl")

    assert body.decode().splitlines() == [
        '{"stars": 4.25, "text": "good", "tone": "calm", "anger": 0.1, "model_version": "v2"}',
        '{"text": "bad", "stars": 1.0, "tone": "a \\"b\\",\\nc", "anger": 0.333333, '
        '"model_version": "v2"}',
    ]


def test_plain_lines_begin_with_the_cells() -> None:
    rows = open_content(b"good\nb\tad\r\n", "a.txt", ["text"], added=tuple(COLUMNS))

    body = rows.encode(list(rows), [CELLS[0], CELLS[0]], "v2")

    assert body == (b"4.250000\tcalm\t0.100000\tv2\tgood\n4.250000\tcalm\t0.100000\tv2\tb\tad\n")


def test_parquet_gets_columns_of_the_tasks_types() -> None:
    columns: list[list[Any]] = [["good", "no", "bad"], [1, 2, 3], ["old"] * 3, [4, 5, 6]]
    source = io.BytesIO()
    names = ["text", "twice", "tone", "twice"]
    parquet.write_table(pyarrow.Table.from_arrays(columns, names), source)
    rows = open_content(source.getvalue(), "a.parquet", ["text"], added=tuple(COLUMNS))
    scored = [row for row in rows if row.number != 2]
    output = io.BytesIO()

    join_cells(source, io.BytesIO(rows.encode(scored, CELLS, "v2")), output, COLUMNS, "v2")

    table = parquet.ParquetFile(output).read()
    added = ["stars", "tone", "anger", "model_version"]
    assert table.schema.names == ["text", "twice", "twice", *added]
    assert [str(kind) for kind in table.schema.types[3:]] == ["double", "string"] * 2
    assert [column.to_pylist() for column in table.columns] == [
        ["good", "bad"],
        [1, 3],
        [4, 6],
        [4.25, 1.0],
        ["calm", 'a "b",\nc'],
        [0.1, 0.333333],
        ["v2", "v2"],
    ]


class FailingClassifier:
    """Predicts the length of a text; fails on a batch that holds "bad"."""

    def predict(self, texts: list[str]) -> list[Prediction]:
        if "bad" in texts:
            raise RuntimeError
        return [Prediction([len(text) / 10, 0.0], False, 1, 1) for text in texts]


def test_a_text_that_the_model_fails_on_loses_only_its_own_row() -> None:
    content = b"text\ngood\nbad\n\xff\nfilms\n"
    task = SingleLabel(["pos", "neg"])
    rows = open_content(content, "a.csv", ["text"], added=tuple(task.columns))
    (block,) = read_blocks(rows, Limits())

    predictions = predict_each(FailingClassifier(), block.texts)  # type: ignore[arg-type]
    output, rejected = encode_block(rows, block, predictions, task, "v2")

    assert output == b"good,pos,0.400000,v2\nfilms,pos,0.500000,v2\n"
    assert [json.loads(line) for line in rejected.splitlines()] == [
        {"row": 2, "reason": "the model failed on it"},
        {
            "row": 3,
            "reason": "text holds a lone surrogate at character 0, wanted Unicode text",
        },
    ]


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_a_file_without_rows_has_no_block(content: bytes) -> None:
    rows = open_content(gzip.compress(content), "a.jsonl.gz", ["text"])

    assert list(read_blocks(rows, Limits())) == []
    assert predict_each(FailingClassifier(), []) == []  # type: ignore[arg-type]
