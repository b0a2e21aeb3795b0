"""Nothing lost, nothing doubled: poison, kills and failing sinks, with a real queue between.

The counts here are small; `make test-events-long` runs 10,000 messages and 20 kills. Messages are
sent a hundred at a time, because moto looks at a whole queue for every message that it takes or
gives: where a receive takes longer than the visibility timeout, a batch comes again before it was
deleted, and its results are sent twice.
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

from tests.helpers.aws import create_bus
from tests.helpers.flaky import FAULTS, flaky_proxy
from tests.helpers.tables import read_csv, read_jsonl

IS_LONG = os.environ.get("MINNOW_TEST_LONG") == "1"
NUM_ROUNDS = 100 if IS_LONG else 1
ROUND = 100  # messages sent at a time, the last of them poison
NUM_KILLS = 20 if IS_LONG else 3
NUM_ROWS = 6000 if IS_LONG else 3000  # of an object: 29 MB, four parts of an upload; or two
# A batch of 20 takes about a second of moto's time, several on a busy machine.
VISIBILITY_S = 30 if IS_LONG else 5
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
        Attributes={"RedrivePolicy": json.dumps(redrive), "VisibilityTimeout": str(VISIBILITY_S)},
    )["QueueUrl"]
    return urls


def make_round(number: int) -> list[str]:
    """Return good messages, the last one in its place one of POISON."""
    first = number * ROUND
    good = [
        json.dumps({"id": f"review-{first + n}", "text": "good film" if n % 2 else "bad"})
        for n in range(ROUND - 1)
    ]
    return [*good, POISON[number % len(POISON)]]


def send(sqs: Any, url: str, bodies: list[str]) -> None:
    for start in range(0, len(bodies), 10):
        entries = [
            {"Id": str(index), "MessageBody": body}
            for index, body in enumerate(bodies[start : start + 10])
        ]
        assert not sqs.send_message_batch(QueueUrl=url, Entries=entries).get("Failed")


def count(sqs: Any, url: str) -> tuple[int, int]:
    """Return how many messages of a queue are visible, and how many in flight."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(attributes[names[0]]), int(attributes[names[1]])


def wait_for(is_reached: Callable[[], bool], timeout_s: float = 300) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_reached():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def send_rounds(sqs: Any, queues: dict[str, str], collect: Callable[[], None]) -> None:
    """Send round after round, each when only poison is left of the last; wait for its end too."""
    for number in range(NUM_ROUNDS):
        send(sqs, queues["texts"], make_round(number))
        wait_for(lambda sent=number + 1: count_undead(sqs, queues) <= sent)  # type: ignore[misc]
        collect()
    wait_for(lambda: count(sqs, queues["dead"])[0] == NUM_ROUNDS)


def count_undead(sqs: Any, queues: dict[str, str]) -> int:
    return sum(count(sqs, queues["texts"])) + sum(count(sqs, queues["dead"]))


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


def stop(worker: subprocess.Popen[str]) -> str:
    worker.send_signal(signal.SIGTERM)
    return finish(worker)


GOOD_IDS = Counter(
    f"review-{number}" for number in range(NUM_ROUNDS * ROUND) if number % ROUND != ROUND - 1
)
DEAD = Counter(POISON[number % len(POISON)] for number in range(NUM_ROUNDS))


@pytest.mark.slow
def test_poison_ends_in_the_dead_letters_and_every_other_message_once_in_the_results(
    aws: Client, queues: dict[str, str], tiny_bundle: Path
) -> None:
    sqs = aws("sqs")
    results: list[dict[str, Any]] = []
    worker = start_poll(
        tiny_bundle, queues["texts"], "--batch-size=20", MINNOW_RESULTS="sqs://results"
    )

    send_rounds(sqs, queues, lambda: results.extend(drain(sqs, queues["results"])))

    done, failures = NUM_ROUNDS * (ROUND - 1), 3 * NUM_ROUNDS
    assert stop(worker) == f"{done} messages done, {failures} failures left to the queue\n"
    assert Counter(json.loads(result["Body"])["id"] for result in results) == GOOD_IDS
    assert Counter(message["Body"] for message in drain(sqs, queues["dead"])) == DEAD


@pytest.mark.slow
@pytest.mark.parametrize(
    "sink", ["sqs://results.fifo", "s3://results/r/", "dynamodb://results", "eventbridge://bus"]
)
def test_sinks_that_fail_in_a_tenth_of_the_calls_lose_and_double_nothing(
    sink: str,
    aws: Client,
    moto_url: str,
    queues: dict[str, str],
    tiny_bundle: Path,
) -> None:
    create_results(aws)
    sqs = aws("sqs")
    ids: list[str] = []

    with flaky_proxy(moto_url, share=0.1) as (proxy_url, faults):
        resources = {"sqs": "SQS", "s3": "S3", "dynamodb": "DYNAMODB", "eventbridge": "EVENTBRIDGE"}
        worker = start_poll(
            tiny_bundle,
            queues["texts"],
            "--batch-size=20",
            MINNOW_RESULTS=sink,
            **{f"AWS_ENDPOINT_URL_{resources[sink.split(':')[0]]}": proxy_url},
        )
        send_rounds(sqs, queues, lambda: ids.extend(take_results(aws, sink)))
        stop(worker)

    assert set(faults) == set(FAULTS)
    assert Counter(ids) == GOOD_IDS
    assert Counter(message["Body"] for message in drain(sqs, queues["dead"])) == DEAD


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_of_batches_loses_and_doubles_nothing(
    aws: Client, queues: dict[str, str], tiny_bundle: Path
) -> None:
    create_results(aws)
    sqs = aws("sqs")
    attributes = {"VisibilityTimeout": "2", "RedrivePolicy": ""}
    sqs.set_queue_attributes(QueueUrl=queues["texts"], Attributes=attributes)
    moments = random.Random(7)
    environment = {"MINNOW_RESULTS": "s3://results/r/"}
    in_flight = []
    for number in range(NUM_KILLS):
        send(sqs, queues["texts"], make_round(number)[:50])
        worker = start_poll(tiny_bundle, queues["texts"], "--batch-size=10", **environment)
        wait_for(lambda: count(sqs, queues["texts"])[1] > 0)
        kill_after(worker, moments.random())
        in_flight.append(count(sqs, queues["texts"])[1])

    finish(start_poll(tiny_bundle, queues["texts"], "--until-empty", **environment))

    assert any(in_flight)
    assert Counter(take_results(aws, "s3://results/r/")) == Counter(
        f"review-{number * ROUND + n}" for number in range(NUM_KILLS) for n in range(50)
    )


@pytest.mark.slow
def test_objects_survive_kills_in_writes_and_continuations(
    aws: Client, queues: dict[str, str], tiny_bundle: Path
) -> None:
    create_results(aws)
    sqs, s3 = aws("sqs"), aws("s3")
    sqs.set_queue_attributes(
        QueueUrl=queues["texts"], Attributes={"RedrivePolicy": "", "VisibilityTimeout": "2"}
    )
    s3.create_bucket(Bucket="texts", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    content = make_wide_csv(NUM_ROWS)
    moments = random.Random(7)
    environment = {
        "MINNOW_OBJECT_RESULTS": "s3://results/scored/",
        "MINNOW_CONTINUATION_QUEUE": "sqs://texts",
        "MINNOW_RESERVE_MS": "1400",  # of 1,500: an invocation scores a block or two
    }
    flags = ("--timeout-s=2", "--batch-size=1")
    names: list[str] = []
    found = []
    for _ in range(NUM_KILLS):
        if not sum(count(sqs, queues["texts"])):  # the last object is done: one more
            names.append(f"{len(names)}.csv")
            s3.put_object(Bucket="texts", Key=names[-1], Body=content)
            send(sqs, queues["texts"], [make_notification(names[-1])])
        worker = start_poll(tiny_bundle, queues["texts"], *flags, **environment)
        wait_for(lambda: count(sqs, queues["texts"])[1] > 0)
        kill_after(worker, moments.random() * 1.2)
        found.append(look(sqs, s3, queues["texts"]))
        assert_whole_or_absent(s3, names)

    finish(start_poll(tiny_bundle, queues["texts"], "--until-empty", *flags, **environment))

    print(f"{len(names)} objects, {NUM_KILLS} kills found {dict(Counter(found))}")
    for name in names:
        assert_whole(s3, name)
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket="results")["Contents"]]
    assert keys == sorted(
        f"scored/texts/{name}{ending}" for name in names for ending in ("", ".rejected")
    )
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="results")


def make_notification(key: str) -> str:
    record = {
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "texts"}, "object": {"key": key}},
    }
    return json.dumps({"Records": [record]})


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
    create_bus(aws)


def take_results(aws: Client, sink: str) -> list[str]:
    """Return the senders' ids of all results, and remove them.

    An event bus drops no second send: a reader tells it by its result id, as here.
    """
    if sink.startswith("s3"):
        return take_objects(aws("s3"))
    if sink.startswith("dynamodb"):
        return take_items(aws("dynamodb"))
    sqs = aws("sqs")
    is_bus = sink.startswith("eventbridge")
    url = sqs.get_queue_url(QueueName="bus" if is_bus else "results.fifo")["QueueUrl"]
    results = [json.loads(message["Body"]) for message in drain(sqs, url)]
    if not is_bus:
        return [result["id"] for result in results]
    return list({event["detail"]["result_id"]: event["detail"]["id"] for event in results}.values())


def take_objects(s3: Any) -> list[str]:
    ids = []
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="results", Prefix="r/")
    for key in [entry["Key"] for page in pages for entry in page.get("Contents", [])]:
        ids.append(json.loads(s3.get_object(Bucket="results", Key=key)["Body"].read())["id"])
        s3.delete_object(Bucket="results", Key=key)
    return ids


def take_items(dynamodb: Any) -> list[str]:
    ids = []
    pages = dynamodb.get_paginator("scan").paginate(TableName="results")
    for item in [item for page in pages for item in page["Items"]]:
        ids.append(item["id"]["S"])
        dynamodb.delete_item(TableName="results", Key={"result_id": item["result_id"]})
    return ids


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


def look(sqs: Any, s3: Any, url: str) -> str:
    """Return what a kill interrupted: parts of an upload are there, or no more than a message."""
    if "Uploads" in s3.list_multipart_uploads(Bucket="results"):
        return "an upload"
    return "a message" if sum(count(sqs, url)) else "nothing"


def assert_whole_or_absent(s3: Any, names: list[str]) -> None:
    reply = s3.list_objects_v2(Bucket="results", Prefix="scored/texts/")
    keys = [entry["Key"] for entry in reply.get("Contents", [])]
    for name in names:
        if f"scored/texts/{name}" in keys:
            assert_whole(s3, name)


def assert_whole(s3: Any, name: str) -> None:
    content = s3.get_object(Bucket="results", Key=f"scored/texts/{name}")["Body"].read()
    assert [int(row["id"]) for row in read_csv(content)] == [n for n in range(NUM_ROWS) if n % 5]
    rejected = s3.get_object(Bucket="results", Key=f"scored/texts/{name}.rejected")["Body"].read()
    assert [line["row"] for line in read_jsonl(rejected)] == list(range(1, NUM_ROWS + 1, 5))
