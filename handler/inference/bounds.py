"""Bounds on what a bundle that is not yet trusted may take: time of the processor, and memory."""

from __future__ import annotations

import _thread
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MAX_PROCESSOR_S = 1.0  # the shipped model loads in 0.01 s and runs two dozen tokens in 0.001 s
THREAD_BYTES = 4 << 20  # of what the C library keeps for a thread, beside its stack
WATCH_S = 0.1  # between two looks at the clock
MAX_WAIT_S = 30.0  # by the clock, where others work beside: a thread of its own may not tell


Stops = list[Callable[[], object]]


@contextmanager
def bounds(most_bytes: int, num_threads: int, is_alone: bool = True) -> Iterator[Stops]:
    """Let a block take so much time and so many bytes of memory.

    Yields a list: what is in it is called, from another thread, once the time is over.

    Memory is the whole process's, so one such block runs at a time; so is the time, at the
    process's start. Not for a GPU, whose libraries take seconds to start and reserve many gigabytes
    of addresses.

    Args:
        most_bytes: More than the process has.
        num_threads: That may be started meanwhile; each has its stack beside.
        is_alone: No other thread works meanwhile.
    """
    running, stops = _thread.allocate_lock(), Stops()
    read_time = _choose_clock(is_alone)
    begun, begun_waiting = read_time(), time.monotonic()

    def watch() -> None:
        while not running.acquire(timeout=WATCH_S):
            waits_long = not is_alone and time.monotonic() - begun_waiting > MAX_WAIT_S
            if read_time() - begun > MAX_PROCESSOR_S or waits_long:
                for stop in stops:
                    stop()

    with running:
        _thread.start_new_thread(watch, ())  # `threading` waits until it runs: milliseconds
        with _limit_memory(most_bytes, num_threads):
            yield stops


def _choose_clock(is_alone: bool) -> Callable[[], float]:
    """Return the processor's clock: not the one on the wall, this process may have to wait for
    others; of this thread, where others of the process work too."""
    if is_alone or not hasattr(time, "pthread_getcpuclockid"):
        return time.process_time
    clock = time.pthread_getcpuclockid(_thread.get_ident())

    def read() -> float:
        try:
            return time.clock_gettime(clock)
        except OSError:  # the thread has ended, and its block with it
            return 0.0

    return read


@contextmanager
def _limit_memory(most_bytes: int, num_threads: int) -> Iterator[None]:
    """Make allocations fail past so many bytes more, where the system can do that."""
    try:
        import resource

        with open("/proc/self/statm", "rb") as file:
            pages = int(file.read().split()[5])
    except (ImportError, OSError):  # not Linux
        yield
        return
    before = soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    stack, _ = resource.getrlimit(resource.RLIMIT_STACK)
    if stack == resource.RLIM_INFINITY:  # glibc then takes 2 MB
        stack = 0
    most = pages * resource.getpagesize() + most_bytes + num_threads * (stack + THREAD_BYTES)
    known = [limit for limit in (soft, hard, most) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(known), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
