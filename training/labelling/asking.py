"""Asking a labeller for many texts: batches in threads, failures alone again, answers kept."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from training.errors import LabellingError
from training.labelling.answers import Answers, hash_text
from training.labelling.labeller import BatchFailure, Labeller, Probabilities, Problem
from training.labelling.pace import Pace

Item = TypeVar("Item")
Result = TypeVar("Result")
MOST_FAILURES = 10  # batches in sequence that failed as a whole, each repeated: it is no accident
LOOK_S = 0.1  # between two looks for Ctrl-C
GRACE_S = 3.0  # for answers on their way when a run is stopped; the command line ends after 5 s


class Asker:
    """Asks for batches as often as it may, and keeps what comes.

    Args:
        retries: How often what failed is asked again.
    """

    def __init__(self, labeller: Labeller, answers: Answers, pace: Pace, retries: int) -> None:
        self._labeller = labeller
        self._answers = answers
        self._pace = pace
        self._retries = retries
        self._lock = threading.Lock()
        self._num_failures = 0
        self._has_answer = len(answers) > 0

    def ask(self, texts: Sequence[str]) -> dict[str, str]:
        """Return hash -> reason of those texts that have no answer after all.

        Raises:
            LabellingError: There is no sense in going on.
            Stopped: The run ends.
        """
        left = {hash_text(text): text for text in texts}
        reasons: dict[str, str] = {}
        final: dict[str, str] = {}
        for attempt in range(self._retries + 1):
            failure = self._try(left, reasons, final)
            if not left:
                break
            if attempt < self._retries:
                self._pace.back_off(attempt, failure.retry_after_s if failure else None)
        self._count(failure is not None, bool(left or final), [*final.values(), *reasons.values()])
        return final | {text_hash: reasons[text_hash] for text_hash in left}

    def _try(
        self, left: dict[str, str], reasons: dict[str, str], final: dict[str, str]
    ) -> BatchFailure | None:
        """Ask once for what is left, and take out of it what has an answer or never will."""
        self._pace.wait()
        try:
            replies = self._labeller.ask([*left.values()])
        except BatchFailure as failure:
            reasons |= dict.fromkeys(left, failure.reason)
            return failure
        came: dict[str, Probabilities] = {}
        for text_hash, reply in zip([*left], replies, strict=True):
            if not isinstance(reply, Problem):
                came[text_hash] = reply
            elif reply.is_final:
                final[text_hash] = reply.reason
            else:
                reasons[text_hash] = reply.reason
        if came:
            self._answers.add(came)
            self._has_answer = True
        for text_hash in came.keys() | final.keys():
            left.pop(text_hash, None)
        return None

    def _count(self, is_batch_failure: bool, has_problems: bool, reasons: list[str]) -> None:
        """Count failures in sequence: of whole batches, and of texts until one has an answer."""
        with self._lock:
            is_failure = is_batch_failure or (has_problems and not self._has_answer)
            self._num_failures = self._num_failures + 1 if is_failure else 0
            if self._num_failures >= MOST_FAILURES:
                raise LabellingError(
                    f"{MOST_FAILURES} batches in sequence failed, the last because {reasons[-1]}. "
                    "The answers so far are kept: mend the labeller, and run the same command "
                    "again."
                )


def work_through(
    items: Iterable[Item],
    work: Callable[[Item], Result],
    num_threads: int,
    stop: Callable[[], None],
) -> Iterator[Result]:
    """Yield what `work` returns of each item, never None, as it comes; items are taken one by one,
    as threads are free. The first error of either is raised.

    Args:
        stop: Called in the end, however it comes; then threads get a while to finish.
    """
    source = iter(items)
    taking = threading.Lock()
    done: queue.SimpleQueue[tuple[Result | None, BaseException | None]] = queue.SimpleQueue()
    is_over = threading.Event()

    def run() -> None:
        try:
            while not is_over.is_set():
                with taking:
                    item = next(source, is_over)
                if item is is_over:
                    break
                done.put((work(item), None))  # type: ignore[arg-type]
        except BaseException as error:
            done.put((None, error))
        done.put((None, None))

    threads = [threading.Thread(target=run, daemon=True) for _ in range(num_threads)]
    for thread in threads:
        thread.start()
    num_running = num_threads
    try:
        while num_running:
            try:
                result, error = done.get(timeout=LOOK_S)
            except queue.Empty:
                continue
            if error is not None:
                raise error
            if result is None:
                num_running -= 1
            else:
                yield result
    finally:
        is_over.set()
        stop()
        _join(threads)


def _join(threads: Sequence[threading.Thread]) -> None:
    deadline = time.monotonic() + GRACE_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
