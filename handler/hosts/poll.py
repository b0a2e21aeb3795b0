"""A queue's messages to the Lambda handler, as Lambda's event source mapping brings them.

Receives until the batch is full or its window is over, calls the handler, deletes the messages
that the reply does not name. The others, and all where the handler raises or answers out of form,
become visible again after their timeout, and go to the dead letters by the queue's own policy.
Messages at work stay hidden until the work is over (`hold.py`); a stop shows those at once that
nobody has begun with.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from handler.aws import READ_TIMEOUT_S, error_code, make_client
from handler.errors import DeliveryError, SettingsError
from handler.hosts.hold import MAX_BATCH, Hold, Message, make_entries

logger = logging.getLogger("minnow")
# Well below the client's timeout: a receive that the client gives up takes its messages with it,
# and they count as received. A stop waits for it too, and containers are killed after 10 s.
LONG_POLL_S = READ_TIMEOUT_S // 2
EMPTY_WAIT_S = 1
FIRST_PAUSE_S, LAST_PAUSE_S = 1.0, 60.0  # after errors one upon the other, each twice the last
MAX_MESSAGES, MAX_FIFO_MESSAGES, MAX_WINDOW_S = 10_000, 10, 300  # as of an event source mapping
MAX_HIDDEN_S = 43_200  # SQS hides no message longer: 12 hours
GONE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")

Handler = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class PollSettings:
    """As of an event source mapping.

    Args:
        queue: The queue's URL.
        batch_size: Messages of one invocation, 1 to 10,000; of a FIFO queue 10 at most.
        batch_window_s: How long a batch may wait to be filled, up to 300; a FIFO queue has none.
        visibility_timeout_s: Of the messages received, prolonged while they are at work, 1 to
            43,200; None: the queue's own.
        timeout_s: What the context tells the handler that it has, 1 to 43,200.
        until_empty: Return once nothing is visible and nothing in flight.

    Raises:
        SettingsError: A value that no queue can be polled with.
    """

    queue: str
    batch_size: int = 10
    batch_window_s: float = 0
    visibility_timeout_s: int | None = None
    timeout_s: float = 900
    until_empty: bool = False

    def __post_init__(self) -> None:
        is_fifo = self.queue.endswith(".fifo")
        of_fifo = " of a FIFO queue" if is_fifo else ""
        for name, least, most, of_what in (
            ("batch_size", 1, MAX_FIFO_MESSAGES if is_fifo else MAX_MESSAGES, of_fifo),
            ("batch_window_s", 0, 0 if is_fifo else MAX_WINDOW_S, of_fifo),
            ("visibility_timeout_s", 1, MAX_HIDDEN_S, ""),
            ("timeout_s", 1, MAX_HIDDEN_S, ""),
        ):
            value = getattr(self, name)
            if value is not None and not least <= value <= most:  # nan is in no range either
                wanted = f"{least} to {most:,}" if least < most else str(most)
                raise SettingsError(f"{name} is {value}, wanted {wanted}{of_what}")


@dataclass
class Totals:
    """Messages deleted, and failures; one message can fail several times."""

    deleted: int = 0
    failed: int = 0


class Context:
    """What the handler reads of Lambda's context."""

    def __init__(self, timeout_s: float) -> None:
        self._deadline = time.monotonic() + timeout_s

    def get_remaining_time_in_millis(self) -> int:
        return max(0, round((self._deadline - time.monotonic()) * 1000))


def poll_queue(handler: Handler, settings: PollSettings, stop: threading.Event) -> Totals:
    """Run the handler on the queue's messages until `stop` is set, or until it is empty.

    Raises:
        DeliveryError: The queue cannot be reached at the start, or is not there any more.
    """
    client, arn, timeout_s = _connect(settings)
    totals = Totals()
    pause_s = FIRST_PAUSE_S
    with Hold(client, settings.queue, timeout_s) as hold:
        while not stop.is_set():
            try:
                messages = _receive(client, settings, stop, hold)
                if stop.is_set():
                    hold.release()
                elif messages:
                    failed = _invoke(handler, [_to_record(one, arn) for one in messages], settings)
                    _delete(client, settings.queue, messages, failed, totals)
                    hold.drop()
                elif settings.until_empty and _is_empty(client, settings.queue):
                    break
                pause_s = FIRST_PAUSE_S
            except Exception as error:  # the queue is out of reach: messages stay in it, try again
                hold.drop()
                if error_code(error) in GONE:
                    raise DeliveryError(f"{settings.queue}: the queue is gone") from error
                logger.warning(
                    "the queue cannot be read: %s; again in %g s", error_code(error), pause_s
                )
                stop.wait(pause_s)
                pause_s = min(2 * pause_s, LAST_PAUSE_S)
    return totals


def _connect(settings: PollSettings) -> tuple[Any, str, int]:
    """Return a client, the queue's ARN, and how long its messages are hidden in one go."""
    from botocore.exceptions import BotoCoreError, ClientError

    queue = settings.queue
    names = ["QueueArn", "VisibilityTimeout"]
    try:
        if not urlsplit(queue).netloc:
            raise ValueError("it is no address, such as https://sqs.eu-west-1.amazonaws.com/1/name")
        client = make_client("sqs")
        reply = client.get_queue_attributes(QueueUrl=queue, AttributeNames=names)
        arn, timeout_s = (reply["Attributes"][name] for name in names)
    except (BotoCoreError, ClientError, ValueError, KeyError) as error:
        # KeyError: what answers there is no queue
        raise DeliveryError(
            f"{queue}: the queue cannot be reached: {str(error).rstrip('.')}. Check --queue, the "
            "region and the credentials"
        ) from error
    timeout_s = settings.visibility_timeout_s or int(timeout_s)
    if not timeout_s:
        raise SettingsError(
            f"{queue}: its visibility timeout is 0 s, so every message would be handled by all "
            "readers at once. Set another, or give --visibility-timeout-s"
        )
    return client, arn, timeout_s


def stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set: the batch at work is finished first, no other
    is begun."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _receive(
    client: Any, settings: PollSettings, stop: threading.Event, hold: Hold
) -> list[Message]:
    messages: list[Message] = []
    deadline = time.monotonic() + settings.batch_window_s
    while len(messages) < settings.batch_size and not stop.is_set():
        wait_s = EMPTY_WAIT_S if settings.until_empty else LONG_POLL_S
        if messages:
            wait_s = max(0, min(wait_s, int(deadline - time.monotonic())))
        arguments: dict[str, Any] = {
            "QueueUrl": settings.queue,
            "MaxNumberOfMessages": min(MAX_BATCH, settings.batch_size - len(messages)),
            "WaitTimeSeconds": wait_s,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        if settings.visibility_timeout_s is not None:
            arguments["VisibilityTimeout"] = settings.visibility_timeout_s
        received = client.receive_message(**arguments).get("Messages", [])
        messages += received
        hold.add(received)
        # Without a window the mapping takes what is there: a full receive may have more behind it.
        if len(received) < MAX_BATCH and time.monotonic() >= deadline:
            break
    return messages


def _to_record(message: Message, arn: str) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {
            name: {
                "stringValue": value.get("StringValue"),
                "binaryValue": value.get("BinaryValue"),
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": value.get("DataType"),
            }
            for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message.get("MD5OfBody", ""),
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": arn.split(":")[3],
    }


def _invoke(handler: Handler, records: list[dict[str, Any]], settings: PollSettings) -> set[str]:
    """Return the ids of the messages that stay in the queue."""
    everything = {record["messageId"] for record in records}
    try:
        reply = handler({"Records": records}, Context(settings.timeout_s))
    except Exception as error:  # as Lambda: the invocation failed, all its messages come again
        logger.warning("the handler raised %s: %s", type(error).__name__, error)
        return everything
    return read_failures(reply, everything)


def read_failures(reply: object, everything: set[str]) -> set[str]:
    """Return the failed ids in a reply, as Lambda reads it: anything out of form fails them all."""
    failures = reply.get("batchItemFailures") if isinstance(reply, dict) else reply
    if not failures:
        return set()  # None, {} and an empty list mean success
    if not isinstance(failures, list):
        return everything
    failed = {
        str(failure.get("itemIdentifier")) if isinstance(failure, dict) else ""
        for failure in failures
    }
    return failed if failed <= everything else everything


def _delete(
    client: Any,
    queue: str,
    messages: Sequence[Message],
    failed: set[str],
    totals: Totals,
) -> None:
    done = [message for message in messages if message["MessageId"] not in failed]
    totals.failed += len(messages) - len(done)
    for entries in make_entries(done):
        reply = client.delete_message_batch(QueueUrl=queue, Entries=entries)
        totals.deleted += len(reply.get("Successful", []))


def _is_empty(client: Any, queue: str) -> bool:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    reply = client.get_queue_attributes(QueueUrl=queue, AttributeNames=names)
    return not any(int(reply["Attributes"][name]) for name in names)
