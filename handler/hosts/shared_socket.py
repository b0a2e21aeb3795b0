"""One listening socket for several processes: a connection goes to whoever has the fewest.

The kernel wakes all of them, and the first would take them all: a client with two connections
would be served by one core. A worker that has more than another leaves a connection to it for a
moment, but no longer: the other may be at work.
"""

from __future__ import annotations

import math
import mmap
import socket
import time
from collections.abc import Callable

PATIENCE_S = 0.005
FORGOTTEN_S = 0.05  # a connection that was left so long ago has been taken by another
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


class SharedSocket(socket.socket):
    """A listening socket that leaves connections to workers that have fewer.

    Args:
        listening: The socket; it is this one from now on.
        loads: Of all workers.
        own: Index of this worker.
        clock: In seconds.
    """

    def __init__(
        self,
        listening: socket.socket,
        loads: Loads,
        own: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(fileno=listening.detach())
        self._loads = loads
        self._own = own
        self._clock = clock
        self._left = self._looked = -math.inf  # when the first and the last were left
        loads.set(own, 0)

    def accept(self) -> tuple[socket.socket, object]:
        """Return the next connection; raise BlockingIOError where another shall take it."""
        if self._loads.has_many(self._own):
            now = self._clock()
            if now - self._looked > FORGOTTEN_S:
                self._left = now
            self._looked = now
            if now - self._left < PATIENCE_S:
                raise BlockingIOError
            self._looked = -math.inf
        accepted = super().accept()
        self._loads.add(self._own)
        return accepted

    def note(self, count: int) -> None:
        """Tell the others how many connections this worker has."""
        self._loads.set(self._own, count)
