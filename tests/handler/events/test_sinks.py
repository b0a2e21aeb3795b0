"""What each sink leaves in a real resources: once, twice, and where a part of a send fails."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from handler.deadline import Deadline, start_deadline
from handler.event_settings import SINKS, parse_target
from handler.events.dispatch import answer_event
from handler.sinks import open_sink
from handler.sinks.idempotent import IdempotentSink
from handler.sinks.sending import send_batches
from handler.sinks.sink import Result, Sink
from tests.helpers.aws import MakeResources, create_bus, load_event, receive_all

Client = Callable[[str], Any]
RESULTS = [Result(f"{number:032x}", {"result_id": f"{number:032x}"}) for number in range(23)]
DOCUMENTS = [result.document for result in RESULTS]


class CountingSink:
    """Fails what it is told to, and remembers what it was given."""

    overwrites = False

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.failing: set[str] = set()

    def send(self, results: Sequence[Result], deadline: Deadline) -> dict[str, str]:
        self.sent += [one.result_id for one in results if one.result_id not in self.failing]
        return {one.result_id: "down" for one in results if one.result_id in self.failing}

    def feeds(self, source_arn: str) -> bool:
        return source_arn == "arn:source"


@pytest.fixture
def make_idempotent(aws: Client) -> Callable[..., IdempotentSink]:
    aws("dynamodb").create_table(
        TableName="once",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return lambda sink: IdempotentSink(sink, "once")


def in_time() -> Deadline:
    return start_deadline(None, timeout_ms=60_000)


def open_url(url: str) -> Sink:
    return open_sink(parse_target(url, SINKS, "MINNOW_RESULTS"))


def test_a_bus_gets_an_event_for_each_result(aws: Client) -> None:
    url = create_bus(aws)

    unsent = open_url("eventbridge://bus").send(RESULTS, in_time())

    events = receive_all(aws("sqs"), url)
    assert unsent == {}
    assert {(event["source"], event["detail-type"]) for event in events} == {
        ("minnow", "Minnow Prediction")
    }
    assert sorted((event["detail"] for event in events), key=str) == DOCUMENTS


def test_a_result_above_the_limit_of_a_bus_fails_alone(aws: Client) -> None:
    url = create_bus(aws)
    large = Result("large", {"result_id": "large", "text": "x" * 262_144})

    unsent = open_url("eventbridge://bus").send([large, RESULTS[0]], in_time())

    assert unsent == {"large": "the result has 262175 bytes, the limit is 257024"}
    assert [event["detail"] for event in receive_all(aws("sqs"), url)] == [DOCUMENTS[0]]


@pytest.mark.parametrize("queue", ["results", "results.fifo"])
def test_a_queue_gets_a_message_for_each_result(queue: str, aws: Client) -> None:
    fifo = {"FifoQueue": "true"} if queue.endswith(".fifo") else {}
    url = aws("sqs").create_queue(QueueName=queue, Attributes=fifo)["QueueUrl"]

    assert open_url(f"sqs://{queue}").send(RESULTS, in_time()) == {}

    assert sorted(receive_all(aws("sqs"), url), key=str) == DOCUMENTS


def test_a_bucket_holds_one_object_however_often_a_result_is_sent(aws: Client) -> None:
    s3 = aws("s3")
    s3.create_bucket(Bucket="scored", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    sink = open_url("s3://scored/out")

    assert [sink.send(RESULTS, in_time()), sink.send(RESULTS, in_time())] == [{}, {}]

    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket="scored")["Contents"]]
    assert keys == [f"out/{result.result_id}.json" for result in RESULTS]
    body = s3.get_object(Bucket="scored", Key=keys[3])["Body"].read()
    assert json.loads(body) == DOCUMENTS[3]


def test_a_table_keeps_the_item_that_was_put_first(aws: Client) -> None:
    dynamodb = aws("dynamodb")
    dynamodb.create_table(
        TableName="results",
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    sink = open_url("dynamodb://results?key=key")

    documents = [{"score": score, "labels": ["x"]} for score in (0.5, 1)]

    replies = [sink.send([Result("a", document)], in_time()) for document in documents]

    assert replies == [{}, {}]
    assert dynamodb.scan(TableName="results")["Items"] == [
        {"key": {"S": "a"}, "score": {"N": "0.5"}, "labels": {"L": [{"S": "x"}]}}
    ]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("s3://missing/out/", "NoSuchBucket"),
        ("dynamodb://missing", "ResourceNotFoundException"),
        ("sqs://missing", "AWS.SimpleQueueService.NonExistentQueue"),
    ],
)
def test_a_target_that_does_not_exist_fails_each_result_with_its_reason(
    url: str, code: str, aws: Client
) -> None:
    unsent = open_url(url).send(RESULTS, in_time())

    assert unsent == {result.result_id: code for result in RESULTS}


def test_what_fails_in_a_request_is_sent_again_and_then_reported() -> None:
    requests: list[list[str]] = []
    pauses: list[float] = []

    def sender(results: Sequence[Result]) -> dict[str, str]:
        requests.append([one.result_id for one in results])
        lasting = {one.result_id: "denied" for one in results if one is RESULTS[2]}
        passing = {RESULTS[1].result_id: "throttled"} if len(requests) == 1 else {}
        return lasting | passing

    unsent = send_batches(RESULTS[:4], sender, in_time(), max_entries=3, pause=pauses.append)

    first, second, third, fourth = (result.result_id for result in RESULTS[:4])
    assert unsent == {third: "denied"}
    assert requests == [
        [first, second, third],
        [second, third],
        [third],
        [third],
        [third],
        [fourth],
    ]
    assert len(pauses) == 4
    assert all(0 <= pause <= 0.05 * 2**attempt for attempt, pause in enumerate(pauses, 1))


def test_an_idempotent_sink_sends_once_what_was_sent(
    make_idempotent: Callable[..., IdempotentSink],
) -> None:
    inner = CountingSink()
    sink = make_idempotent(inner)

    assert [sink.send(RESULTS[:2], in_time()), sink.send(RESULTS[:3], in_time())] == [{}, {}]

    assert inner.sent == [result.result_id for result in RESULTS[:3]]
    assert [sink.feeds("arn:source"), sink.feeds("arn:other")] == [True, False]


def test_an_idempotent_sink_sends_again_what_was_not_sent(
    make_idempotent: Callable[..., IdempotentSink],
) -> None:
    inner = CountingSink()
    sink = make_idempotent(inner)
    inner.failing = {RESULTS[1].result_id}

    first = sink.send(RESULTS[:2], in_time())
    inner.failing = set()
    second = sink.send(RESULTS[:2], in_time())

    assert (first, second) == ({RESULTS[1].result_id: "down"}, {})
    assert inner.sent == [result.result_id for result in RESULTS[:2]]


def test_an_idempotent_sink_waits_for_one_in_progress_until_its_time_is_over(
    make_idempotent: Callable[..., IdempotentSink],
) -> None:
    killed = make_idempotent(CountingSink())
    killed._claim(RESULTS[0], 60_000)  # and no more: an invocation with a minute left was killed
    killed._claim(RESULTS[1], 1)
    time.sleep(0.01)
    inner = CountingSink()

    unsent = make_idempotent(inner).send(RESULTS[:2], in_time())

    assert unsent == {RESULTS[0].result_id: "IdempotencyItemAlreadyExistsError"}
    assert inner.sent == [RESULTS[1].result_id]


def test_an_idempotent_sink_without_its_table_sends_nothing(aws: Client) -> None:
    inner = CountingSink()

    unsent = IdempotentSink(inner, "missing").send(RESULTS[:1], in_time())

    assert list(unsent) == [RESULTS[0].result_id]
    assert inner.sent == []


def test_a_second_delivery_sends_nothing_where_a_table_is_set(
    aws: Client, make_resources: MakeResources, make_idempotent: Callable[..., IdempotentSink]
) -> None:
    url = aws("sqs").create_queue(QueueName="results")["QueueUrl"]
    resources = make_resources(MINNOW_RESULTS="sqs://results", MINNOW_IDEMPOTENCY_TABLE="once")
    event = load_event("sqs_two_messages")

    replies = [answer_event(event, None, resources) for _ in range(2)]

    assert replies == [{"batchItemFailures": []}] * 2
    assert len(receive_all(aws("sqs"), url)) == 2
