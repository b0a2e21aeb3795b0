"""Lines of logs, and the object in each: what is cut, damaged or too long is told apart."""

import io
import json
import sys

import pytest

from minnow.log_lines import MAX_LINE_BYTES, find_object, read_lines

OURS = {"message": "request", "model": "films", "labels": {"message": 1, "a{b": 2}}
LINE = json.dumps(OURS)


@pytest.mark.parametrize(
    "line",
    [
        LINE,
        f"2026-11-27T15:41:33 2026/11/27/[$LATEST]01 {LINE}\n",
        f'{{pod}} {{}} {{"a": 1}} {LINE} }} behind',
        json.dumps({"log": LINE + "\n", "stream": "stderr"}),
        json.dumps({"timestamp": 1, "message": json.dumps({"log": LINE})}),
        json.dumps({"severity": "INFO", "labels": {"pod": "{1}"}, "jsonPayload": OURS}),
        f'    "message": {json.dumps(LINE)},',
    ],
    ids=["alone", "tail", "braces", "docker", "twice", "cloud", "lines of its own"],
)
def test_the_object_is_found_in_what_log_services_put_around_it(line):
    assert find_object(line) == OURS


@pytest.mark.parametrize("line", ["", "START RequestId: 1", "}", "  {\n", "{"])
def test_a_line_without_an_object_has_none(line):
    assert find_object(line) is None


@pytest.mark.parametrize(
    "line",
    [
        LINE[:-1],
        f'    "message": {json.dumps(LINE)[:-9]}',
        json.dumps({"log": LINE[:-1]}),
        '{"a": ' * 5000,
        "{x} {y}",
    ],
    ids=["cut", "cut in a string", "cut in an envelope", "deep", "no JSON"],
)
def test_an_object_that_cannot_be_read_is_told(line):
    with pytest.raises(ValueError, match="an object that cannot be read"):
        find_object(line)


def test_of_a_line_that_is_too_long_no_part_is_one(monkeypatch):
    long = b"x" * MAX_LINE_BYTES + LINE.encode()
    content = b"\n".join([b"first", long, b"x" * MAX_LINE_BYTES, b"last", long])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    assert list(read_lines("-")) == ["first\n", "last\n"]
