"""Rows without an answer, and people's labels of them, whatever file they stand in."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from handler.durable.answers import Places, check_labels, join_parts, read_answers
from handler.durable.withheld import collect_rows, fill_in
from handler.errors import DeliveryError, InvalidInput
from handler.events.work import ObjectRef
from handler.objects.upload import UploadGone

PLACES = Places("results", "asked/run/")
ADDED = "predicted_label,predicted_score,abstained,best_label,model_version"
WITHHELD, ANSWERED = ",0.880797,uncertain,pos,1", "pos,0.982014,,pos,1"
FILLED = "neg,0.880797,uncertain,pos,1"


def put(s3: Any, key: str, content: bytes, **headers: Any) -> ObjectRef:
    s3.put_object(Bucket="results", Key=key, Body=content, **headers)
    return ObjectRef("results", key)


def read(s3: Any, place: ObjectRef) -> bytes:
    content: bytes = s3.get_object(Bucket=place.bucket, Key=place.key)["Body"].read()
    return content


def collect(s3: Any, result: ObjectRef, number: int = 3) -> tuple[ObjectRef, list[Any]]:
    """Return the result with its etag, and the rows that people are asked about."""
    found = collect_rows(s3, result, "text", number, PLACES.part(number))
    lines = read(s3, PLACES.part(number)).splitlines() if found["rows"] else []
    assert len(lines) == found["rows"]
    return ObjectRef(result.bucket, result.key, found["etag"]), [*map(json.loads, lines)]


def table(*rows: str, header: str = "id,text") -> str:
    return "".join(f"{row}\n" for row in (f"{header},{ADDED}", *rows))


CSV = table(f'1,"a, ""b""\nc",{WITHHELD}', f"2,d,{ANSWERED}", f"3,é,{WITHHELD}")
FILLED_CSV = CSV.replace(WITHHELD, FILLED, 1)
JSON = '{{"text": "a", "n": 1.50, "predicted_label": "{0}", "predicted_score": 0.880797, '
JSON += '"abstained": "uncertain", "best_label": "pos", "model_version": "1"}}\n'
LINES = "\t0.880797\tuncertain\tpos\t1\ta\tb\npos\t0.982014\t\tpos\t1\t\n"


@pytest.mark.parametrize(
    ("key", "content", "filled", "headers"),
    [
        ("a.csv", CSV.encode(), FILLED_CSV.encode(), {}),
        ("a.csv.gz", gzip.compress(CSV.encode()), FILLED_CSV.encode(), {}),
        ("a.csv", gzip.compress(CSV.encode()), FILLED_CSV.encode(), {"ContentEncoding": "gzip"}),
        ("a.csv", CSV.encode("utf-16"), FILLED_CSV.encode("utf-16"), {}),
        (
            "a.tsv",
            b"\xef\xbb\xbf" + table(f"1,a,{WITHHELD}").replace(",", "\t").encode(),
            b"\xef\xbb\xbf" + table(f"1,a,{FILLED}").replace(",", "\t").encode(),
            {},
        ),
        ("a.jsonl", JSON.format("").encode(), JSON.format("neg").encode(), {}),
        ("a.txt", LINES.encode(), f"neg{LINES}".encode(), {}),
    ],
)
def test_a_label_is_filled_in_and_nothing_else_changes(
    s3: Any, key: str, content: bytes, filled: bytes, headers: dict[str, str]
) -> None:
    result, asked = collect(s3, put(s3, key, content, Metadata={"minnow-job": "j"}, **headers))

    end = fill_in(s3, result, "text", {1: "neg"}, "run")
    again = fill_in(s3, result, "text", {1: "neg"}, "run")

    assert (end, again) == ("merged", "merged")
    assert asked[0]["id"] == "3:1"
    assert {name: asked[0][name] for name in ("best_label", "score", "abstained", "label")} == {
        "best_label": "pos",
        "score": 0.880797,
        "abstained": "uncertain",
        "label": "",
    }
    packed = read(s3, result)
    is_packed = packed[:2] == b"\x1f\x8b"
    assert (gzip.decompress(packed) if is_packed else packed) == filled
    head = s3.head_object(Bucket="results", Key=key)
    assert head["Metadata"] == {"minnow-job": "j", "minnow-review": "run"}
    assert head.get("ContentEncoding", "") == headers.get("ContentEncoding", "")


def test_rows_that_people_have_answered_are_not_asked_again(s3: Any) -> None:
    result, first = collect(s3, put(s3, "a.csv", CSV.encode()))

    fill_in(s3, result, "text", {1: "neg"}, "run")
    _, second = collect(s3, ObjectRef("results", "a.csv"))

    assert [row["text"] for row in first] == ['a, "b"\nc', "é"]
    assert [row["text"] for row in second] == ["é"]


@pytest.mark.parametrize("content", [b"id,text,predicted_label,model_version\n1,a,pos,1\n", b""])
def test_a_result_of_a_model_that_answers_every_text_has_none(s3: Any, content: bytes) -> None:
    header = b"text,predicted_label,predicted_score,model_version\n"

    _, asked = collect(s3, put(s3, "a.csv", content or header))

    assert asked == []


@pytest.mark.parametrize(
    ("key", "content", "reason"),
    [
        ("a.parquet", b"PAR1", "the result is Parquet, into which no labels are filled"),
        ("a.txt", b"pos\t0.9\n", "line 1 of the result does not begin with its cells"),
        ("a.csv", table("1,a").encode(), "row 1 of the result cannot be read: it has 2 fields"),
        ("a.csv", table(header="id,words").encode(), "text"),
    ],
)
def test_a_result_that_cannot_be_read_says_why(
    s3: Any, key: str, content: bytes, reason: str
) -> None:
    with pytest.raises(InvalidInput, match=reason):
        collect(s3, put(s3, key, content))

    assert s3.list_multipart_uploads(Bucket="results").get("Uploads", []) == []


def test_a_result_is_never_written_over_a_newer_one(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, _ = collect(s3, put(s3, "a.csv", CSV.encode()))
    real = s3.put_object

    def put_after_another(**arguments: Any) -> Any:
        real(Bucket="results", Key="a.csv", Body=b"newer")
        return real(**arguments)

    monkeypatch.setattr(s3, "put_object", put_after_another)

    assert fill_in(s3, result, "text", {1: "neg"}, "run") == "superseded"
    assert read(s3, result) == b"newer"


def test_a_lost_answer_to_our_own_write_is_found_out(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, _ = collect(s3, put(s3, "a.csv", CSV.encode()))
    real = s3.put_object

    def put_twice(**arguments: Any) -> Any:
        real(**arguments)
        return real(**arguments)  # of which S3 says that the condition does not hold

    monkeypatch.setattr(s3, "put_object", put_twice)

    assert fill_in(s3, result, "text", {1: "neg"}, "run") == "merged"


def test_an_upload_that_another_process_ended_is_tried_again(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, _ = collect(s3, put(s3, "a.csv", CSV.encode()))

    def lose(upload: Any) -> None:
        raise UploadGone

    monkeypatch.setattr("handler.durable.withheld.Upload.finish", lose)

    with pytest.raises(DeliveryError, match="another process ended the upload"):
        fill_in(s3, result, "text", {1: "neg"}, "run")


def test_a_result_that_is_gone_is_superseded(s3: Any) -> None:
    result, _ = collect(s3, put(s3, "a.csv", CSV.encode()))
    s3.delete_object(Bucket="results", Key="a.csv")

    assert fill_in(s3, result, "text", {1: "neg"}, "run") == "superseded"


LABELLED = [{"id": "3:1", "label": "neg"}, {"id": "3:3", "label": ""}, {"id": "4:1", "label": None}]
NEG_OR_NOT = {"answered": {"3": 1}, "problems": 0}


def as_lines(*rows: Any) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.jsonl", as_lines(*LABELLED)),
        ("labels.json", json.dumps(LABELLED).encode()),
        ("labels.csv", b"text,label,id\nx, neg ,3:1\ny,,3:3\n"),
        ("labels.csv", b"id;label\n3:1;neg\n3:1;neg\n"),
        ("labels.tsv.gz", gzip.compress(b"id\tlabel\n 3:1\tneg\n", mtime=0)),
    ],
)
def test_labels_are_taken_from_any_table(s3: Any, name: str, content: bytes) -> None:
    for number in (3, 4):
        collect(s3, put(s3, "a.csv", CSV.encode()), number)
    put(s3, f"asked/run/{name}", content)

    join_parts(s3, PLACES, [3, 4])
    checked = check_labels(s3, PLACES, ["pos", "neg"], [3, 4], 1)

    asked = [json.loads(line)["id"] for line in read(s3, PLACES.at("review.jsonl")).splitlines()]
    assert asked == ["3:1", "3:3", "4:1", "4:3"]
    assert checked == NEG_OR_NOT
    assert read_answers(s3, PLACES, 3) == {1: "neg"}


@pytest.mark.parametrize(
    ("rows", "problems"),
    [
        ([{"id": "3:1", "label": "bad"}], [(1, "label is none of the model's 2 labels")]),
        ([{"id": "3:1", "label": 1}], [(1, "label is int, wanted a string")]),
        ([{"id": "3:1", "label": "neg"}, {"id": "3:3"}], [(2, "it has no field label")]),
        ([{"id": "3", "label": "neg"}], [(1, "id is none of review.jsonl")]),
        ([{"id": 3, "label": "neg"}], [(1, "id is none of review.jsonl")]),
        ([{"id": "3:" + "9" * 5000, "label": "neg"}], [(1, "id is none of review.jsonl")]),
        ([{"id": "3:2", "label": "neg"}], [(0, "1 ids that begin with 3: are none of review")]),
        ([{"id": "7:1", "label": "neg"}], [(0, "1 ids that begin with 7: are none of review")]),
        (
            [{"id": "3:1", "label": "neg"}, {"id": "3:1", "label": "pos"}],
            [(2, "id stands there twice, with two labels")],
        ),
        ([{"id": "3:1", "text": "a"}], [(0, "label")]),
        ([["3:1", "neg"]], [(1, "wanted an object"), (2, "wanted an object")]),
    ],
)
def test_labels_with_a_problem_are_not_taken(
    s3: Any, rows: list[Any], problems: list[tuple[int, str]]
) -> None:
    collect(s3, put(s3, "a.csv", CSV.encode()))
    put(s3, "asked/run/labels.jsonl", as_lines(*rows))

    checked = check_labels(s3, PLACES, ["pos", "neg"], [3], 2)

    told = [*map(json.loads, read(s3, PLACES.at("problems-2.jsonl")).splitlines())]
    assert checked == {"answered": {}, "problems": len(problems)}
    assert [one["row"] for one in told] == [row for row, _ in problems]
    assert all(reason in one["reason"] for one, (_, reason) in zip(told, problems, strict=True))


def test_two_files_of_labels_are_one_too_many(s3: Any) -> None:
    put(s3, "asked/run/labels.jsonl", b"")
    put(s3, "asked/run/labels.csv", b"")

    assert check_labels(s3, PLACES, ["pos"], [], 1) == {"answered": {}, "problems": 1}
