"""Objects that are passed over, headers that say how one is packed, null in their events."""

from __future__ import annotations

import gzip
import json
import logging
import random
from collections.abc import Callable
from typing import Any

import pytest
import zstandard

from handler.errors import DeliveryError, InvalidInput
from handler.event_settings import EventSettings
from handler.events.dispatch import answer_event
from handler.events.resources import Resources
from handler.inference.classifier import Classifier
from handler.inference.models import Model, Models
from handler.objects.upload import PART_BYTES
from tests.helpers.aws import MakeResources, load_event
from tests.helpers.deployment import make_s3_event, wrap_in_sqs
from tests.helpers.tables import read_csv

Client = Callable[[str], Any]
CSV = b"text\ngood film\nbad\n"


@pytest.fixture
def resources(s3: Any, make_resources: MakeResources) -> Resources:
    return make_resources(MINNOW_OBJECT_RESULTS="s3://results/scored/")


def unzstd(content: bytes) -> bytes:
    reader = zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True)
    return bytes(reader.read())


def passed_over(*reasons: str) -> dict[str, Any]:
    return {"results": [{"status": "passed over", "reason": reason} for reason in reasons]}


def test_markers_are_passed_over_without_a_call(
    tiny_classifier: Classifier, caplog: pytest.LogCaptureFixture
) -> None:
    resources = Resources(Models([Model(tiny_classifier)]), EventSettings())
    program = "a marker of another program"

    with caplog.at_level(logging.INFO, "minnow"):
        reply = answer_event(load_event("s3_markers"), None, resources)

    assert reply == passed_over("a folder", program, program)
    assert "an object was passed over: a folder" in caplog.messages
    assert "reviews" not in caplog.text


@pytest.mark.parametrize(
    "key", ["a/_started_123", "a/_committed_123", "x_$folder$", "a/b/", "/", "scored/", "_FAILED"]
)
def test_a_name_tells_a_marker(key: str, resources: Resources) -> None:
    (answer,) = answer_event(make_s3_event("results", key.replace("$", "%24")), None, resources)[
        "results"
    ]

    assert answer["status"] == "passed over"


def test_an_empty_file_of_no_known_format_is_passed_over(s3: Any, resources: Resources) -> None:
    s3.put_object(Bucket="texts", Key="2026/done", Body=b"")

    reply = answer_event(make_s3_event("texts", "2026/done"), None, resources)

    assert reply == passed_over("an empty file of no format that holds texts")


@pytest.mark.parametrize(("key", "body"), [("2026/done", b"1"), ("_SUCCESSES.pdf", b"%PDF")])
def test_a_file_that_has_bytes_is_refused_by_its_name(
    key: str, body: bytes, s3: Any, resources: Resources
) -> None:
    s3.put_object(Bucket="texts", Key=key, Body=body)

    with pytest.raises(InvalidInput, match="name does not end in one of"):
        answer_event(make_s3_event("texts", key), None, resources)


@pytest.mark.parametrize("key", ["gone.csv", "gone of no known format", "gone.parquet"])
def test_an_object_that_is_gone_is_passed_over_and_leaves_the_queue(
    key: str, s3: Any, resources: Resources
) -> None:
    event = make_s3_event("texts", key)

    assert answer_event(event, None, resources) == {
        "results": [{"status": "passed over", "reason": "it is gone"}]
    }
    assert answer_event(wrap_in_sqs(json.dumps(event)), None, resources) == {
        "batchItemFailures": []
    }


def test_a_version_that_is_gone_is_passed_over(s3: Any, resources: Resources) -> None:
    versioning = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket="texts", VersioningConfiguration=versioning)
    version = s3.put_object(Bucket="texts", Key="a.csv", Body=b"text\ngood\n")["VersionId"]
    s3.delete_object(Bucket="texts", Key="a.csv", VersionId=version)

    reply = answer_event(make_s3_event("texts", "a.csv", version_id=version), None, resources)

    assert reply == {"results": [{"status": "passed over", "reason": "it is gone"}]}


def test_an_object_of_a_bucket_that_is_not_there_is_tried_again(
    s3: Any, resources: Resources
) -> None:
    with pytest.raises(DeliveryError, match="the object cannot be read: NoSuchBucket"):
        answer_event(make_s3_event("mistyped", "a.csv"), None, resources)


def test_a_marker_and_a_test_event_leave_the_queue(resources: Resources) -> None:
    for body in ("s3_markers", "s3_test_event"):
        event = wrap_in_sqs(json.dumps(load_event(body)))
        assert answer_event(event, None, resources) == {"batchItemFailures": []}


def test_null_in_an_objects_event_is_absent(s3: Any, resources: Resources) -> None:
    s3.put_object(Bucket="texts", Key="in/reviews.csv", Body=CSV)
    bus = load_event("eventbridge_s3_object_created")
    bus["detail"] |= {
        "bucket": {"name": "texts"},
        "object": {"key": "in/reviews.csv", "etag": None, "version-id": None, "size": None},
    }

    reply = answer_event(load_event("s3_nulls"), None, resources)

    assert reply["results"][0]["status"] == "done"
    assert answer_event(bus, None, resources) == reply["results"]


@pytest.mark.parametrize(
    ("name", "encoding", "packed", "unpack"),
    [
        ("a.csv", "gzip", gzip.compress(CSV, mtime=0), gzip.decompress),
        ("a.csv", "GZIP, aws-chunked", gzip.compress(CSV, mtime=0), gzip.decompress),
        ("a.csv.gz", "gzip", gzip.compress(CSV, mtime=0), gzip.decompress),
        ("a.csv", "zstd", zstandard.compress(CSV), unzstd),
        ("a.csv", "identity", CSV, bytes),
        ("a.csv", "", CSV, bytes),
    ],
)
def test_an_object_is_unpacked_as_its_content_encoding_says(
    name: str,
    encoding: str,
    packed: bytes,
    unpack: Callable[[bytes], bytes],
    s3: Any,
    resources: Resources,
) -> None:
    s3.put_object(Bucket="texts", Key=name, Body=packed, ContentEncoding=encoding)

    answer_event(make_s3_event("texts", name), None, resources)

    found = s3.get_object(Bucket="results", Key=f"scored/texts/{name}")
    content = found["Body"].read()
    assert [row["predicted_label"] for row in read_csv(unpack(content))] == ["pos", "neg"]
    says = {"gzip", "zstd"} & {encoding.lower().split(",")[0]} if name == "a.csv" else set()
    assert found.get("ContentEncoding", "") == "".join(says)


@pytest.mark.slow
def test_a_result_in_parts_says_its_content_encoding_too(s3: Any, resources: Resources) -> None:
    letters = random.Random(7)
    rows = [f"good,{letters.randbytes(6000).hex()}\n" for _ in range(2 * PART_BYTES // 6000)]
    content = ("text,pad\n" + "".join(rows)).encode()
    s3.put_object(
        Bucket="texts", Key="a.csv", Body=gzip.compress(content, 1, mtime=0), ContentEncoding="gzip"
    )

    answer_event(make_s3_event("texts", "a.csv"), None, resources)

    found = s3.get_object(Bucket="results", Key="scored/texts/a.csv")
    assert found["ContentEncoding"] == "gzip"
    assert len(read_csv(gzip.decompress(found["Body"].read()))) == len(rows)


@pytest.mark.parametrize(
    ("name", "encoding"),
    [("a.csv", "br"), ("a.csv", "gzip, gzip"), ("a.csv.zst", "gzip"), ("a.parquet", "gzip")],
)
def test_a_content_encoding_that_cannot_be_read_is_refused(
    name: str, encoding: str, s3: Any, resources: Resources
) -> None:
    s3.put_object(Bucket="texts", Key=name, Body=b"x", ContentEncoding=encoding)

    with pytest.raises(InvalidInput, match="Content-Encoding cannot be read: wanted gzip or zstd"):
        answer_event(make_s3_event("texts", name), None, resources)
