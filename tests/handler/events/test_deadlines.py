"""Every batch returns before Lambda's end, whatever a service does, and its counts are exact.

What the reply does not name as failed lies in the real service once; what it names does not, and
lies there once after a second delivery. `make test-deadlines-long` gives each delivery 40 s, of
which 10 must be left.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from handler.deadline import Deadline
from handler.errors import DeliveryError
from handler.events import batch
from handler.events.dispatch import answer_event
from handler.events.resources import Resources
from tests.helpers.aws import MakeResources, create_bus, receive_all
from tests.helpers.bad_service import FAULTS, BadService, bad_service, full_backlog
from tests.helpers.deployment import Clock, make_s3_event, wrap_in_sqs

IS_LONG = os.environ.get("MINNOW_TEST_LONG") == "1"
TIMEOUT_S = 40.0 if IS_LONG else 2.0
# Where some of the work is to be done before a service turns bad, and where the steps around the
# table of records each have half of the time left.
HALF_DONE_S = 40.0 if IS_LONG else 3.0
WITH_TABLE_S = 40.0 if IS_LONG else 4.0
# Of the margin (10 s, or a quarter of the timeout) some is spent on a busy machine.
LEAST_LEFT_MS = 9_500 if IS_LONG else 0
NUM_TEXTS = 23  # three requests of ten, the last one not full
ARN = "arn:aws:{}:eu-west-1:123456789012:{}"
Client = Callable[[str], Any]
# URL of the sink, the table of idempotency records, and which requests send a result.
SINKS = {
    "queue": ("sqs://results", "", b"AmazonSQS.SendMessageBatch"),
    "fifo": ("sqs://results.fifo", "", b"AmazonSQS.SendMessageBatch"),
    "bus": ("eventbridge://bus", "", b"AWSEvents.PutEvents"),
    "bucket": ("s3://scored/out/", "", b"PUT /scored"),
    "table": ("dynamodb://scored?key=id", "", b"DynamoDB_20120810.PutItem"),
    "queue, once": ("sqs://results", "once", b"AmazonSQS.SendMessageBatch"),
    "bus, once": ("eventbridge://bus", "once", b"AWSEvents.PutEvents"),
}


class Countdown:
    """A Lambda context with some seconds left."""

    def __init__(self, timeout_s: float) -> None:
        self.end = time.time() + timeout_s

    def get_remaining_time_in_millis(self) -> int:
        return round((self.end - time.time()) * 1000)


class World:
    """The sinks as they are, and a way to them that can be spoiled."""

    def __init__(self, aws: Client, service: BadService) -> None:
        self.aws = {name: aws(name) for name in ("sqs", "s3", "dynamodb", "events")}
        self.service = service
        self.received: list[dict[str, Any]] = []
        sqs = self.aws["sqs"]
        self.queues = [sqs.create_queue(QueueName="results")["QueueUrl"]]
        fifo = {"FifoQueue": "true"}
        self.queues.append(sqs.create_queue(QueueName="results.fifo", Attributes=fifo)["QueueUrl"])
        self.queues.append(create_bus(self.aws.__getitem__))
        for name in ("scored", "texts"):
            self.aws["s3"].create_bucket(
                Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
            )
        for name in ("scored", "once"):
            self.aws["dynamodb"].create_table(
                TableName=name,
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )

    def count_results(self) -> Counter[str]:
        """Return how often each result lies in the sinks, by its id."""
        for url in self.queues:
            self.received += receive_all(self.aws["sqs"], url)
        ids = [one.get("detail", one)["result_id"] for one in self.received]
        found = self.aws["s3"].list_objects_v2(Bucket="scored", Prefix="out/").get("Contents", [])
        ids += [entry["Key"].removeprefix("out/").removesuffix(".json") for entry in found]
        items = self.aws["dynamodb"].scan(TableName="scored")["Items"]
        return Counter([*ids, *(item["result_id"]["S"] for item in items)])


@pytest.fixture
def world(aws: Client, moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with bad_service(moto_url) as service:
        world = World(aws, service)
        monkeypatch.setenv("AWS_ENDPOINT_URL", service.url)
        yield world


def open_resources(make_resources: MakeResources, sink: str) -> Resources:
    url, table, _ = SINKS[sink]
    return make_resources(MINNOW_RESULTS=url, MINNOW_IDEMPOTENCY_TABLE=table)


def make_sqs_record(number: int) -> dict[str, Any]:
    return {
        "messageId": f"{number}",
        "body": json.dumps({"text": "good film"}),
        "eventSource": "aws:sqs",
        "eventSourceARN": ARN.format("sqs", "texts"),
    }


def make_fifo_record(number: int) -> dict[str, Any]:
    record = make_sqs_record(number)
    group = {"MessageGroupId": f"group {number % 20}"}
    return record | {"eventSourceARN": ARN.format("sqs", "texts.fifo"), "attributes": group}


def make_kinesis_record(number: int) -> dict[str, Any]:
    data = base64.b64encode(b'{"text": "good film"}').decode()
    return {
        "kinesis": {"sequenceNumber": f"{number}", "data": data},
        "eventSource": "aws:kinesis",
        "eventSourceARN": ARN.format("kinesis", "stream/texts"),
    }


def make_dynamodb_record(number: int) -> dict[str, Any]:
    image = {"text": {"S": "good film"}}
    return {
        "eventName": "INSERT",
        "dynamodb": {"SequenceNumber": f"{number}", "NewImage": image},
        "eventSource": "aws:dynamodb",
        "eventSourceARN": ARN.format("dynamodb", "table/texts/stream/1"),
    }


def make_sns_record(number: int) -> dict[str, Any]:
    sns = {"MessageId": f"{number}", "TopicArn": ARN.format("sns", "t"), "Message": "good film"}
    return {"EventSource": "aws:sns", "Sns": sns}


def in_records(make: Callable[[int], dict[str, Any]]) -> Callable[[list[int]], Any]:
    return lambda numbers: {"Records": [make(number) for number in numbers]}


def in_a_pipe(make: Callable[[int], dict[str, Any]]) -> Callable[[list[int]], Any]:
    return lambda numbers: [make(number) for number in numbers]


def make_eventbridge_event(numbers: list[int]) -> dict[str, Any]:
    detail = {"text": "good film"}
    return {"id": f"{numbers[0]}", "source": "a", "detail-type": "Text", "detail": detail}


SOURCES: dict[str, Callable[[list[int]], Any]] = {
    "sqs": in_records(make_sqs_record),
    "sqs, fifo": in_records(make_fifo_record),
    "kinesis": in_records(make_kinesis_record),
    "dynamodb": in_records(make_dynamodb_record),
    "sns": in_records(make_sns_record),
    "eventbridge": make_eventbridge_event,
    "pipes, sqs": in_a_pipe(make_sqs_record),
    "pipes, kinesis": in_a_pipe(make_kinesis_record),
    "pipes, dynamodb": in_a_pipe(make_dynamodb_record),
}


def deliver(
    source: str, numbers: list[int], resources: Resources, timeout_s: float
) -> tuple[list[int], int]:
    """Deliver a batch; return which of it failed, and the time that was left."""
    context = Countdown(timeout_s)
    try:
        reply = answer_event(SOURCES[source](numbers), context, resources)
    except DeliveryError:  # the whole comes again
        failed = numbers
    else:
        failures = reply.get("batchItemFailures", [])
        failed = [int(failure["itemIdentifier"]) for failure in failures]
    return failed, context.get_remaining_time_in_millis()


def check_both_deliveries(
    world: World,
    source: str,
    resources: Resources,
    timeout_s: float,
    num_done: int | None = None,
) -> None:
    """Deliver while the service is bad and again when it is well: each text has one result."""
    everything = [0] if source == "eventbridge" else list(range(NUM_TEXTS))

    failed, left_ms = deliver(source, everything, resources, timeout_s)

    first = world.count_results()
    assert left_ms > LEAST_LEFT_MS
    assert set(first.values()) <= {1}
    if source == "sns":
        assert failed == everything  # its source knows no parts of a batch
    else:
        assert len(first) == len(everything) - len(failed)
    if num_done is not None:
        assert len(first) == num_done
    world.service.heal()
    if resources.settings.idempotency_table:  # a record may be in progress until then
        time.sleep(left_ms / 1000)
    assert deliver(source, failed, resources, timeout_s=60)[0] == []
    assert sorted(world.count_results().values()) == [1] * len(everything)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("sink", SINKS)
def test_a_sink_that_never_answers_well_ends_no_batch_late(
    sink: str, fault: str, world: World, make_resources: MakeResources
) -> None:
    world.service.spoil(fault, SINKS[sink][2])

    timeout_s = WITH_TABLE_S if sink.endswith("once") else TIMEOUT_S
    check_both_deliveries(world, "sqs", open_resources(make_resources, sink), timeout_s, 0)

    assert world.service.num_spoiled


@pytest.mark.slow
@pytest.mark.parametrize("sink", SINKS)
def test_what_a_sink_took_before_it_hung_is_done_and_the_rest_comes_again(
    sink: str, world: World, make_resources: MakeResources
) -> None:
    puts_each = sink in ("bucket", "table")
    world.service.spoil("hang", SINKS[sink][2], skip=7 if puts_each else 1)

    timeout_s = WITH_TABLE_S if sink.endswith("once") else HALF_DONE_S
    num_done = 7 if puts_each else 10
    check_both_deliveries(world, "sqs", open_resources(make_resources, sink), timeout_s, num_done)


@pytest.mark.slow
@pytest.mark.parametrize("sink", ["queue", "bus", "bucket", "table", "queue, once"])
def test_a_throttled_sink_gets_each_result_once_when_it_lets_them_in(
    sink: str, world: World, make_resources: MakeResources
) -> None:
    resources = open_resources(make_resources, sink)
    world.service.spoil("throttle", SINKS[sink][2], times=2)

    failed, _ = deliver("sqs", list(range(NUM_TEXTS)), resources, timeout_s=60)

    assert (failed, world.service.num_spoiled) == ([], 2)
    assert sorted(world.count_results().values()) == [1] * NUM_TEXTS


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("sink", ["queue, once", "bus, once"])
def test_a_table_of_records_that_never_answers_well_ends_no_batch_late(
    sink: str, fault: str, world: World, make_resources: MakeResources
) -> None:
    world.service.spoil(fault, b"DynamoDB_20120810.PutItem", skip=5)

    # Five were put on record as ours before, and are sent.
    check_both_deliveries(world, "sqs", open_resources(make_resources, sink), WITH_TABLE_S, 5)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_what_was_sent_is_done_also_where_it_cannot_be_recorded(
    fault: str, world: World, make_resources: MakeResources
) -> None:
    resources = open_resources(make_resources, "bus, once")
    world.service.spoil(fault, b"DynamoDB_20120810.UpdateItem")

    failed, left_ms = deliver("sqs", list(range(NUM_TEXTS)), resources, WITH_TABLE_S)

    assert failed == []
    assert left_ms > LEAST_LEFT_MS
    assert sorted(world.count_results().values()) == [1] * NUM_TEXTS


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_every_source_hears_in_time_of_a_sink_that_hangs(
    source: str, world: World, make_resources: MakeResources
) -> None:
    world.service.spoil("hang", SINKS["bucket"][2], skip=0 if source == "eventbridge" else 7)

    check_both_deliveries(world, source, open_resources(make_resources, "bucket"), HALF_DONE_S)


@pytest.mark.slow
@pytest.mark.parametrize("sink", ["bucket", "table", "fifo"])
def test_an_answer_that_hangs_after_the_send_doubles_nothing_where_a_second_one_is_harmless(
    sink: str, world: World, make_resources: MakeResources
) -> None:
    resources = open_resources(make_resources, sink)
    world.service.spoil("late", SINKS[sink][2])
    everything = list(range(NUM_TEXTS))

    failed, left_ms = deliver("sqs", everything, resources, TIMEOUT_S)

    assert (failed, left_ms > LEAST_LEFT_MS) == (everything, True)
    world.service.heal()
    assert deliver("sqs", everything, resources, timeout_s=60)[0] == []
    assert sorted(world.count_results().values()) == [1] * NUM_TEXTS


@pytest.mark.slow
@pytest.mark.parametrize("sink", SINKS)
def test_a_port_that_lets_nobody_in_ends_no_batch_late(
    sink: str, world: World, make_resources: MakeResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources = open_resources(make_resources, sink)
    with full_backlog() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)

        failed, left_ms = deliver("sqs", list(range(NUM_TEXTS)), resources, TIMEOUT_S)

    assert failed == list(range(NUM_TEXTS))
    assert left_ms > LEAST_LEFT_MS
    monkeypatch.setenv("AWS_ENDPOINT_URL", world.service.url)
    resources.forget_clients()  # where none was left behind: the service has moved
    assert deliver("sqs", failed, resources, timeout_s=60)[0] == []
    assert sorted(world.count_results().values()) == [1] * NUM_TEXTS


@pytest.mark.parametrize("sink", ["queue", "bucket"])
def test_a_call_left_behind_sends_nothing_when_it_wakes_up(
    sink: str, world: World, make_resources: MakeResources
) -> None:
    resources = open_resources(make_resources, sink)
    world.service.spoil("hang", SINKS[sink][2])

    failed, _ = deliver("sqs", [0, 1, 2], resources, timeout_s=0.8)

    left_behind = [one for one in threading.enumerate() if getattr(one, "is_abandoned", False)]
    assert left_behind
    world.service.heal()  # closes its connections: the client would try again, and succeed
    for thread in left_behind:
        thread.join(10)
    assert failed == [0, 1, 2]
    assert not [thread for thread in left_behind if thread.is_alive()]
    assert world.count_results() == {}


WAITS_FOR_A_SOCKET = """
import socket, sys
from handler.deadline import TimeIsUp, start_deadline
left, right = socket.socketpair()
try:
    start_deadline(None, 100).run(lambda: left.recv(1))
except TimeIsUp:
    print("up")
"""


def test_a_call_left_behind_keeps_no_interpreter_from_its_exit() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WAITS_FOR_A_SOCKET], capture_output=True, text=True, timeout=60
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "up\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("part", [b"HEAD /texts", b"GET /texts", b"PUT /scored"])
@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_an_object_waits_for_no_call_that_hangs(
    fault: str, part: bytes, world: World, make_resources: MakeResources
) -> None:
    resources = make_resources(MINNOW_OBJECT_RESULTS="s3://scored/objects/")
    world.aws["s3"].put_object(Bucket="texts", Key="a.csv", Body=b"text\ngood\n")
    event = wrap_in_sqs(json.dumps(make_s3_event("texts", "a.csv")))
    world.service.spoil(fault, part)
    context = Countdown(2)

    reply = answer_event(event, context, resources)

    assert len(reply["batchItemFailures"]) == 1
    assert context.get_remaining_time_in_millis() > 0
    world.service.heal()
    assert answer_event(event, Countdown(60), resources) == {"batchItemFailures": []}
    found = world.aws["s3"].list_objects_v2(Bucket="scored")["Contents"]
    assert [entry["Key"] for entry in found] == ["objects/texts/a.csv"]


@pytest.mark.slow
@pytest.mark.parametrize("part", [b"uploads", b"partNumber=", b"SendMessage"])
def test_an_object_in_parts_waits_for_no_call_that_hangs(
    part: bytes, world: World, make_resources: MakeResources
) -> None:
    world.aws["sqs"].create_queue(QueueName="texts")
    resources = make_resources(
        MINNOW_OBJECT_RESULTS="s3://scored/objects/",
        MINNOW_CONTINUATION_QUEUE="sqs://texts",
        MINNOW_RESERVE_MS="100000000",  # handed on after each block
    )
    body = ("text,pad\n" + f"good,{'x' * 12_000}\n" * 1100).encode()
    world.aws["s3"].put_object(Bucket="texts", Key="a.csv", Body=body)
    event = make_s3_event("texts", "a.csv")
    world.service.spoil("hang", part)
    context = Countdown(3)

    with pytest.raises(DeliveryError, match="TimeIsUp"):
        answer_event(event, context, resources)

    assert context.get_remaining_time_in_millis() > 0
    world.service.heal()
    (answer,) = answer_event(event, Countdown(60), resources)["results"]
    assert (answer["status"], answer["rows"]) == ("continued", 1024)


class SlowClassifier:
    """A classifier that takes a second a text, by the clock of the invocation."""

    def __init__(self, classifier: Any, clock: Clock) -> None:
        self.classifier = classifier
        self.clock = clock

    def predict(self, texts: list[str]) -> Any:
        self.clock.remaining_ms -= 1000 * len(texts)
        return self.classifier.predict(texts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.classifier, name)


@pytest.mark.parametrize("source", ["sqs", "sqs, fifo", "kinesis", "pipes, dynamodb"])
def test_texts_that_take_longer_than_the_time_left_are_done_in_part(
    source: str, world: World, make_resources: MakeResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "PART_TEXTS", 4)
    resources = open_resources(make_resources, "bucket")
    clock = Clock(26_000)  # 6.5 s are kept: 19.5 for parts of 4 s, and the fifth would not end
    monkeypatch.setattr(
        resources.model, "classifier", SlowClassifier(resources.model.classifier, clock)
    )

    reply = answer_event(SOURCES[source](list(range(NUM_TEXTS))), clock, resources)

    failed = [int(failure["itemIdentifier"]) for failure in reply["batchItemFailures"]]
    assert failed == list(range(16, NUM_TEXTS))
    assert len(world.count_results()) == 16
    clock.remaining_ms = 100_000
    assert answer_event(SOURCES[source](failed), clock, resources) == {"batchItemFailures": []}
    assert sorted(world.count_results().values()) == [1] * NUM_TEXTS


def test_a_list_that_takes_longer_than_the_time_left_fails_whole(
    make_resources: MakeResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "PART_TEXTS", 4)
    resources, clock = make_resources(), Clock(26_000)
    monkeypatch.setattr(
        resources.model, "classifier", SlowClassifier(resources.model.classifier, clock)
    )

    with pytest.raises(DeliveryError, match="the time was up before it was done"):
        answer_event(["good film"] * NUM_TEXTS, clock, resources)


@pytest.mark.parametrize(("timeout_ms", "left_s"), [(120_000, 110), (20_000, 15), (3_000, 2.25)])
def test_ten_seconds_are_kept_and_a_quarter_of_a_short_timeout(
    timeout_ms: int, left_s: float
) -> None:
    deadline = Deadline(lambda: timeout_ms)

    assert deadline.left_s() == left_s
    assert deadline.halve().left_s() == left_s / 2


def test_a_sandbox_that_was_frozen_has_no_more_time_than_its_context_says() -> None:
    clock = Clock(120_000)
    deadline = Deadline(clock.get_remaining_time_in_millis)
    clock.remaining_ms = 9_000  # no second has passed by the process's own clock

    assert deadline.left_s() == 0
    assert [type(one).__name__ for one in deadline.run_all([int, int])] == ["TimeIsUp"] * 2
