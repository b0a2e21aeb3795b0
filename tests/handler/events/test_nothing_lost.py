"""Nothing lost, nothing doubled: poison, kills and failing sinks, with a real queue between.

moto answers a receive in 0.6 s, so that the counts here are small: `MINNOW_TEST_SCALE=100` runs
10,000 messages.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.handler.events.flaky import flaky_proxy
from tests.handler.events.test_objects import read_csv, read_jsonl

SCALE = int(os.environ.get("MINNOW_TEST_SCALE", "1"))
NUM_MESSAGES = 100 * SCALE
NUM_KILLS = min(20, 2 + SCALE)
POISON = [
    '{"text": "good',
    '{"title": "good"}',
    json.dumps({"text": "good " * 5000}),
    '{"text": ["good"]}',
    '{"text": "good \\ud800"}',
]
Client = Callable[[str], Any]


@pytest.fixture
def queues(aws: Client) -> dict[str, str]:
    """A queue whose messages are dead letters after some tries, and one for results."""
    sqs = aws("sqs")
    urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("dead", "results")}
    arn = sqs.get_queue_attributes(QueueUrl=urls["dead"], AttributeNames=["QueueArn"])
    redrive = {"deadLetterTargetArn": arn["Attributes"]["QueueArn"], "maxReceiveCount": 3}
    urls["texts"] = sqs.create_queue(
        QueueName="texts",
        Attributes={"RedrivePolicy": json.dumps(redrive), "VisibilityTimeout": "5"},
    )["QueueUrl"]
    return urls


def fill(sqs: Any, url: str, num_messages: int) -> None:
    """Send good messages, and in every hundredth place one of POISON."""
    bodies = [
        POISON[number // 100 % len(POISON)]
        if number % 100 == 99
        else json.dumps({"id": f"review-{number}", "text": "good film" if number % 2 else "bad"})
        for number in range(num_messages)
    ]
    for start in range(0, num_messages, 10):
        entries = [
            {"Id": str(index), "MessageBody": body}
            for index, body in enumerate(bodies[start : start + 10])
        ]
        assert not sqs.send_message_batch(QueueUrl=url, Entries=entries).get("Failed")


def drain(sqs: Any, url: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    while batch := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        messages += batch
        sqs.delete_message_batch(
            QueueUrl=url,
            Entries=[
                {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
                for index, message in enumerate(batch)
            ],
        )
    return messages


def start_poll(bundle: Path, queue: str, *flags: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "minnow", "poll", "--queue", queue, "--bundle", str(bundle)]
    return subprocess.Popen(
        [*command, *flags],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(worker: subprocess.Popen[str]) -> str:
    output, errors = worker.communicate(timeout=600)
    assert worker.returncode == 0, errors
    return output


def good_ids(num_messages: int) -> Counter[str]:
    return Counter(f"review-{number}" for number in range(num_messages) if number % 100 != 99)


@pytest.mark.slow
def test_poison_ends_in_the_dead_letters_and_every_other_message_once_in_the_results(
    aws: Client, queues: dict[str, str], tiny_bundle: Path
) -> None:
    sqs = aws("sqs")
    fill(sqs, queues["texts"], NUM_MESSAGES)

    worker = start_poll(
        tiny_bundle,
        queues["texts"],
        "--until-empty",
        "--batch-size=20",
        MINNOW_RESULTS="sqs://results",
    )

    assert finish(worker).startswith(f"{NUM_MESSAGES * 99 // 100} messages done")
    results = [json.loads(message["Body"]) for message in drain(sqs, queues["results"])]
    assert Counter(result["id"] for result in results) == good_ids(NUM_MESSAGES)
    assert Counter(message["Body"] for message in drain(sqs, queues["dead"])) == Counter(
        POISON[index % len(POISON)] for index in range(NUM_MESSAGES // 100)
    )


@pytest.mark.slow
@pytest.mark.parametrize("sink", ["sqs://results.fifo", "s3://results/r/", "dynamodb://results"])
def test_sinks_that_fail_in_a_tenth_of_the_calls_lose_and_double_nothing(
    sink: str,
    aws: Client,
    moto_url: str,
    queues: dict[str, str],
    tiny_bundle: Path,
) -> None:
    create_results(aws)
    sqs = aws("sqs")
    # A message that fails by a sink again and again must not become a dead letter here.
    fill(sqs, queues["texts"], NUM_MESSAGES)

    with flaky_proxy(moto_url, share=0.1) as (proxy_url, faults):
        service = {"sqs": "SQS", "s3": "S3", "dynamodb": "DYNAMODB"}[sink.split(":")[0]]
        worker = start_poll(
            tiny_bundle,
            queues["texts"],
            "--until-empty",
            "--batch-size=20",
            MINNOW_RESULTS=sink,
            **{f"AWS_ENDPOINT_URL_{service}": proxy_url},
        )
        finish(worker)

    assert faults
    assert Counter(read_results(aws, sink)) == good_ids(NUM_MESSAGES)
    assert len(drain(sqs, queues["dead"])) == NUM_MESSAGES // 100


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_of_batches_loses_and_doubles_nothing(
    aws: Client, queues: dict[str, str], tiny_bundle: Path
) -> None:
    create_results(aws)
    sqs = aws("sqs")
    attributes = {"VisibilityTimeout": "1", "RedrivePolicy": ""}
    sqs.set_queue_attributes(QueueUrl=queues["texts"], Attributes=attributes)
    good = 200 * SCALE
    for start in range(0, good, 10):
        sqs.send_message_batch(
            QueueUrl=queues["texts"],
            Entries=[
                {"Id": str(n), "MessageBody": json.dumps({"id": f"review-{n}", "text": "good"})}
                for n in range(start, start + 10)
            ],
        )
    moments = random.Random(7)
    flags = ("--until-empty", "--batch-size=10")
    for _ in range(NUM_KILLS):
        worker = start_poll(tiny_bundle, queues["texts"], *flags, MINNOW_RESULTS="s3://results/r/")
        kill_after(worker, 0.5 + moments.random() * 1.5)

    finish(start_poll(tiny_bundle, queues["texts"], *flags, MINNOW_RESULTS="s3://results/r/"))

    ids = read_results(aws, "s3://results/r/")
    assert Counter(ids) == Counter(f"review-{number}" for number in range(good))


@pytest.mark.slow
def test_an_object_survives_kills_in_writes_and_continuations(
    aws: Client, moto_url: str, queues: dict[str, str], tiny_bundle: Path
) -> None:
    create_results(aws)
    sqs, s3 = aws("sqs"), aws("s3")
    sqs.set_queue_attributes(
        QueueUrl=queues["texts"], Attributes={"RedrivePolicy": "", "VisibilityTimeout": "2"}
    )
    num_rows = 3000 * min(2, SCALE)
    s3.create_bucket(Bucket="texts", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="texts", Key="a.csv", Body=make_wide_csv(num_rows))
    record = {
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "texts"}, "object": {"key": "a.csv"}},
    }
    sqs.send_message(QueueUrl=queues["texts"], MessageBody=json.dumps({"Records": [record]}))
    moments = random.Random(7)
    environment = {
        "MINNOW_OBJECT_RESULTS": "s3://results/scored/",
        "MINNOW_CONTINUATION_QUEUE": "sqs://texts",
        "MINNOW_RESERVE_MS": "1700",  # of 2,000: an invocation scores a block or two
    }
    flags = ("--until-empty", "--timeout-s=2", "--batch-size=1")
    for _ in range(NUM_KILLS):
        worker = start_poll(tiny_bundle, queues["texts"], *flags, **environment)
        kill_after(worker, 0.6 + moments.random() * 1.2)
        assert_whole_or_absent(s3, num_rows)

    finish(start_poll(tiny_bundle, queues["texts"], *flags, **environment))

    rows = read_csv(s3.get_object(Bucket="results", Key="scored/texts/a.csv")["Body"].read())
    assert [int(row["id"]) for row in rows] == [n for n in range(num_rows) if n % 5]
    rejected = s3.get_object(Bucket="results", Key="scored/texts/a.csv.rejected")["Body"].read()
    assert [line["row"] for line in read_jsonl(rejected)] == list(range(1, num_rows + 1, 5))
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket="results")["Contents"]]
    assert keys == ["scored/texts/a.csv", "scored/texts/a.csv.rejected"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="results")


def create_results(aws: Client) -> None:
    aws("s3").create_bucket(
        Bucket="results", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    aws("sqs").create_queue(QueueName="results.fifo", Attributes={"FifoQueue": "true"})
    aws("dynamodb").create_table(
        TableName="results",
        KeySchema=[{"AttributeName": "result_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "result_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def read_results(aws: Client, sink: str) -> list[str]:
    """Return the senders' ids of all results."""
    if sink.startswith("s3"):
        s3 = aws("s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket="results", Prefix="r/")
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return [
            json.loads(s3.get_object(Bucket="results", Key=key)["Body"].read())["id"]
            for key in keys
        ]
    if sink.startswith("dynamodb"):
        pages = aws("dynamodb").get_paginator("scan").paginate(TableName="results")
        return [item["id"]["S"] for page in pages for item in page["Items"]]
    sqs = aws("sqs")
    url = sqs.get_queue_url(QueueName="results.fifo")["QueueUrl"]
    return [json.loads(message["Body"])["id"] for message in drain(sqs, url)]


def kill_after(worker: subprocess.Popen[str], seconds: float) -> None:
    time.sleep(seconds)
    worker.send_signal(signal.SIGKILL)
    worker.communicate()


def make_wide_csv(num_rows: int) -> bytes:
    """Rows of 6 KB, most of it beside the text; every fifth text is too long."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["id", "text", "pad"])
    for number in range(num_rows):
        writer.writerow([number, "good" if number % 5 else "good " * 4001, "x" * 6000])
    return buffer.getvalue().encode()


def assert_whole_or_absent(s3: Any, num_rows: int) -> None:
    reply = s3.list_objects_v2(Bucket="results", Prefix="scored/texts/a.csv")
    if "scored/texts/a.csv" in [entry["Key"] for entry in reply.get("Contents", [])]:
        content = s3.get_object(Bucket="results", Key="scored/texts/a.csv")["Body"].read()
        assert len(read_csv(content)) == num_rows * 4 // 5
