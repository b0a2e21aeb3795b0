"""Running a shadow: another version on the texts that were answered, and a line of the log on it.

On a server a thread does it once the answer was sent: what waits is bounded, what does not fit is
dropped and counted, and after each piece of work the thread rests twice as long, so that it takes
a third of a core at most. Where nothing runs after the answer, in a function, `run_now` does it
before the invocation ends, as long as there is time.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from handler.errors import HandlerError, name_failure
from handler.inference.agreement import Answered, measure_agreement
from handler.inference.models import Model, Pending
from handler.inference.monitor import Monitor
from handler.repository.trials import is_shadowed

MAX_WAITING = 64  # requests
MAX_CHARACTERS = 1_000_000  # of all that wait, at most 4 MB
PART_TEXTS = 16  # between two rests, or two looks at the clock
REST_TIMES = 2
MOST_REST_S = 1.0  # after a part that took very long, as while the machine stood still
LEAST_S = 0.5  # of an invocation that must be left for a part; and three times the longest one
LEAST_TIMES = 3
END_S = 1.0  # that the end of the process waits for a part at work


class Job(NamedTuple):
    """What a shadow is to run."""

    request_id: str
    answered: Answered
    shadow: Model | Pending


class ShadowRunner:
    """Runs shadows, one request after the other; one per process.

    Args:
        monitor: Takes the lines.
        rest: Waits for some seconds, or until the end of the process.
    """

    def __init__(self, monitor: Monitor, rest: Callable[[float], Any] | None = None) -> None:
        self._monitor = monitor
        self._waiting: deque[Job] = deque()
        self._num_characters = 0
        self._num_dropped = 0
        self._is_reversed = False
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._rest = rest or self._ended.wait
        self._thread: threading.Thread | None = None
        self._loading: threading.Thread | None = None

    def submit(self, request_id: str, answered: Answered) -> None:
        """Let the shadow run a request that was answered, if it is drawn; returns at once."""
        job = make_job(request_id, answered)
        if job is None:
            return
        size = count_characters(answered)
        with self._changed:
            is_full = len(self._waiting) >= MAX_WAITING
            if is_full or self._num_characters + size > MAX_CHARACTERS or self._ended.is_set():
                self._num_dropped += 1
                return
            # Both run again, and of a thousand labels predictions take more than texts.
            self._waiting.append(job._replace(answered=answered._replace(predictions=())))
            self._num_characters += size
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()
                atexit.register(self.end)
            self._changed.notify()

    def run_now(self, job: Job, left_s: Callable[[], float]) -> None:
        """Run a request by the shadow while there is time.

        Args:
            left_s: Tells how many seconds the invocation has left.
        """
        if isinstance(job.shadow, Pending):  # for the next one: this one cannot wait
            self._load_soon(job.shadow)
            self._num_dropped += 1
            return
        self._compare(job, job.shadow, left_s)

    def _load_soon(self, pending: Pending) -> None:
        """Load a shadow in a thread of its own; one at a time, however many requests want it."""
        if self._loading is None or not self._loading.is_alive():
            self._loading = threading.Thread(target=self._load, args=(pending,), daemon=True)
            self._loading.start()

    def _load(self, pending: Pending) -> Model | None:
        """Return a shadow that memory was freed of; None: it cannot be had now."""
        try:
            return pending.fetch()
        except HandlerError:  # it was told
            return None
        except Exception as error:  # the thread must outlive it
            problem = f"the shadow cannot be loaded ({name_failure(error)})"
            named = {"model": pending.name, "shadow": pending.version, "problem": problem}
            self._monitor.log({"level": "error", "message": "shadow", **named})
            return None

    def end(self) -> None:
        """Drop what waits; a part at work is waited for, but for a second at most."""
        self._ended.set()
        with self._changed:
            self._waiting.clear()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(END_S)

    def _work(self) -> None:
        while not self._ended.is_set():
            with self._changed:
                while not self._waiting and not self._ended.is_set():
                    self._changed.wait()
                if self._ended.is_set():
                    return
                job = self._waiting.popleft()
                self._num_characters -= count_characters(job.answered)
            shadow = self._load(job.shadow) if isinstance(job.shadow, Pending) else job.shadow
            if shadow is None:
                self._num_dropped += 1
            else:
                self._compare(job, shadow)

    def _compare(self, job: Job, shadow: Model, left_s: Callable[[], float] | None = None) -> None:
        """Run a request by the shadow, and write the line.

        Args:
            left_s: None: there is time, and what answered runs again beside the shadow, for a
                latency that was measured in the same thread at the same moment.
        """
        try:
            line = self._describe(job, shadow, left_s)
        except Exception as error:  # of what answers nobody
            line = {"level": "error", "problem": f"the shadow failed ({name_failure(error)})"}
        if line is None:
            self._num_dropped += 1
            return
        model = job.answered.model
        named = {"model": model.name, "version": model.version, "shadow": shadow.version}
        head = {"timestamp": round(time.time(), 3), "level": "info", "message": "shadow"}
        if self._num_dropped and "problem" not in line:  # which `minnow compare` passes over
            line["dropped"], self._num_dropped = self._num_dropped, 0
        self._monitor.log({**head, "request_id": job.request_id, **named, **line})

    def _describe(
        self, job: Job, shadow: Model, left_s: Callable[[], float] | None
    ) -> dict[str, Any] | None:
        answered = job.answered
        model = answered.model
        if shadow.task.kind != model.task.kind:
            problem = f"its task is {model.task.kind}, the shadow's {shadow.task.kind}"
            return {"level": "error", "problem": problem}
        own: list[Any] = []
        others: list[Any] = []
        passed_s = shadow_s = 0.0
        parts = list(_cut(len(answered.texts)))
        longest_s = answered.latency_ms / 1000 / len(parts)
        for part in parts:
            if self._ended.is_set() or (
                left_s is not None and left_s() < LEAST_S + LEAST_TIMES * longest_s
            ):
                break
            texts = answered.texts[part]
            own_s, again = 0.0, answered.predictions[part]
            if left_s is None and self._is_reversed:
                own_s, again = _time(model, texts)
            part_s, found = _time(shadow, texts)
            if left_s is None and not self._is_reversed:
                own_s, again = _time(model, texts)
            own += again
            others += found
            passed_s, shadow_s = passed_s + own_s, shadow_s + part_s
            longest_s = max(longest_s, part_s)
            if left_s is None:
                self._rest(min(MOST_REST_S, REST_TIMES * (own_s + part_s)))
        self._is_reversed = not self._is_reversed
        if not others:
            return None
        if left_s is not None:
            passed_s = answered.latency_ms / 1000 * len(others) / len(answered.texts)
        return {
            "task": model.task.kind,
            **measure_agreement(model.task, shadow.task, own, others),
            "in_turns": left_s is None,
            "latency_ms": round(passed_s * 1000, 3),
            "shadow_latency_ms": round(shadow_s * 1000, 3),
        }


def make_job(request_id: str, answered: Answered) -> Job | None:
    """Return what a shadow is to run of a request; None: it is not drawn."""
    shadow = find_shadow(answered.model, request_id)
    return None if shadow is None else Job(request_id, answered, shadow)


def find_shadow(model: Model, request_id: str) -> Model | Pending | None:
    """Return what a request that `model` has answered is run by too; None: nothing."""
    if model.models is None:
        return None
    shadow = model.models.shadows.get((model.name, model.version))
    if shadow is None or not is_shadowed(model.name, request_id, shadow.share):
        return None
    return model.models.find(model.name, str(shadow.version))


def count_characters(answered: Answered) -> int:
    return sum(map(len, answered.texts))


def _time(model: Model, texts: Any) -> tuple[float, list[Any]]:
    started = time.perf_counter()
    predictions = model.classifier.predict(texts)
    return time.perf_counter() - started, predictions


def _cut(number: int) -> Iterator[slice]:
    for start in range(0, number, PART_TEXTS):
        yield slice(start, start + PART_TEXTS)
