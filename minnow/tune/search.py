"""The search: makes trials until the time for them is over."""

from __future__ import annotations

import dataclasses
import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from minnow.tune.candidates import DEFAULT, list_levers, look_at, make_settings
from minnow.tune.folds import Folds, take_rows
from minnow.tune.journal import Choices, Journal, Trial, name_choices
from minnow.tune.schedule import Budget, Key, Schedule
from minnow.tune.table import Display
from minnow.tune.trial import TrialJob, choose_data, run_trial
from minnow.tune.workers import Workers
from training.errors import RunError
from training.rows.data import Data

TRIED_SHARE = 0.6  # of the time, in which one trial must have ended
LATE = 1.1  # times the minutes, after which the last fit is stopped
TICK_S = 0.2


@dataclass(frozen=True)
class Wanted:
    """What the user asked for.

    Args:
        metric: None: the task's own.
        budget: Bytes and milliseconds that the bundle must keep; None: any.
        jobs: Trials at once.
        max_trials: None: as many as there is time for.
    """

    minutes: float
    metric: str | None = None
    budget: Budget = (None, None)
    jobs: int = 1
    max_trials: int | None = None
    seed: int = 0

    @property
    def limit_s(self) -> float:
        return 60 * self.minutes


class Clock:
    """The time that was spent, in searches that were stopped too."""

    def __init__(self, limit_s: float, began: float) -> None:
        """Args:
        began: When the time began to run, on the scale of `time.monotonic`.
        """
        self.limit_s = limit_s
        self._began = began

    @property
    def spent_s(self) -> float:
        return time.monotonic() - self._began

    @property
    def left_s(self) -> float:
        return self.limit_s - self.spent_s

    @property
    def late_s(self) -> float:
        """Seconds until the last fit is stopped."""
        return LATE * self.limit_s - self.spent_s


class Search:
    """The trials that stand in the journal, and those under way.

    Args:
        data: Its training rows are all that may be learned from.
        work: Folder for what is made on the way.
    """

    def __init__(
        self,
        data: Data,
        folds: Folds,
        wanted: Wanted,
        metric: str,
        journal: Journal,
        clock: Clock,
        work: Path,
    ) -> None:
        self.data = data
        self.folds = folds
        self.wanted = wanted
        self.metric = metric
        self.journal = journal
        self.clock = clock
        self._work = work
        self._look = look_at(data)
        self._under_way: dict[Key, tuple[Choices, int, int, float]] = {}
        self._num_started = 0

    def plan(self) -> Schedule:
        """Return what follows from the trials so far."""
        kind = self.data.objective.task.kind
        list_these = partial(list_levers, self._look, kind, self.metric)
        return Schedule(
            self.folds,
            self.journal.trials,
            list_these,
            self.metric,
            len(self.data.train),
            self.wanted.budget,
        )

    def run(self, workers: Workers, display: Display) -> None:
        """Make trials until the time for them is over, or nothing is left to try.

        Raises:
            RunError: The default recipe cannot be fitted.
        """
        while True:
            schedule = self.plan()
            self._fill(schedule, workers)
            if not workers.names:
                return
            names = [name_choices(choices) for choices, *_ in self._under_way.values()]
            display.update(schedule.stand(), names, self.clock.left_s)
            for outcome in workers.wait(TICK_S):
                self._take(outcome.name, outcome.result, outcome.error, display)
            if self.clock.left_s < self._reserve(self.plan()):
                workers.close()
                return

    def _reserve(self, schedule: Schedule) -> float:
        """Return the seconds that are kept for fitting what would be chosen now."""
        chosen = schedule.choose(self.clock.late_s)
        if chosen is not None:
            return schedule.estimate_final(chosen.choices) or 0.0
        return 0.0 if schedule.trials else (1 - TRIED_SHARE) * self.clock.limit_s

    def _fill(self, schedule: Schedule, workers: Workers) -> None:
        """Start trials until all places are taken."""
        reserve = self._reserve(schedule)
        for choices, rows, fold in schedule.next_jobs():
            if len(workers.names) >= self.wanted.jobs or self._is_enough():
                return
            is_new = (name_choices(choices), rows, fold) not in self._under_way
            if is_new and self._is_affordable(schedule, choices, rows, reserve):
                self._start(workers, choices, rows, fold)

    def _is_enough(self) -> bool:
        most = self.wanted.max_trials
        return most is not None and len(self.journal.trials) + len(self._under_way) >= most

    def _is_affordable(
        self, schedule: Schedule, choices: Choices, rows: int, reserve: float
    ) -> bool:
        """Say whether a trial ends in time, and its candidate could then be fitted to all rows."""
        seconds, final = schedule.estimate(choices, rows), schedule.estimate_final(choices)
        if seconds is None or final is None:  # nothing was timed yet
            return self.clock.left_s > 0
        return seconds + max(reserve, final) <= self.clock.left_s

    def _start(self, workers: Workers, choices: Choices, rows: int, fold: int) -> None:
        key = (name_choices(choices), rows, fold)
        folder = self._work / f"{os.getpid()}-{self._num_started}"
        folder.mkdir()
        self._num_started += 1
        learned = take_rows(self.data.train, self.folds.learned(rows, fold))
        data = dataclasses.replace(choose_data(self.data, choices), train=learned, test=None)
        job = TrialJob(
            choices,
            rows,
            fold,
            data,
            take_rows(self.data.train, self.folds.measured(fold)),
            make_settings(choices, self.wanted.seed),
            self.metric,
            folder,
        )
        self._under_way[key] = choices, rows, fold, time.monotonic()
        workers.start(key, run_trial, job, max(1, count_cores() // self.wanted.jobs))

    def _take(self, key: Key, trial: Trial | None, error: str, display: Display) -> None:
        """Write down what came of a trial."""
        choices, rows, fold, began = self._under_way.pop(key)
        if trial is None:
            if choices == DEFAULT:
                raise RunError(f"the default recipe cannot be fitted: {error}")
            seconds = round(time.monotonic() - began, 2)
            trial = Trial(choices, rows, fold, seconds, error=error)
        self.journal.add(trial, self.clock.spent_s)
        display.tell(trial)


def count_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
