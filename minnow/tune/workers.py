"""Processes that each do one job and end, forked from one that has imported TensorFlow already.

A job can be stopped at any time, and ends by itself where the process that wants its result is
killed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from typing import Any

from training.progress import QUIET

PRELOAD = "minnow.tune.preload"


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Args:
        name: Of the job.
        result: What its function returned; None where there is an `error`.
        error: Why there is none, in one line; "" where there is.
        was_killed: The process ended without a word, which says nothing of the job.
    """

    name: Any
    result: Any = None
    error: str = ""
    was_killed: bool = False


class Workers:
    """The jobs under way."""

    def __init__(self) -> None:
        """Begin to import what jobs need, in a process of its own."""
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([PRELOAD])
        forkserver.ensure_running()
        self._jobs: dict[Any, tuple[Any, Connection]] = {}

    @property
    def names(self) -> list[Any]:
        """The names of the jobs under way."""
        return list(self._jobs)

    def start(self, name: Any, work: Callable[[Any], Any], job: Any, threads: int) -> None:
        """Begin `work(job)`.

        Args:
            threads: That it may use.
        """
        receiver, sender = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_do, args=(sender, work, job, threads), daemon=True)
        process.start()
        sender.close()
        self._jobs[name] = process, receiver

    def wait(self, timeout_s: float) -> list[Outcome]:
        """Return what came of the jobs that have ended, after `timeout_s` at most."""
        names = {receiver: name for name, (_, receiver) in self._jobs.items()}
        outcomes = []
        for receiver in wait(list(names), timeout_s):
            name = names[receiver]  # type: ignore[index]
            process, connection = self._jobs.pop(name)
            try:
                outcome = Outcome(name, *connection.recv())
            except EOFError:
                process.join()
                outcome = Outcome(name, None, _describe_end(process.exitcode), was_killed=True)
            connection.close()
            process.join()
            outcomes.append(outcome)
        return outcomes

    def stop(self, name: Any) -> None:
        """End a job, whatever it is doing."""
        process, connection = self._jobs.pop(name)
        process.kill()
        process.join()
        connection.close()

    def close(self) -> None:
        """End all jobs."""
        for name in self.names:
            self.stop(name)


def _describe_end(code: int) -> str:
    """Return why a process that sent nothing has ended."""
    if code == -signal.SIGKILL:
        return "its process was killed, as by the system where memory ends: try fewer --jobs"
    return f"its process ended with the code {code}"


def _do(sender: Connection, work: Callable[[Any], Any], job: Any, threads: int) -> None:
    """Do a job in its process, and send what came of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that waits is told, and ends this
    _end_with_parent()
    os.environ[QUIET] = "1"
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    _limit_threads(threads)
    try:
        answer = work(job), ""
    except Exception as error:
        answer = None, _describe(error)
    with contextlib.suppress(BrokenPipeError):
        sender.send(answer)


def _end_with_parent() -> None:
    """End this process as soon as the one that started it has ended."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _limit_threads(threads: int) -> None:
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)
    if (tensorflow := sys.modules.get("tensorflow")) is None:
        return
    with contextlib.suppress(RuntimeError):  # something has computed already
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)


def _describe(error: Exception) -> str:
    """Return an error in one line; of an unexpected one only where it was raised, as its message
    could hold a user's text."""
    from minnow.cli import is_expected

    if is_expected(error):
        return str(error)
    frames = traceback.extract_tb(sys.exc_info()[2])
    place = f"{os.path.basename(frames[-1].filename)}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__} in {place}"
