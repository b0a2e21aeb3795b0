"""The search: tries candidates until the time is spent, then fits the best one to all rows."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handler.files import check_room, empty_folder, holding
from minnow.tune.candidates import DEFAULT, list_levers, look_at, make_settings, write_command
from minnow.tune.folds import Folds, make_folds, take_rows
from minnow.tune.held_out import hold_out, list_options
from minnow.tune.journal import Choices, Journal, Trial, name_choices
from minnow.tune.report import PLOT, REPORT, Outcome, describe_choice, write_report
from minnow.tune.schedule import MARGIN, Budget, Key, Schedule, Standing
from minnow.tune.scores import find_metric
from minnow.tune.table import Display
from minnow.tune.trial import (
    FinalJob,
    TrialJob,
    choose_data,
    choose_sources,
    is_over,
    run_final,
    run_trial,
)
from minnow.tune.workers import Workers
from training.data import Data, Sources, read_sources
from training.errors import RunError
from training.output_folders import MADE, Kind, find_obstacle
from training.progress import say
from training.run_folder import RUN, STARTED, UNFINISHED
from training.unfinished import claim

JOURNAL, ROWS, WORK = "journal.jsonl", "rows", "work"
RUN_NAME, BUNDLE_NAME = "run", "bundle"
FOLDER = Kind(
    "a tuning",
    (JOURNAL, REPORT, PLOT),
    STARTED,
    ("signature", "metric"),
    {
        RUN_NAME: RUN,
        f"{RUN_NAME}.partial": UNFINISHED,
        f"{BUNDLE_NAME}*": MADE,
        ROWS: Kind("rows", ("*.jsonl.gz",)),
        WORK: MADE,
    },
)
ROOM_BYTES = 200_000_000  # of runs and bundles under way
LATE = 1.1  # times the minutes, after which the last fit is stopped
TRIED_SHARE = 0.6  # of the minutes, in which one trial must have ended
TICK_S = 0.2
FINAL = "final"


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


def tune_data(
    sources: Sources, out: Path, wanted: Wanted, force: bool = False, started: float | None = None
) -> Outcome:
    """Search for the best model of the rows; leave its run, bundle and report in the folder `out`.

    A search that was stopped goes on from where it stood.

    Args:
        force: Replace a finished search in `out`, or one of other settings or data.
        started: When the time began to run, as `time.monotonic` tells it; None: now.

    Raises:
        DataError: The rows cannot be learned from, or none can be held out.
        RunError: `out` is in the way; there is too little time; or no model could be fitted.
        SettingsError: A setting or metric that the task does not have.
    """
    started = time.monotonic() if started is None else started
    check_free(out, force, sources)
    check_room(out, ROOM_BYTES)
    with holding(out.with_name(f"{out.name}.partial"), out):
        workers = Workers()
        try:
            data = read_sources(sources)
            metric = find_metric(data.objective, data.train.labels, wanted.metric)
            _claim(out, data, wanted, metric, force)
            search = _prepare(sources, data, out, wanted, metric, workers, started)
            return search.run()
        finally:
            workers.close()


def check_free(out: Path, force: bool, sources: Sources) -> None:
    """Raise RunError unless `out` can be written: free, an unfinished search, or with `force` a
    finished one."""
    if obstacle := find_obstacle(out, FOLDER, True, sources.paths):
        raise RunError(obstacle)
    if not force and (out / REPORT).exists():
        raise RunError(f"{out}: is finished. Give another --out, or --force to search anew.")


def _claim(out: Path, data: Data, wanted: Wanted, metric: str, force: bool) -> None:
    """Begin a new search in `out`, unless the same one stands there unfinished."""
    out.mkdir(parents=True, exist_ok=True)
    if force and (out / REPORT).exists():
        empty_folder(out, STARTED)
        (out / STARTED).unlink()
    asked = {
        "data": data.describe(),
        "columns": dataclasses.asdict(data.columns),
        "task": data.objective.task.describe(),
        "aims": dict(data.objective.aims),
        "metric": metric,
        "budget": {"size_bytes": wanted.budget[0], "latency_ms": wanted.budget[1]},
        "seed": wanted.seed,
    }
    claim(out, asked, force)


def _prepare(
    sources: Sources,
    data: Data,
    out: Path,
    wanted: Wanted,
    metric: str,
    workers: Workers,
    started: float,
) -> Search:
    """Hold out test rows where there are none, and read the rest as the winner will."""
    known = hold_out(data, sources, out / ROWS, wanted.seed)
    if known is not sources:
        data = read_sources(known)
    journal = Journal(out / JOURNAL)
    folds = make_folds(data, wanted.seed)
    work = out / WORK
    work.mkdir(exist_ok=True)
    empty_folder(work)  # of a search that was killed
    if journal.trials:
        say(f"{len(journal.trials)} trials stand in {journal.path}: going on")
    return Search(known, data, sources, out, wanted, metric, workers, journal, folds, started)


class Search:
    """A search under way."""

    def __init__(
        self,
        sources: Sources,
        data: Data,
        given: Sources,
        out: Path,
        wanted: Wanted,
        metric: str,
        workers: Workers,
        journal: Journal,
        folds: Folds,
        started: float,
    ) -> None:
        """Args:
        sources: With test rows.
        given: As the user gave them.
        """
        self.sources = sources
        self.data = data
        self.given = given
        self.out = out
        self.wanted = wanted
        self.metric = metric
        self.workers = workers
        self.journal = journal
        self.folds = folds
        self.began = started - journal.spent_s
        self.look = look_at(data)
        self.under_way: dict[Key, tuple[Choices, int, int, float]] = {}
        self.num_new = 0

    @property
    def spent_s(self) -> float:
        """Seconds spent so far, in searches that were stopped too."""
        return time.monotonic() - self.began

    @property
    def left_s(self) -> float:
        return self.wanted.limit_s - self.spent_s

    def run(self) -> Outcome:
        """Try, choose, fit, measure and report."""
        try:
            if self.journal.chosen is None:
                with Display(self.metric, self.folds.steps) as display:
                    self._try_all(display)
                self._choose()
            if self.journal.result is None:
                self.journal.finish(self._fit_chosen(), self.spent_s)
        except BaseException:
            self.journal.spend(self.spent_s)
            raise
        empty_folder(self.out / WORK)
        (self.out / WORK).rmdir()
        outcome = self._describe()
        write_report(self.out, outcome)
        return outcome

    def schedule(self) -> Schedule:
        """Return what follows from the trials so far."""
        default = [t for t in self.journal.trials.values() if t.choices == DEFAULT and not t.error]
        default_over = any(
            is_over(self.wanted.budget, trial.size_bytes, trial.latency_ms) for trial in default
        )
        kind = self.data.objective.task.kind
        levers = list_levers(self.look, kind, self.metric, default_over)
        return Schedule(
            self.folds,
            self.journal.trials,
            levers,
            self.metric,
            len(self.data.train),
            self.wanted.budget,
        )

    def _try_all(self, display: Display) -> None:
        """Make trials until the time for them is over, or nothing is left to try."""
        while True:
            schedule = self.schedule()
            standings = schedule.stand()
            self._fill(schedule)
            if not self.workers.names:
                return
            names = [name_choices(choices) for choices, *_ in self.under_way.values()]
            display.update(standings, names, self.left_s)
            for outcome in self.workers.wait(TICK_S):
                self._take(outcome.name, outcome.result, outcome.error, display)
            if self.left_s < self._reserve(self.schedule()):
                for key in self.workers.names:
                    self.workers.stop(key)
                    del self.under_way[key]
                return

    def _reserve(self, schedule: Schedule) -> float:
        """Return the seconds that are kept for fitting what would be chosen now."""
        chosen = schedule.choose(self.left_s)
        if chosen is None:
            share = 1 - TRIED_SHARE if not schedule.trials else 0.0
            return share * self.wanted.limit_s
        return schedule.estimate_final(chosen.choices) or 0.0

    def _fill(self, schedule: Schedule) -> None:
        """Start trials until all places are taken."""
        most = self.wanted.max_trials
        reserve = self._reserve(schedule)
        for choices, rows, fold in schedule.next_jobs():
            if len(self.workers.names) >= self.wanted.jobs or (most and self.num_new >= most):
                return
            key = (name_choices(choices), rows, fold)
            if key in self.under_way or not self._is_affordable(schedule, choices, rows, reserve):
                continue
            self._start(choices, rows, fold)

    def _is_affordable(
        self, schedule: Schedule, choices: Choices, rows: int, reserve: float
    ) -> bool:
        """Say whether a trial ends in time, and its candidate could then be fitted to all rows."""
        seconds, final = schedule.estimate(choices, rows), schedule.estimate_final(choices)
        if seconds is None or final is None:  # nothing was timed yet
            return self.left_s > 0
        return seconds + max(reserve, final) <= self.left_s

    def _start(self, choices: Choices, rows: int, fold: int) -> None:
        learned = take_rows(self.data.train, self.folds.learned(rows, fold))
        folder = self.out / WORK / f"{os.getpid()}-{self.num_new}"
        folder.mkdir()
        job = TrialJob(
            choices,
            fold,
            dataclasses.replace(choose_data(self.data, choices), train=learned, test=None),
            take_rows(self.data.train, self.folds.measured(fold)),
            make_settings(choices, self.wanted.seed),
            self.metric,
            folder,
        )
        threads = max(1, count_cores() // self.wanted.jobs)
        key = (name_choices(choices), rows, fold)
        self.under_way[key] = choices, rows, fold, time.monotonic()
        self.num_new += 1
        self.workers.start(key, run_trial, job, threads)

    def _take(self, key: Key, trial: Trial | None, error: str, display: Display) -> None:
        """Write down what came of a trial."""
        choices, rows, fold, began = self.under_way.pop(key)
        if trial is None:
            seconds = round(time.monotonic() - began, 2)
            trial = Trial(choices, rows, fold, seconds, error=error)
        else:  # counted by the key that was asked for: a fold may have fewer rows outside
            trial = dataclasses.replace(trial, rows=rows)
        if trial.error and trial.choices == DEFAULT:
            raise RunError(f"the default recipe cannot be fitted: {trial.error}")
        self.journal.add(trial, self.spent_s)
        display.tell(trial)

    def _choose(self) -> None:
        """Choose the candidate to fit to all rows, and write it down."""
        schedule = self.schedule()
        chosen = schedule.choose(LATE * self.wanted.limit_s - self.spent_s)
        if chosen is None:
            raise RunError(self._describe_shortage(schedule))
        standings = schedule.stand()
        default = next((one for one in standings if one.is_default), None)
        why = describe_choice(chosen, default, self.folds.steps)
        if chosen.is_over:
            self._check_prunable(chosen)
            why = f"It misses the budget by least. {why}"
        say(f"chosen: {chosen.name}. {why}")
        entry = {"choices": dict(chosen.choices), "name": chosen.name, "why": why}
        self.journal.choose(entry, self.spent_s)

    def _check_prunable(self, nearest: Standing) -> None:
        """Raise RunError where there is no time left to prune what no trial keeps the budget
        without."""
        schedule = self.schedule()
        needed = 3 * (schedule.estimate_final(nearest.choices) or 0.0)  # fitted, and pruned twice
        if needed > self.left_s:
            raise RunError(
                f"none of {len(schedule.stand())} candidates keeps the budget"
                f"{_name_budget(self.wanted.budget)}; the nearest is {nearest.name} with about "
                f"{nearest.size_bytes / 1e6:.3f} MB and {nearest.latency_ms:.3f} ms. Give a larger "
                f"budget, or --minutes {self._minutes(needed)} to prune it too: the trials that "
                f"stand in {self.journal.path} are kept."
            )

    def _describe_shortage(self, schedule: Schedule) -> str:
        """Return why nothing can be fitted in the time, and how much is needed."""
        finals = [
            seconds
            for one in schedule.stand()
            if one.step >= 0 and (seconds := schedule.estimate_final(one.choices)) is not None
        ]
        if not finals:
            return (
                f"not one trial ended in {self.spent_s:.0f} s, and the last fit needs its time "
                f"too. Give more, such as --minutes {self._minutes(2 * self.spent_s)}."
            )
        return (
            f"{self.wanted.minutes:g} minutes are too little to fit a model to all "
            f"{len(self.data.train):,} rows, which takes about {min(finals):.0f} s. Give "
            f"--minutes {self._minutes(min(finals))} or more: the trials that stand in "
            f"{self.journal.path} are kept."
        )

    def _minutes(self, needed_s: float) -> int:
        return math.ceil((self.spent_s + MARGIN * needed_s) / 60)

    def _fit_chosen(self) -> dict[str, Any]:
        """Return what the chosen candidate, fitted to all rows, is worth."""
        choices = (self.journal.chosen or {})["choices"]
        job = self._make_final(choices)
        if self.left_s * LATE <= 0:
            raise RunError(
                f"the {self.wanted.minutes:g} minutes are spent. Give more, such as --minutes "
                f"{self._minutes(self.schedule().estimate_final(choices) or 60)}, to fit "
                f"{name_choices(choices)} to all rows."
            )
        self.workers.start(FINAL, run_final, job, count_cores())
        while self.spent_s < LATE * self.wanted.limit_s:
            for outcome in self.workers.wait(TICK_S):
                if outcome.error:
                    raise RunError(outcome.error)
                result: dict[str, Any] = outcome.result
                return result
        raise RunError(
            f"fitting {name_choices(choices)} to all rows takes longer than the "
            f"{self.wanted.minutes:g} minutes. Nothing is lost: the same command with --minutes "
            f"{self._minutes(self.schedule().estimate_final(choices) or 60)} goes on."
        )

    def _make_final(self, choices: Choices) -> FinalJob:
        sources = choose_sources(self.sources, choices)
        test = sources.test
        if test is None:
            raise ValueError("a winner is measured on test rows")
        return FinalJob(
            choices,
            sources,
            make_settings(choices, self.wanted.seed),
            self.metric,
            test,
            self.out / RUN_NAME,
            self.out / BUNDLE_NAME,
            self._command(choices),
            self.wanted.budget,
        )

    def _command(self, choices: Choices) -> str:
        return write_command(
            choices, list_options(self.sources), self.wanted.seed, f"{self.out}-again"
        )

    def _describe(self) -> Outcome:
        chosen, result = self.journal.chosen, self.journal.result
        if chosen is None or result is None:
            raise ValueError("the search is not finished")
        return Outcome(
            self.schedule().stand(),
            self.folds.steps,
            self.metric,
            self.wanted.budget,
            chosen,
            result,
            self._command(chosen["choices"]),
            self.given.test is None,
            self.spent_s,
            len(self.journal.trials),
        )


def count_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _name_budget(budget: Budget) -> str:
    parts = []
    if budget[0] is not None:
        parts.append(f"{budget[0] / 1e6:g} MB")
    if budget[1] is not None:
        parts.append(f"{budget[1]:g} ms")
    return f" ({', '.join(parts)})"
