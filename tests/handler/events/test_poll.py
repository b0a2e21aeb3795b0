"""`minnow poll` and its queue: what it refuses, keeps hidden, gives back and says."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from handler.errors import DeliveryError, SettingsError
from handler.hosts.poll import PollSettings, Totals, poll_queue
from tests.helpers.ports import free_port

Client = Callable[[str], Any]


@pytest.fixture
def queue(aws: Client) -> str:
    """The address of an empty queue whose messages are hidden for two seconds."""
    attributes = {"VisibilityTimeout": "2"}
    url: str = aws("sqs").create_queue(QueueName="texts", Attributes=attributes)["QueueUrl"]
    return url


def send(aws: Client, queue: str, num_messages: int) -> None:
    for number in range(num_messages):
        aws("sqs").send_message(QueueUrl=queue, MessageBody=str(number))


def count_visible(aws: Client, queue: str) -> int:
    name = "ApproximateNumberOfMessages"
    reply = aws("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=[name])
    return int(reply["Attributes"][name])


def wait_for(is_reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0, wanted 1 to 10,000"),
        ({"batch_size": 10_001}, "batch_size is 10001, wanted 1 to 10,000"),
        ({"queue": "q.fifo", "batch_size": 11}, "batch_size is 11, wanted 1 to 10 of a FIFO queue"),
        ({"queue": "q.fifo", "batch_window_s": 1}, "batch_window_s is 1, wanted 0 of a FIFO queue"),
        ({"batch_window_s": -1}, "batch_window_s is -1, wanted 0 to 300"),
        ({"batch_window_s": float("nan")}, "batch_window_s is nan, wanted 0 to 300"),
        ({"visibility_timeout_s": 0}, "visibility_timeout_s is 0, wanted 1 to 43,200"),
        ({"visibility_timeout_s": 43_201}, "visibility_timeout_s is 43201, wanted 1 to 43,200"),
        ({"timeout_s": 0}, "timeout_s is 0, wanted 1 to 43,200"),
    ],
)
def test_settings_that_no_queue_can_be_polled_with_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        PollSettings(**{"queue": "q", **changes})

    assert str(caught.value) == message


@pytest.mark.slow
def test_work_that_outlives_the_visibility_timeout_is_done_once(aws: Client, queue: str) -> None:
    send(aws, queue, 3)
    handled: list[str] = []
    seen_by_others: list[Any] = []

    def handle(event: Any, context: object) -> None:
        handled.extend(record["body"] for record in event["Records"])
        for _ in range(25):  # 5 s, more than two timeouts
            time.sleep(0.2)
            received = aws("sqs").receive_message(QueueUrl=queue, VisibilityTimeout=0)
            seen_by_others.extend(received.get("Messages", []))

    # A window, so that all three are in one batch.
    settings = PollSettings(queue, batch_window_s=1, until_empty=True)
    totals = poll_queue(handle, settings, threading.Event())

    assert (totals, sorted(handled), seen_by_others) == (Totals(3, 0), ["0", "1", "2"], [])


@pytest.mark.slow
def test_a_stop_finishes_the_batch_at_work_and_shows_the_rest_at_once(aws: Client) -> None:
    attributes = {"VisibilityTimeout": "600"}
    queue = aws("sqs").create_queue(QueueName="slow", Attributes=attributes)["QueueUrl"]
    send(aws, queue, 4)
    stop, handled = threading.Event(), []

    def handle(event: Any, context: object) -> None:
        stop.set()
        handled.extend(record["body"] for record in event["Records"])

    assert poll_queue(handle, PollSettings(queue, batch_size=1), stop) == Totals(1, 0)
    assert len(handled) == 1
    assert count_visible(aws, queue) == 3


@pytest.mark.slow
def test_a_stop_while_a_batch_is_filled_shows_its_messages_at_once(aws: Client) -> None:
    attributes = {"VisibilityTimeout": "600"}
    queue = aws("sqs").create_queue(QueueName="slow", Attributes=attributes)["QueueUrl"]
    send(aws, queue, 4)
    stop, handled = threading.Event(), []
    settings = PollSettings(queue, batch_size=100, batch_window_s=300)
    arguments = (lambda event, context: handled.append(event), settings, stop)
    polling = threading.Thread(target=poll_queue, args=arguments)
    polling.start()
    wait_for(lambda: count_visible(aws, queue) == 0)

    stop.set()
    polling.join(timeout=60)

    assert handled == []
    assert count_visible(aws, queue) == 4


@pytest.mark.slow
def test_a_queue_that_goes_ends_the_polling_in_one_line(aws: Client, queue: str) -> None:
    send(aws, queue, 1)

    def handle(event: Any, context: object) -> None:
        aws("sqs").delete_queue(QueueUrl=queue)

    with pytest.raises(DeliveryError, match=r"/texts: the queue is gone$"):
        poll_queue(handle, PollSettings(queue), threading.Event())


@pytest.mark.slow
@pytest.mark.parametrize("case", ["absent", "no address", "no server", "empty"])
def test_a_queue_that_is_not_there_is_one_line(
    case: str, aws: Client, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    if case == "no server":
        monkeypatch.setenv("AWS_ENDPOINT_URL", nowhere)
    name = {"absent": f"{queue}x", "no address": "texts", "empty": ""}.get(case, f"{nowhere}/1/t")

    with pytest.raises(DeliveryError, match="the queue cannot be reached"):
        poll_queue(lambda *_: None, PollSettings(name), threading.Event())


def test_a_queue_that_hides_nothing_is_refused(aws: Client) -> None:
    attributes = {"VisibilityTimeout": "0"}
    queue = aws("sqs").create_queue(QueueName="open", Attributes=attributes)["QueueUrl"]

    with pytest.raises(SettingsError, match="its visibility timeout is 0 s"):
        poll_queue(lambda *_: None, PollSettings(queue), threading.Event())


@pytest.mark.slow
def test_a_queue_out_of_reach_for_a_while_is_said_and_tried_again(
    aws: Client, queue: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    send(aws, queue, 1)
    import handler.hosts.poll as poll

    receive, failures = poll._receive, [ConnectionError(), ConnectionError()]

    def fail_twice(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return receive(*arguments)

    monkeypatch.setattr(poll, "_receive", fail_twice)
    with caplog.at_level(logging.WARNING, "minnow"):
        settings = PollSettings(queue, until_empty=True)
        totals = poll_queue(lambda *_: None, settings, threading.Event())

    assert totals == Totals(1, 0)
    assert [record.getMessage() for record in caplog.records] == [
        "the queue cannot be read: ConnectionError; again in 1 s",
        "the queue cannot be read: ConnectionError; again in 2 s",
    ]
