"""Messages that are at work stay hidden from other readers of the queue, however long that takes.

A queue shows a message again when its visibility timeout is over, whether or not somebody is still
at work on it; it would be handled twice. So the timeout is prolonged from a thread of its own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

from handler.aws import error_code

logger = logging.getLogger("minnow")
MAX_BATCH = 10  # messages of one call to the queue, of any kind
CALLS = 3  # in one timeout, so that one that fails loses no message

Message = dict[str, Any]


class Hold:
    """Keeps messages hidden from `add` to `drop` or `release`.

    Args:
        client: boto3's SQS client.
        queue: The queue's URL.
        timeout_s: For which a call hides a message.
    """

    def __init__(self, client: Any, queue: str, timeout_s: int) -> None:
        self.client = client
        self.queue = queue
        self.timeout_s = timeout_s
        self._messages: list[Message] = []
        # Held in a call too, so that none that is late hides a message again that was released.
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._prolong, daemon=True)

    def __enter__(self) -> Hold:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def add(self, messages: Sequence[Message]) -> None:
        """Keep messages hidden that were just received."""
        with self._lock:
            self._messages += messages

    def drop(self) -> None:
        """Let the timeouts of all messages run out; those that were deleted have none."""
        with self._lock:
            self._messages = []

    def release(self) -> None:
        """Show all messages at once: nobody has begun with them."""
        with self._lock:
            self._hide(0)
            self._messages = []

    def _prolong(self) -> None:
        while not self._is_over.wait(self.timeout_s / CALLS):
            with self._lock:
                self._hide(self.timeout_s)

    def _hide(self, timeout_s: int) -> None:
        for entries in make_entries(self._messages):
            timed = [{**entry, "VisibilityTimeout": timeout_s} for entry in entries]
            try:
                self.client.change_message_visibility_batch(QueueUrl=self.queue, Entries=timed)
            except Exception as error:  # they are seen again at worst, and handled once more
                logger.warning("the messages at work cannot be kept: %s", error_code(error))


def make_entries(messages: Sequence[Message]) -> Iterator[list[dict[str, Any]]]:
    """Yield what names the messages in calls to the queue, a call at a time."""
    for start in range(0, len(messages), MAX_BATCH):
        yield [
            {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
            for index, message in enumerate(messages[start : start + MAX_BATCH])
        ]
