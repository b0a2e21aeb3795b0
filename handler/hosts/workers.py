"""Several processes behind one address: each is a server of its own, forked from one that watches.

All accept from the socket that was bound before, so that the port is taken once, and a connection
that waits is lost with no process. What was loaded before stays one copy in memory.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import time
from collections.abc import Callable

from handler.errors import InternalError, name_failure
from handler.hosts.shared_socket import ABSENT, Loads

# A worker that was told to end does so in 7 s (listener.py); containers are killed after 10.
END_S = 9.0
RESTART_S = 1.0  # between two starts in one place: a worker that ends at once may not fill the log
HEEDED = (signal.SIGTERM, signal.SIGINT)

Log = Callable[[str], None]
Work = Callable[[int, int, Callable[[], None]], None]


class Workers:
    """Keeps so many processes at work until a signal ends them all.

    Args:
        number: Of processes.
        listening: The socket that they accept from, closed here once all are told to end.
        loads: Of the workers.
        work: What each does until SIGTERM ends it. It is given its index from 0, a file whose end
            tells that the first process is gone, and what to call once it answers.
        log: Takes a line on each worker that ended by itself.
    """

    def __init__(
        self, number: int, listening: socket.socket, loads: Loads, work: Work, log: Log
    ) -> None:
        self._number = number
        self._loads = loads
        self._listening = listening
        self._work = work
        self._log = log
        self._indices: dict[int, int] = {}  # process -> index
        self._started: dict[int, float] = {}  # index -> when
        self._missing: list[int] = []  # indices
        self._life, self._own_life = os.pipe()  # written to by nobody, it ends with this process

    def run(self, announce: Callable[[], None]) -> None:
        """Return, or end by the same signal, once SIGTERM or SIGINT was heeded by all workers.

        Args:
            announce: Called once all of them answer.

        Raises:
            InternalError: A worker ended before it answered.
        """
        gc.collect()
        gc.freeze()  # the collector would write to what the processes share
        watched: set[int] = {*HEEDED, signal.SIGCHLD, signal.SIGALRM}
        before = {number: signal.signal(number, _ignore) for number in watched}
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
        try:
            self._start_all(mask)
            if not _is_asked_to_end():
                announce()
            received = self._watch(watched, mask)
        finally:
            self._end()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for number, action in before.items():
                signal.signal(number, action)
        signal.raise_signal(received)

    def _start_all(self, mask: set[int]) -> None:
        answering, told = os.pipe()
        try:
            for index in range(self._number):
                self._start(index, mask, told)
        except OSError as error:
            raise InternalError(
                f"{self._number} workers cannot be started ({error.strerror}): fewer need less "
                "(--workers, MINNOW_WORKERS)"
            ) from error
        os.close(told)
        told_bytes = b""
        while len(told_bytes) < self._number:
            piece = os.read(answering, self._number)
            if not piece and _is_asked_to_end():  # as the workers were, by Ctrl-C
                break
            if not piece:
                raise InternalError("a worker ended before it answered; its reason stands above")
            told_bytes += piece
        os.close(answering)

    def _start(self, index: int, mask: set[int], told: int | None = None) -> None:
        self._started[index] = time.monotonic()
        process = os.fork()
        if process:
            self._indices[process] = index
            return
        status = 1
        try:
            os.close(self._own_life)
            for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            self._work(index, self._life, lambda: _tell(told))
            status = 0
        except KeyboardInterrupt:
            status = 0
        except Exception as error:
            self._log(f"a worker failed ({name_failure(error)})")
        finally:
            os._exit(status)

    def _watch(self, watched: set[int], mask: set[int]) -> int:
        """Return the signal that asks for the end; until then, replace what has ended."""
        while True:
            received = signal.sigwait(watched)
            if received in HEEDED:
                return received
            self._missing += self._reap()
            for index in list(self._missing):
                if self._started[index] + RESTART_S <= time.monotonic():
                    self._start_again(index, mask)
            if self._missing:
                signal.alarm(1)

    def _start_again(self, index: int, mask: set[int]) -> None:
        try:
            self._start(index, mask)
            self._missing.remove(index)
        except OSError as error:  # memory or processes are short: tried again
            self._log(f"a worker cannot be started ({error.strerror})")

    def _reap(self, is_ending: bool = False) -> list[int]:
        """Return the indices of the workers that have ended."""
        ended = []
        while self._indices:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                break
            if process in self._indices:  # as the first process of a container it gets others too
                ended.append(self._indices.pop(process))
                self._loads.set(ended[-1], ABSENT)
                if not is_ending:
                    self._log(f"a worker ended ({_describe(status)}); another takes its place")
        return ended

    def _end(self) -> None:
        """Tell all workers to end, and kill those that do not."""
        self._listening.close()
        for number, seconds in ((signal.SIGTERM, END_S), (signal.SIGKILL, END_S)):
            for process in self._indices:
                os.kill(process, number)
            until = time.monotonic() + seconds
            while self._indices and time.monotonic() < until:
                self._reap(is_ending=True)
                time.sleep(0.02)
        os.close(self._life)
        os.close(self._own_life)


def _is_asked_to_end() -> bool:
    return not signal.sigpending().isdisjoint(HEEDED)


def _tell(told: int | None) -> None:
    if told is not None:
        os.write(told, b"1")
        os.close(told)


def _describe(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"signal {-code}" if code < 0 else f"exit status {code}"


def _ignore(number: int, frame: object) -> None:
    """Take a signal that `sigwait` sees: one whose default is to be ignored need not be kept."""
