"""The time that an invocation has, and calls that never outlast it.

A socket's timeout counts from byte to byte, and a client's retries come on top of it: neither of
them bounds a call. So a call runs in a thread of its own, which is waited for until the deadline
and then left behind: it keeps neither the next invocation nor the interpreter's exit waiting,
nobody reads what it returns, and its client, which is thrown away, sends nothing more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from handler.errors import DeliveryError

if TYPE_CHECKING:
    from queue import SimpleQueue

T = TypeVar("T")
# Before Lambda kills the function: the reply and the log take milliseconds of it. The rest is for
# the texts that are being scored at the deadline, and for a call that S3 has just let begin.
MARGIN_MS = 10_000
MARGIN_SHARE = 4  # the margin's part of a short timeout: of 20 s, 5 s
# A wait is measured by a clock that stands still while the sandbox is frozen; the context's does
# not, so it is looked at this often.
LOOK_S = 1.0


class TimeIsUp(DeliveryError):
    """The deadline came before this was done: it is delivered again."""

    def __init__(self) -> None:
        super().__init__(
            "the time was up before it was done: it comes again. If that goes on, give the "
            "function more time or memory, or smaller batches"
        )


class Deadline:
    """Some seconds before the invocation's end.

    Args:
        remaining_ms: The invocation's clock, as of Lambda's context.
        margin_ms: How long before its end; None: 10 s, a quarter of what is left if that is less.
    """

    def __init__(self, remaining_ms: Callable[[], int], margin_ms: float | None = None) -> None:
        self.remaining_ms = remaining_ms
        if margin_ms is None:
            margin_ms = min(MARGIN_MS, remaining_ms() / MARGIN_SHARE)
        self._margin_ms = margin_ms
        self.abandoned: list[threading.Thread] = []

    def left_s(self) -> float:
        """Return the seconds until the deadline, 0 after it."""
        return max(0.0, (self.remaining_ms() - self._margin_ms) / 1000)

    def halve(self) -> Deadline:
        """Return a deadline after half the time that is left, for a step before another one."""
        half = Deadline(self.remaining_ms, self._margin_ms + self.left_s() * 1000 / 2)
        half.abandoned = self.abandoned
        return half

    def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns; raise what it raises, or TimeIsUp at the deadline."""
        (outcome,) = self.run_all([work])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def run_all(
        self, works: Sequence[Callable[[], T]], num_threads: int = 1
    ) -> list[T | Exception]:
        """Return what each of `works` returned or raised: TimeIsUp, if it has not by the deadline.

        Args:
            works: Calls that change nothing but what they return.
            num_threads: How many of them run at a time.
        """
        from queue import Empty, SimpleQueue  # not for texts that are only scored

        outcomes: list[T | Exception] = [TimeIsUp() for _ in works]
        if not self.left_s():
            return outcomes
        ended: SimpleQueue[tuple[int, T | Exception]] = SimpleQueue()
        numbered = iter(enumerate(works))
        workers = [_Worker(numbered, ended) for _ in range(min(num_threads, len(works)))]
        try:
            for worker in workers:
                worker.start()
            for _ in works:
                number, outcome = self._wait(ended)
                outcomes[number] = outcome
        except Empty:
            self.abandoned += workers
        finally:
            for worker in workers:
                worker.is_abandoned = True  # of one that has ended it says nothing
        return outcomes

    def _wait(self, ended: SimpleQueue[T]) -> T:
        from queue import Empty

        while True:
            left_s = self.left_s()
            try:
                return ended.get(timeout=min(left_s, LOOK_S))
            except Empty:
                if not left_s:
                    raise


class _Worker(threading.Thread):
    """Takes one work after the other from an iterator that it shares."""

    def __init__(self, numbered: Iterator[tuple[int, Callable[[], Any]]], ended: Any) -> None:
        super().__init__(daemon=True)
        self.numbered = numbered
        self.ended = ended
        self.is_abandoned = False

    def run(self) -> None:
        for number, work in self.numbered:
            if self.is_abandoned:
                return
            try:
                self.ended.put((number, work()))
            except Exception as error:  # of one work, for whoever waits for it
                self.ended.put((number, error))


class TimedClient:
    """A boto3 client whose calls end by a deadline; each reads the body of its reply too."""

    def __init__(self, client: Any, deadline: Deadline) -> None:
        self._client = client
        self._deadline = deadline

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        method = getattr(self._client, operation)
        return lambda **arguments: self._deadline.run(lambda: _read_reply(method(**arguments)))


def start_deadline(context: Any, timeout_ms: int) -> Deadline:
    """Return the deadline of an invocation that begins.

    Args:
        context: Lambda's, or None.
        timeout_ms: How long an invocation takes at most whose context has no clock.
    """
    clock = getattr(context, "get_remaining_time_in_millis", None)
    if clock is None:
        end = time.monotonic() + timeout_ms / 1000
        return Deadline(lambda: round((end - time.monotonic()) * 1000))
    return Deadline(clock)


def refuse_if_abandoned(**_: Any) -> None:
    """Raise TimeIsUp in a thread that was left behind: a retry would send what was reported."""
    if getattr(threading.current_thread(), "is_abandoned", False):
        raise TimeIsUp


def _read_reply(reply: Any) -> Any:
    if "Body" in reply:
        import io

        reply["Body"] = io.BytesIO(reply["Body"].read())
    return reply
