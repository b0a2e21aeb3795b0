"""How fast a labeller is asked: a rate that all threads keep, and waits after failures."""

from __future__ import annotations

import random
import threading
import time

from training.errors import LabellingError

LONGEST_WAIT_S = 600.0  # a server that wants more is asked by another run
LONGEST_BACKOFF_S = 60.0


class Stopped(Exception):
    """The run ends: nothing more is asked."""


class Pace:
    """When the next request may go out.

    Args:
        requests_per_minute: Of all threads together; None: as fast as answers come.
        backoff_s: Wait after a first failure; it doubles with each further one.
    """

    def __init__(self, requests_per_minute: float | None = None, backoff_s: float = 1.0) -> None:
        self._interval_s = 60 / requests_per_minute if requests_per_minute else 0.0
        self._backoff_s = backoff_s
        self._next = 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def wait(self) -> None:
        """Return when a request may go out; raise Stopped where none may any more."""
        with self._lock:
            moment = max(time.monotonic(), self._next)
            self._next = moment + self._interval_s
        self._sleep(moment - time.monotonic())

    def back_off(self, attempt: int, retry_after_s: float | None = None) -> None:
        """Wait after a failure, 0 being the first attempt.

        Args:
            retry_after_s: What the server wants; every thread waits so long.

        Raises:
            LabellingError: The server wants a wait that is too long.
        """
        if retry_after_s is not None:
            if retry_after_s > LONGEST_WAIT_S:
                raise LabellingError(
                    f"the server asks for a wait of {retry_after_s:,.0f} s. The answers so far are "
                    "kept: run the same command again then."
                )
            with self._lock:
                self._next = max(self._next, time.monotonic() + retry_after_s)
            return  # the next `wait` is long enough
        longest = min(LONGEST_BACKOFF_S, self._backoff_s * 2**attempt)
        self._sleep(longest * random.uniform(0.5, 1))  # or all threads would come back at once

    def stop(self) -> None:
        """Wake all who wait; nobody may ask any more."""
        self._stop.set()

    def _sleep(self, seconds: float) -> None:
        if self._stop.wait(max(0.0, seconds)):
            raise Stopped
