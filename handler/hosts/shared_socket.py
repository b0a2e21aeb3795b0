"""One listening socket for several processes: a connection goes to whoever has the fewest.

The kernel wakes all of them, and the first would take them all: a client with two connections
would be served by one core. A worker that has more than another leaves a connection to it for a
moment, but no longer: the other may be at work.
"""

from __future__ import annotations

import math
import mmap
import time
from collections.abc import Callable

PAUSE_S = 0.001
PATIENCE_S = 0.03  # beyond what a worker computes at a time
FORGOTTEN_S = 0.06  # a connection that was left so long ago has been taken by another
# Of the fewest connections, that one may have more: a burst need not be dealt out one by one.
SLACK = 0.25
ABSENT = 2**40  # connections of a worker that is not there: nothing is left to it


class Loads:
    """How many connections each worker has, in memory that they share."""

    def __init__(self, number: int) -> None:
        self._counts = memoryview(mmap.mmap(-1, 8 * number)).cast("q")
        for index in range(number):
            self.set(index, ABSENT)

    def set(self, index: int, count: int) -> None:
        """Note the number of one worker's connections."""
        self._counts[index] = count

    def add(self, index: int) -> None:
        """Note one connection more."""
        self._counts[index] += 1

    def has_many(self, index: int) -> bool:
        """Say whether a worker has so many that another should take the next."""
        return self._counts[index] > (1 + SLACK) * min(self._counts)


class Share:
    """Says when a worker shall take a connection that waits, and when leave it to another.

    Args:
        loads: Of all workers.
        own: Index of this worker.
        clock: In seconds.
    """

    def __init__(self, loads: Loads, own: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._loads = loads
        self._own = own
        self._clock = clock
        self._left = self._looked = -math.inf  # when the first and the last were left
        loads.set(own, 0)

    def may_accept(self) -> bool:
        """Say whether to take the next connection now, or to look again in PAUSE_S."""
        if not self._loads.has_many(self._own):
            return True
        now = self._clock()
        if now - self._looked > FORGOTTEN_S:
            self._left = now
        self._looked = now
        if now - self._left < PATIENCE_S:
            return False
        self._looked = -math.inf
        return True

    def take(self) -> None:
        """Count a connection that was accepted, until it is noted with the others."""
        self._loads.add(self._own)

    def note(self, count: int) -> None:
        """Tell the others how many connections this worker has."""
        self._loads.set(self._own, count)
