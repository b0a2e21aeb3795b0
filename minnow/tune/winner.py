"""The end of a search: the candidate that is chosen, fitted to all rows and measured."""

from __future__ import annotations

import math
from typing import Any

from handler.hosts.cores import count_cores
from minnow.tune.costs import MARGIN, PRUNED_MODELS
from minnow.tune.journal import name_choices
from minnow.tune.report import describe_choice
from minnow.tune.schedule import Schedule
from minnow.tune.search import TICK_S, Search
from minnow.tune.standing import Budget, Standing
from minnow.tune.trial import FinalJob, run_final
from minnow.tune.workers import Workers
from training.errors import RunError
from training.progress import say
from training.run_folder import is_run

FINAL = "final"


def choose(search: Search) -> None:
    """Choose the candidate to fit to all rows, and write it down.

    Raises:
        RunError: None can be fitted in the time that is left, or none keeps the budget.
    """
    schedule, clock = search.plan(), search.clock
    chosen = schedule.choose(clock.late_s)
    if chosen is None:
        raise RunError(_describe_shortage(search, schedule))
    standings = schedule.stand()
    default = next((one for one in standings if one.is_default), None)
    expected = schedule.find_better(standings).get(chosen.name)
    why = describe_choice(chosen, default, expected, schedule.count_compared())
    if chosen.is_over:
        _check_prunable(search, schedule, chosen)
    say(f"chosen: {chosen.name}. {why}")
    entry = {"choices": dict(chosen.choices), "name": chosen.name, "why": why}
    search.journal.choose(entry, clock.spent_s)


def _check_prunable(search: Search, schedule: Schedule, nearest: Standing) -> None:
    """Raise RunError where no candidate keeps the budget, and there is no time to prune one."""
    needed = schedule.estimate_needed(nearest)
    if needed <= search.clock.left_s:
        return
    raise RunError(
        f"none of {len(schedule.stand())} candidates keeps the budget "
        f"({name_budget(search.wanted.budget)}); the nearest is {nearest.name} with "
        f"about {nearest.full_bytes / 1e6:.3f} MB and {nearest.latency_ms:.3f} ms. Give a "
        f"larger budget, or --minutes {_minutes(search, needed)} to prune it too: the trials in "
        f"{search.journal.path} are kept."
    )


def _describe_shortage(search: Search, schedule: Schedule) -> str:
    """Return why nothing can be fitted in the time, and how much is needed."""
    finals = [
        seconds
        for one in schedule.stand()
        if not one.problem and (seconds := schedule.estimate_final(one.choices)) is not None
    ]
    if not finals:
        spent_s = search.clock.spent_s
        return (
            f"{search.wanted.minutes:g} minutes are too little: not one trial ended in "
            f"{spent_s:.0f} s, and the last fit needs its time too. Give --minutes "
            f"{_minutes(search, 2 * spent_s)} or more."
        )
    return (
        f"{search.wanted.minutes:g} minutes are too little: to fit a model to all "
        f"{len(search.data.train):,} rows and to measure it takes about {min(finals):.0f} s more. "
        f"Give --minutes {_minutes(search, min(finals))} or more: the trials in "
        f"{search.journal.path} are kept."
    )


def fit_chosen(search: Search, workers: Workers, job: FinalJob) -> dict[str, Any]:
    """Return what the chosen candidate, fitted to all rows, is worth, as `run_final` has it.

    Raises:
        RunError: It does not end in the time, or no bundle keeps the budget.
    """
    clock, minutes = search.clock, search.wanted.minutes
    workers.start(FINAL, run_final, job, count_cores())
    while clock.late_s > 0:
        for outcome in workers.wait(TICK_S):
            if outcome.was_killed:
                raise RunError(
                    f"the last fit: {outcome.error}. The same command goes on (without --force)."
                )
            if outcome.error:
                raise RunError(f"{outcome.error.rstrip('.')}. A new search begins with --force.")
            result: dict[str, Any] = outcome.result
            return result
    needed = search.plan().estimate_final(job.choices) or clock.spent_s
    if is_run(job.run):  # it is being pruned
        needed *= PRUNED_MODELS
    raise RunError(
        f"{minutes:g} minutes are too little: {name_choices(job.choices)} is not yet fitted to all "
        f"rows and measured. Nothing is lost: the same command with --minutes "
        f"{_minutes(search, needed)} goes on (without --force)."
    )


def name_budget(budget: Budget) -> str:
    """Return the budget for people: "1 MB, 0.5 ms"."""
    size = [] if budget[0] is None else [f"{budget[0] / 1e6:g} MB"]
    return ", ".join(size + ([] if budget[1] is None else [f"{budget[1]:g} ms"]))


def _minutes(search: Search, needed_s: float) -> int:
    return math.ceil((search.clock.spent_s + MARGIN * needed_s) / 60)
