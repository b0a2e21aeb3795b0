"""What a message's body may be packed in, and what is no text: never scored as one."""

from __future__ import annotations

import base64
import gzip
import json

import pytest

from handler.errors import InvalidInput
from handler.events.body import MAX_PLAIN_BYTES, decode_bytes
from handler.events.work import Objects, Texts, read_body

OBJECT = json.dumps({"text": "good film"})
POINTER = {"s3BucketName": "large", "s3Key": "0123"}


def to_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    "body",
    [
        OBJECT,
        f"\ufeff{OBJECT}",
        f" \n\ufeff \u200b{OBJECT}",
        f"\u00ef\u00bb\u00bf{OBJECT}",
        json.dumps(OBJECT),
        json.dumps(json.dumps(OBJECT)),
        json.dumps(f"\ufeff{OBJECT}"),
        f"\ufeff{json.dumps(OBJECT)}\n",
        json.dumps("good film"),
        "good film",
        "\ufeffgood film",
        to_base64(OBJECT.encode()),
        base64.urlsafe_b64encode(OBJECT.encode()).decode().rstrip("="),
        to_base64(gzip.compress(OBJECT.encode(), mtime=0)),
        to_base64(gzip.compress(b"good film", mtime=0)),
        base64.encodebytes(gzip.compress(OBJECT.encode() + b" " * 500, mtime=0)).decode(),
        json.dumps({"text": "good film", "texts": None, "id": None, "Records": None}),
    ],
)
def test_a_text_is_read_out_of_what_it_is_packed_in(body: str) -> None:
    work = read_body(body)

    assert isinstance(work, Texts)
    assert (work.texts, work.sender_id) == (["good film"], None)


@pytest.mark.parametrize(
    "body",
    [
        "[sic] a good film",
        "[sic",
        '["Alien"] is a good film',
        "[1] a good film",
        "[[a link]] to a good film",
        "[good, bad]",
        '"Alien" is a good film',
        '"a quote that never ends',
        '"',
        '"two\nlines"',
        "eyJust a film",
        "H4sI",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        " good film ",
        "12",
        "true",
    ],
)
def test_plain_text_that_cannot_be_json_stays_as_it_is(body: str) -> None:
    assert read_body(body) == Texts([body], field="body")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "the body is empty"),
        (" \ufeff\n", "the body is empty"),
        ('""', "the body is empty"),
        ("null", "the body is null"),
        ('"null"', "the body is null"),
        ("{broken", "begins with { and is not JSON"),
        (f"\ufeff{OBJECT[:-1]}", "begins with { and is not JSON"),
        (json.dumps(OBJECT[:-2]), "begins with { and is not JSON"),
        (json.dumps(OBJECT)[:-2], "begins as JSON encoded twice and is not JSON"),
        (f'"{OBJECT}"', "begins as JSON encoded twice and is not JSON"),
        (json.dumps(json.dumps(OBJECT))[:-3], "begins as JSON encoded twice and is not JSON"),
        ("[]", 'is a JSON array, .*send a list as {"texts"'),
        ("[1, 2]", "is a JSON array"),
        ('["good film"]', "is a JSON array"),
        ('\ufeff["good film"]', "is a JSON array"),
        (json.dumps(json.dumps(["good film"])), "is a JSON array"),
        (to_base64(gzip.compress(b'["good film"]', mtime=0)), "is a JSON array"),
        ('[{"text": "good film"}]', "is a JSON array"),
        ("[" * 100_000, "is a JSON array"),
        ('["good film", "bad', "begins as a JSON array and is not JSON"),
        ('["good film",', "begins as a JSON array and is not JSON"),
        ('[{"text": "good film"', "begins as a JSON array and is not JSON"),
        ("[{text: 'good film'}]", "begins as a JSON array and is not JSON"),
        (to_base64(gzip.compress(OBJECT.encode(), mtime=0))[:-8], "is gzip, broken or cut off"),
        (json.dumps(json.dumps(json.dumps(json.dumps(OBJECT)))), "encoded more than 3 times"),
        (
            json.dumps(["software.amazon.payloadoffloading.PayloadS3Pointer", POINTER]),
            "points to a large message in S3",
        ),
        (
            json.dumps(["com.amazon.sqs.javamessaging.MessageS3Pointer", POINTER]),
            "points to a large message in S3",
        ),
        (
            json.dumps(json.dumps(["com.example.OtherS3Pointer", {}])),
            "points to a large message in S3",
        ),
        (json.dumps(POINTER), "points to a large message in S3"),
        (json.dumps({"S3Payload": {"Bucket": "large"}}), "points to a large message in S3"),
        (json.dumps({"text": None}), "text is null"),
        (json.dumps({"title": "good film"}), "none of the fields"),
        (json.dumps({"messageType": "DATA_MESSAGE", "logEvents": []}), "a batch of log lines"),
    ],
)
def test_what_is_no_text_fails_with_its_reason(body: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as failure:
        read_body(body)

    assert "good" not in str(failure.value)
    assert "large" not in str(failure.value).replace("large message", "")


def test_a_schedule_in_a_queue_asks_for_nothing() -> None:
    schedule = {"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}

    assert read_body(json.dumps(schedule)) == Objects([])


def test_our_own_result_is_refused_also_where_a_bus_sends_it_by_a_queue() -> None:
    result = {"detail-type": "Minnow Prediction", "source": "minnow", "detail": {"text": "good"}}

    with pytest.raises(InvalidInput, match="one of our own results"):
        read_body(json.dumps(result))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_bytes_are_read_by_their_byte_order_mark(encoding: str) -> None:
    assert decode_bytes("schön".encode(encoding), "data").lstrip("\ufeff") == "schön"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"sch\xf6n", "data is not UTF-8 text"),
        (b"\x28\xb5\x2f\xfd", "data is not UTF-8 text"),
        (gzip.compress(b"good", mtime=0)[:-3], "data is gzip, broken or cut off"),
        (gzip.compress(b"sch\xf6n", mtime=0), "data is not UTF-8 text"),
        (
            gzip.compress(bytes(MAX_PLAIN_BYTES + 1), mtime=0),
            "data is gzip of more than 16777216 bytes",
        ),
    ],
)
def test_bytes_that_are_no_text_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        decode_bytes(data, "data")
