"""Objects on a real S3 server: every format, rejected rows, continuations, second deliveries."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections.abc import Callable
from typing import Any

import pyarrow
import pytest
import zstandard
from pyarrow import parquet

from handler.errors import DeliveryError, HandlerError, InvalidInput
from handler.events.dispatch import answer_event
from handler.events.resources import Resources
from handler.inference.exchange import Exchange
from handler.objects.upload import PART_BYTES
from tests.helpers.aws import MakeResources, load_event
from tests.helpers.deployment import Clock, make_s3_event
from tests.helpers.tables import read_csv, read_jsonl, read_parquet

Client = Callable[[str], Any]
ROWS = [("1", "good film"), ("2", "bad,\nfilm"), ("3", "good " * 5000), ("4", "bad")]
LABELS = [("1", "pos"), ("2", "neg"), ("4", "neg")]
REJECTED = [{"row": 3, "reason": "text has 25000 characters, the limit is 20000"}]


CALM = Clock(600_000)


@pytest.fixture
def queue_url(aws: Client) -> str:
    url: str = aws("sqs").create_queue(QueueName="texts")["QueueUrl"]
    return url


@pytest.fixture
def resources(s3: Any, queue_url: str, make_resources: MakeResources) -> Resources:
    return make_resources(
        MINNOW_OBJECT_RESULTS="s3://results/scored/",
        MINNOW_OBJECT_SOURCE="s3://texts/",
        MINNOW_CONTINUATION_QUEUE="sqs://texts",
    )


def make_event(key: str, bucket: str = "texts") -> dict[str, Any]:
    return make_s3_event(bucket, key)


def make_csv(delimiter: str = ",") -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter).writerows([("id", "text"), *ROWS])
    return buffer.getvalue().encode()


def make_jsonl() -> bytes:
    lines = [json.dumps({"id": row_id, "text": text}) for row_id, text in ROWS]
    return "\n".join(lines).encode()


def make_parquet() -> bytes:
    buffer = io.BytesIO()
    ids, texts = zip(*ROWS, strict=True)
    parquet.write_table(pyarrow.table({"id": ids, "text": texts}), buffer, row_group_size=2)
    return buffer.getvalue()


def unzstd(content: bytes) -> bytes:
    reader = zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True)
    return bytes(reader.read())


def get(s3: Any, key: str) -> bytes:
    content: bytes = s3.get_object(Bucket="results", Key=key)["Body"].read()
    return content


def list_keys(s3: Any) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket="results").get("Contents", [])]


@pytest.mark.parametrize(
    ("name", "content", "read"),
    [
        ("a.csv", make_csv(), read_csv),
        ("a.CSV.gz", gzip.compress(make_csv()), lambda got: read_csv(gzip.decompress(got))),
        ("a.tsv", make_csv("\t"), lambda got: read_csv(got, "\t")),
        ("a.jsonl", make_jsonl(), read_jsonl),
        (
            "a.ndjson.zst",
            zstandard.compress(make_jsonl()[:40]) + zstandard.compress(make_jsonl()[40:]),
            lambda got: read_jsonl(unzstd(got)),
        ),
        ("a.parquet", make_parquet(), read_parquet),
    ],
)
def test_an_object_becomes_the_same_format_with_labels(
    name: str, content: bytes, read: Callable[[bytes], Any], s3: Any, resources: Resources
) -> None:
    s3.put_object(Bucket="texts", Key=f"in/{name}", Body=content)

    reply = answer_event(make_event(f"in/{name}"), None, resources)

    key = f"scored/texts/in/{name}"
    assert reply == {"results": [{"status": "done", "result": f"s3://results/{key}"}]}
    rows = read(get(s3, key))
    assert list(rows[0]) == ["id", "text", "predicted_label", "predicted_score", "model_version"]
    assert [(row["id"], row["predicted_label"]) for row in rows] == LABELS
    assert [row["text"] for row in rows] == ["good film", "bad,\nfilm", "bad"]
    assert float(rows[0]["predicted_score"]) == pytest.approx(0.880797, abs=1e-6)
    assert read_jsonl(get(s3, f"{key}.rejected")) == REJECTED
    assert list_keys(s3) == [key, f"{key}.rejected"]


def test_plain_lines_are_scored_one_by_one(s3: Any, resources: Resources) -> None:
    s3.put_object(Bucket="texts", Key="a.txt", Body=b"\xef\xbb\xbfgood film\r\n\nb\xe9d\nbad\tfilm")

    answer_event(make_event("a.txt"), None, resources)

    assert get(s3, "scored/texts/a.txt") == (
        b"pos\t0.880797\t1\tgood film\npos\t0.500000\t1\t\nneg\t0.880797\t1\tbad\tfilm\n"
    )
    assert read_jsonl(get(s3, "scored/texts/a.txt.rejected")) == [
        {"row": 3, "reason": "text holds a lone surrogate at character 1, wanted Unicode text"}
    ]


def test_rows_that_cannot_be_read_are_rejected_with_their_number(
    s3: Any, resources: Resources
) -> None:
    lines = [
        b'{"text": "good"}',
        b"",
        b"{broken",
        b'["good"]',
        b'{"title": "good"}',
        b'{"text": null}',
        b'{"text": "b\xe9d"}',
        b'{"text": "good", "other": "\\ud800"}',
        b'{"text": "' + b"x" * (5 << 20) + b'"}',
        b'{"text": "bad"}',
    ]
    s3.put_object(Bucket="texts", Key="a.jsonl", Body=b"\n".join(lines))

    answer_event(make_event("a.jsonl"), None, resources)

    rows = read_jsonl(get(s3, "scored/texts/a.jsonl"))
    assert [row["predicted_label"] for row in rows] == ["pos", "pos", "neg"]
    assert [
        (line["row"], line["reason"])
        for line in read_jsonl(get(s3, "scored/texts/a.jsonl.rejected"))
    ] == [
        (2, "it is not JSON"),
        (3, "it is list, wanted an object"),
        (4, "it has no field text"),
        (5, "text is null, wanted a string"),
        (6, "it is not UTF-8 (byte 11)"),
        (8, "it has a line above 4194304 bytes"),
    ]


def test_a_csv_row_of_another_width_is_rejected_and_the_rest_go_on(
    s3: Any, resources: Resources
) -> None:
    body = b"text,note\ngood,a\nbad\ngood,a,b\n\nbad,caf\xe9\n"
    s3.put_object(Bucket="texts", Key="a.csv", Body=body)

    answer_event(make_event("a.csv"), None, resources)

    assert get(s3, "scored/texts/a.csv") == (
        b"text,note,predicted_label,predicted_score,model_version\n"
        b"good,a,pos,0.880797,1\nbad,caf\xe9,neg,0.880797,1\n"
    )
    rejected = read_jsonl(get(s3, "scored/texts/a.csv.rejected"))
    assert [(line["row"], line["reason"].partition(":")[0]) for line in rejected] == [
        (2, "it has 1 fields, the header 2"),
        (3, "it has 3 fields, the header 2"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pdf", b"%PDF", "name does not end in one of .csv, .tsv"),
        ("a.csv", b"title,year\n", "none of the file's 2 columns is named text"),
        ("a.csv", b"", "none of the file's 0 columns is named text"),
        ("a.csv.gz", gzip.compress(make_csv() * 300)[:-9], "broken or cut off after"),
        ("a.csv.gz", b"not gzip", "broken or cut off after 0 plain bytes"),
        ("a.csv.zst", zstandard.compress(make_csv() * 300)[:-9], "broken or cut off after"),
        ("a.csv.zst", b"not zstd", "broken or cut off after 0 plain bytes"),
        ("a.parquet", make_parquet()[:-9], "not Parquet, or is cut off"),
    ],
)
def test_an_object_that_cannot_be_read_leaves_nothing_behind(
    name: str, content: bytes, message: str, s3: Any, resources: Resources
) -> None:
    s3.put_object(Bucket="texts", Key=name, Body=content)

    with pytest.raises(InvalidInput, match=message):
        answer_event(make_event(name), None, resources)

    assert list_keys(s3) == []
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="results")


@pytest.mark.parametrize(
    "name",
    [
        "s3_object_created",
        "eventbridge_s3_object_created",
        "sns_s3_notification",
        "sqs_s3_notification",
        "sqs_sns_s3_notification",
        "sqs_eventbridge_s3",
    ],
)
def test_an_object_is_scored_whichever_way_its_event_comes(
    name: str, s3: Any, resources: Resources
) -> None:
    s3.put_object(Bucket="texts", Key="in/my reviews + more.csv", Body=make_csv())

    answer_event(load_event(name), None, resources)

    assert "scored/texts/in/my reviews + more.csv" in list_keys(s3)


def test_an_object_below_the_results_prefix_is_refused(s3: Any, resources: Resources) -> None:
    s3.put_object(Bucket="results", Key="scored/a.csv", Body=make_csv())

    with pytest.raises(InvalidInput, match="trigger the function by its own result"):
        answer_event(make_event("scored/a.csv", "results"), None, resources)

    assert list_keys(s3) == ["scored/a.csv"]


def test_an_object_without_a_place_for_results_is_refused(
    s3: Any, make_resources: MakeResources
) -> None:
    with pytest.raises(HandlerError, match="set MINNOW_OBJECT_RESULTS"):
        answer_event(make_event("a.csv"), None, make_resources())


def test_parquet_is_refused_with_its_reason_where_pyarrow_is_left_out(
    s3: Any, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    s3.put_object(Bucket="texts", Key="a.parquet", Body=make_parquet())

    with pytest.raises(InvalidInput, match="Parquet needs pyarrow, which is not installed here"):
        answer_event(make_event("a.parquet"), None, resources)

    assert list_keys(s3) == []


def test_an_event_of_an_older_version_is_left_to_the_newer_ones(
    s3: Any, resources: Resources
) -> None:
    s3.put_object(Bucket="texts", Key="a.csv", Body=make_csv())
    event = make_event("a.csv")
    event["Records"][0]["s3"]["object"]["eTag"] = "0123456789abcdef0123456789abcdef"

    assert answer_event(event, None, resources) == {"results": [{"status": "superseded"}]}
    assert list_keys(s3) == []


def test_the_rows_of_an_object_are_counted_by_the_monitor(
    s3: Any, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Exchange] = []
    monkeypatch.setattr(resources.model.monitor, "observe", seen.append)
    s3.put_object(Bucket="texts", Key="a.txt", Body=b"good film\nbad\n\ngood\n")

    answer_event(make_event("a.txt"), None, resources)

    assert [(one.operation, one.texts, one.labels) for one in seen] == [
        ("s3", 4, {"pos": 3, "neg": 1})
    ]


def test_what_breaks_on_an_object_is_named_without_its_text(
    s3: Any, resources: Resources, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError("good film")

    monkeypatch.setattr("handler.objects.job.read_blocks", fail)
    s3.put_object(Bucket="texts", Key="a.txt", Body=b"good film\n")

    with pytest.raises(DeliveryError, match=r"an object failed \(RuntimeError at fail:\d+\)"):
        answer_event(make_event("a.txt"), None, resources)

    assert "an object failed" in caplog.text
    assert "good film" not in caplog.text


def test_a_second_delivery_of_a_scored_object_writes_nothing(s3: Any, resources: Resources) -> None:
    s3.put_object(Bucket="texts", Key="a.csv", Body=make_csv())
    answer_event(make_event("a.csv"), None, resources)
    first = s3.head_object(Bucket="results", Key="scored/texts/a.csv")["LastModified"]

    answer_event(make_event("a.csv"), None, resources)

    assert s3.head_object(Bucket="results", Key="scored/texts/a.csv")["LastModified"] == first


def test_a_new_version_replaces_the_result_and_its_rejected_rows(
    s3: Any, resources: Resources
) -> None:
    s3.put_object(Bucket="texts", Key="a.csv", Body=make_csv())
    answer_event(make_event("a.csv"), None, resources)
    s3.put_object(Bucket="texts", Key="a.csv", Body=b"text\ngood\n")

    answer_event(make_event("a.csv"), None, resources)

    assert list_keys(s3) == ["scored/texts/a.csv"]
    assert [row["predicted_label"] for row in read_csv(get(s3, "scored/texts/a.csv"))] == ["pos"]


def make_large_csv(num_rows: int, num_pads: int = 6000) -> bytes:
    """Rows of 6 KB, most of it beside the text: two parts of a result in a few thousand rows."""
    pad = "x" * num_pads
    lines = [f"{n},{'good' if n % 5 else 7 * 'good ' * 900},{pad}\n" for n in range(num_rows)]
    return ("id,text,pad\n" + "".join(lines)).encode()


def drain(aws: Client, queue_url: str, resources: Resources, clock: Clock) -> int:
    """Answer continuations until there are none; return how many came."""
    sqs, count = aws("sqs"), 0
    while messages := sqs.receive_message(QueueUrl=queue_url).get("Messages"):
        count += 1
        event = load_event("sqs_plain_text")
        event["Records"][0]["body"] = messages[0]["Body"]
        assert answer_event(event, clock, resources) == {"batchItemFailures": []}
        sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=messages[0]["ReceiptHandle"])
    return count


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "csv.zst", "parquet"])
def test_an_object_handed_on_ends_with_the_bytes_of_one_go(
    suffix: str, aws: Client, s3: Any, queue_url: str, resources: Resources
) -> None:
    content = make_large_csv(3000)
    if suffix == "csv.gz":
        content = gzip.compress(content, 1)
    elif suffix == "csv.zst":
        content = zstandard.compress(content)
    elif suffix == "parquet":
        table = pyarrow.Table.from_pylist(read_csv(content))
        buffer = io.BytesIO()
        parquet.write_table(table, buffer, row_group_size=700)
        content = buffer.getvalue()
    for name in ("whole", "handed"):
        s3.put_object(Bucket="texts", Key=f"{name}.{suffix}", Body=content)
    answer_event(make_event(f"whole.{suffix}"), None, resources)

    (first,) = answer_event(make_event(f"handed.{suffix}"), Clock(), resources)["results"]

    job, result = first.pop("job"), f"scored/texts/handed.{suffix}"
    assert first == {"status": "continued", "rows": 1024, "result": f"s3://results/{result}"}
    assert drain(aws, queue_url, resources, Clock()) == 3  # 2048, 3000, and the end
    for ending in ("", ".rejected"):
        whole = get(s3, f"scored/texts/whole.{suffix}{ending}")
        assert get(s3, f"scored/texts/handed.{suffix}{ending}") == whole
    assert s3.head_object(Bucket="results", Key=result)["Metadata"]["minnow-job"] == job
    assert len(list_keys(s3)) == 4  # no tail is left
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="results")


@pytest.mark.slow
def test_a_continuation_delivered_twice_ends_with_one_result(
    aws: Client, s3: Any, queue_url: str, resources: Resources
) -> None:
    content = make_large_csv(3000, 12_000)
    assert len(content) > 2 * PART_BYTES
    s3.put_object(Bucket="texts", Key="a.csv", Body=content)
    answer_event(make_event("a.csv"), Clock(), resources)
    message = aws("sqs").receive_message(QueueUrl=queue_url)["Messages"][0]
    event = load_event("sqs_plain_text")
    event["Records"][0]["body"] = message["Body"]

    for clock in (Clock(), CALM, Clock(), CALM):
        assert answer_event(event, clock, resources) == {"batchItemFailures": []}
    drain(aws, queue_url, resources, Clock())

    rows = read_csv(get(s3, "scored/texts/a.csv"))
    assert [int(row["id"]) for row in rows] == [n for n in range(3000) if n % 5]
    assert len(list_keys(s3)) == 2
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="results")


@pytest.mark.slow
def test_an_upload_taken_away_begins_again(
    aws: Client, s3: Any, queue_url: str, resources: Resources
) -> None:
    s3.put_object(Bucket="texts", Key="a.csv", Body=make_large_csv(3000, 12_000))
    answer_event(make_event("a.csv"), Clock(), resources)
    for entry in s3.list_multipart_uploads(Bucket="results")["Uploads"]:
        s3.abort_multipart_upload(Bucket="results", Key=entry["Key"], UploadId=entry["UploadId"])

    drain(aws, queue_url, resources, CALM)

    rows = read_csv(get(s3, "scored/texts/a.csv"))
    assert [int(row["id"]) for row in rows] == [n for n in range(3000) if n % 5]


def test_time_up_without_a_queue_says_what_to_set(s3: Any, make_resources: MakeResources) -> None:
    resources = make_resources(MINNOW_RESULTS="s3://results/scored/")
    s3.put_object(Bucket="texts", Key="a.csv", Body=make_csv())

    with pytest.raises(DeliveryError, match="after 4 rows: set MINNOW_CONTINUATION_QUEUE"):
        answer_event(make_event("a.csv"), Clock(), resources)

    assert list_keys(s3) == []
