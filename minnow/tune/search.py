"""The search: makes trials until the time for them is over."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from handler.hosts.cores import count_cores
from minnow.tune.candidates import DEFAULT, is_felt, list_levers, look_at, make_settings
from minnow.tune.folds import Folds, take_rows
from minnow.tune.journal import Choices, Journal, Trial, name_choices
from minnow.tune.schedule import Key, Schedule
from minnow.tune.standing import Budget
from minnow.tune.table import Display
from minnow.tune.trial import TrialJob, choose_data, run_trial
from minnow.tune.workers import Outcome, Workers
from training.errors import RunError
from training.rows.data import Data

TRIED_SHARE = 0.6  # of the time, in which one trial must have ended
LATE = 1.1  # times the minutes, after which the last fit is stopped
TICK_S = 0.2
# A trial that takes so many times as long as was told is stopped, but not before so many seconds:
# it would take the time of many others.
LONGEST = 3.0
LEAST_LONGEST_S = 30.0
MOST_DEATHS = 2  # of a trial's process, after which it is left out until the search runs again


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


@dataclass(frozen=True)
class UnderWay:
    """A trial that is being made.

    Args:
        began: On the scale of `time.monotonic`.
        longest_s: After which it is stopped.
    """

    choices: Choices
    rows: int
    fold: int
    began: float
    longest_s: float = math.inf

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


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
        self._under_way: dict[Key, UnderWay] = {}
        self._deaths: Counter[Key] = Counter()
        self._num_started = 0

    def plan(self) -> Schedule:
        """Return what follows from the trials so far."""
        kind = self.data.objective.task.kind
        list_these = partial(list_levers, self._look, kind, self.metric)
        is_felt_here = partial(is_felt, self._look)
        return Schedule(
            self.folds,
            self.journal.trials,
            list_these,
            is_felt_here,
            self.metric,
            len(self.data.train),
            self.wanted.budget,
            0 if self.data.test is None else len(self.data.test),
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
            names = [name for name, *_ in self._under_way]
            display.update(schedule.stand(), names, self.clock.left_s)
            for outcome in [*workers.wait(TICK_S), *self._stop_long(workers)]:
                self._take(outcome, display)
            if self.clock.left_s < self._reserve(self.plan()):
                workers.close()
                return

    def _reserve(self, schedule: Schedule) -> float:
        """Return the seconds that are kept for fitting what would be chosen now."""
        chosen = schedule.choose(self.clock.late_s)
        if chosen is not None:
            needed = schedule.estimate_needed(chosen)
            if needed <= TRIED_SHARE * self.clock.limit_s:
                return needed
            return schedule.estimate_final(chosen.choices) or 0.0  # there is no time to prune it
        return 0.0 if schedule.trials else (1 - TRIED_SHARE) * self.clock.limit_s

    def _fill(self, schedule: Schedule, workers: Workers) -> None:
        """Start trials until all places are taken."""
        reserve = self._reserve(schedule)
        for choices, rows, fold in schedule.next_jobs():
            if len(workers.names) >= self.wanted.jobs or self._is_enough():
                return
            is_new = (name_choices(choices), rows, fold) not in self._under_way
            is_possible = is_new and not self._is_given_up(choices, rows, fold)
            if is_possible and self._is_affordable(schedule, choices, rows, reserve):
                told_s = None if choices == DEFAULT else schedule.estimate(choices, rows)
                longest_s = find_longest(told_s)  # without the default nothing can be compared
                self._start(workers, choices, rows, fold, longest_s)

    def _is_given_up(self, choices: Choices, rows: int, fold: int) -> bool:
        """Say whether the processes of a candidate have ended too often, or those of the default,
        beside which it would be compared."""
        if self._deaths[name_choices(DEFAULT), rows, fold] >= MOST_DEATHS:
            return True
        name = name_choices(choices)
        if choices == DEFAULT:
            return False
        return any(
            own == name and number >= MOST_DEATHS for (own, *_), number in self._deaths.items()
        )

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
        if choices == DEFAULT and self._has_default():
            seconds *= 2  # it tells nothing alone: another is compared with it
        return seconds + max(reserve, final) <= self.clock.left_s

    def _start(
        self, workers: Workers, choices: Choices, rows: int, fold: int, longest_s: float
    ) -> None:
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
        self._under_way[key] = UnderWay(choices, rows, fold, time.monotonic(), longest_s)
        workers.start(key, run_trial, job, max(1, count_cores() // self.wanted.jobs))

    def _stop_long(self, workers: Workers) -> Iterator[Outcome]:
        """Stop trials that take far longer than was told; yield what came of them."""
        for key in workers.names:
            trial = self._under_way[key]
            if trial.seconds > trial.longest_s:
                workers.stop(key)
                yield Outcome(key, error=f"took longer than {trial.longest_s:.0f} s")

    def _take(self, outcome: Outcome, display: Display) -> None:
        """Write down what came of a trial; not where only its process was killed.

        Raises:
            RunError: It is of the default recipe, of which no trial has ended well.
        """
        made = self._under_way.pop(outcome.name)
        trial: Trial | None = outcome.result
        if trial is None:
            trial = Trial(
                made.choices, made.rows, made.fold, round(made.seconds, 2), error=outcome.error
            )
            self._deaths[outcome.name] += 1 if outcome.was_killed else MOST_DEATHS
            is_last = self._deaths[outcome.name] >= MOST_DEATHS
            if made.choices == DEFAULT and is_last and not self._has_default():
                raise RunError(f"the default recipe cannot be fitted: {outcome.error}")
            if made.choices == DEFAULT or outcome.was_killed:
                display.tell(trial)
                return
        self.journal.add(trial, self.clock.spent_s)
        display.tell(trial)

    def _has_default(self) -> bool:
        return any(one.choices == DEFAULT and not one.error for one in self.journal.trials.values())


def find_longest(told_s: float | None) -> float:
    """Return the seconds after which a trial is stopped that was told to take `told_s`; None: no
    time was told, and it is not stopped."""
    return math.inf if told_s is None else max(LEAST_LONGEST_S, LONGEST * told_s)
