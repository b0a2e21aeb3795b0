"""How many connections a process holds, and which of them goes when there is one too many."""

from __future__ import annotations

import array
import asyncio
import fcntl
import termios
from collections.abc import Callable
from typing import Protocol

# That are read on after their answer, unkept: clients that upload without a key would take all of
# the process's time.
MAX_LINGERING = 16
# Of answers that are not read: fifteen times the largest, the script of /docs.
MAX_UNREAD_BYTES = 24_000_000


class Closable(Protocol):
    """A connection, as far as it matters here."""

    def give_way(self) -> None: ...


class Connections:
    """The connections of a process: one too many takes the place of the one idle for longest.

    Args:
        limit: Of connections.
        note: Told how many there are.
    """

    def __init__(self, limit: int, note: Callable[[int], None] = lambda count: None) -> None:
        self.limit = limit
        self._note = note
        self._busy: set[Closable] = set()
        self._idle: dict[Closable, None] = {}  # in the order in which they became it
        self._lingering: set[Closable] = set()
        self._unread: dict[Closable, int] = {}  # bytes of answers that wait for their readers

    def admit(self, connection: Closable) -> bool:
        """Count a new connection; False: all others are at work on a request."""
        if len(self._busy) + len(self._idle) >= self.limit:
            if not self._idle:
                return False
            longest = next(iter(self._idle))
            self.remove(longest)
            longest.give_way()
        self._idle[connection] = None
        self._note(len(self._busy) + len(self._idle))
        return True

    def set_busy(self, connection: Closable) -> None:
        """Keep a connection: it has sent a whole head."""
        if connection in self._idle:
            del self._idle[connection]
            self._busy.add(connection)

    def set_idle(self, connection: Closable) -> None:
        """Let a connection go if need be: it was answered."""
        if connection in self._busy:
            self._busy.remove(connection)
            self._idle[connection] = None

    def add_unread(self, connection: Closable, num_bytes: int) -> None:
        """Count an answer that its client does not read; those waiting for longest may go."""
        self.set_idle(connection)
        self._unread[connection] = num_bytes
        while sum(self._unread.values()) > MAX_UNREAD_BYTES:
            longest = next(iter(self._unread))
            self.remove(longest)
            longest.give_way()

    def set_read(self, connection: Closable) -> None:
        """Note that a client has read its answer."""
        self._unread.pop(connection, None)

    def may_linger(self, connection: Closable) -> bool:
        """Say whether a connection that was answered may be read on until it is lost."""
        if len(self._lingering) < MAX_LINGERING:
            self._lingering.add(connection)
        return connection in self._lingering

    def remove(self, connection: Closable) -> None:
        """Forget a connection that is lost."""
        self._unread.pop(connection, None)
        self._lingering.discard(connection)
        self._busy.discard(connection)
        self._idle.pop(connection, None)
        self._note(len(self._busy) + len(self._idle))


def count_unread(transport: asyncio.Transport) -> int:
    """Return how many bytes wait in a connection's socket."""
    unread = array.array("i", [0])
    fcntl.ioctl(transport.get_extra_info("socket"), termios.FIONREAD, unread)
    return unread[0]
