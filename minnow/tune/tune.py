"""From labelled texts to the best model for them: what `minnow tune` does."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

from handler.files import check_room, empty_folder, holding
from minnow.tune.candidates import make_settings, write_command
from minnow.tune.folds import make_folds
from minnow.tune.held_out import hold_out, list_options
from minnow.tune.journal import Choices, Journal
from minnow.tune.report import BUNDLE, PLOT, REPORT, Outcome, write_report
from minnow.tune.scores import find_metric
from minnow.tune.search import Clock, Search, Wanted
from minnow.tune.table import Display
from minnow.tune.trial import FinalJob, choose_sources
from minnow.tune.winner import choose, fit_chosen
from minnow.tune.workers import Workers
from training.errors import RunError
from training.output_folders import Kind, find_obstacle, find_problem
from training.progress import say
from training.resuming.unfinished import claim
from training.rows.data import Data, Sources, read_sources
from training.run_folder import RUN, STARTED, UNFINISHED

JOURNAL, ROWS, WORK = "journal.jsonl", "rows", "work"
RUN_NAME = "run"
INNER: dict[str, Kind] = {}
ANYTHING = Kind("what is made on the way", ("*",), folders=INNER)
INNER["*"] = ANYTHING
FOLDER = Kind(
    "a search",
    (JOURNAL, REPORT, PLOT),
    STARTED,
    ("signature", "metric"),
    {
        f"{RUN_NAME}*": ANYTHING,  # looked at for itself: a run lists files of its own
        f"{BUNDLE}*": ANYTHING,
        ROWS: Kind("rows", ("*.jsonl.gz",)),
        WORK: ANYTHING,
    },
)
ROOM_BYTES = 200_000_000  # of runs and bundles under way


def tune_data(
    sources: Sources, out: Path, wanted: Wanted, force: bool = False, started: float | None = None
) -> Outcome:
    """Search for the best model of the rows; leave its run, bundle and report in the folder `out`.

    A search that was stopped goes on from where it stood.

    Args:
        force: Begin anew, whatever search stands in `out`, finished or not.
        started: When the time began to run, as `time.monotonic` tells it; None: now.

    Raises:
        DataError: The rows cannot be learned from, or none can be held out.
        RunError: `out` is in the way; there is too little time; or no model keeps the budget.
        SettingsError: A setting or metric that the task does not have.
    """
    started = time.monotonic() if started is None else started
    check_free(out, force, sources)
    check_room(out, ROOM_BYTES)
    with holding(out.with_name(f"{out.name}.partial"), out):
        workers = Workers()
        try:
            return _tune(sources, out, wanted, force, started, workers)
        finally:
            workers.close()


def check_free(out: Path, force: bool, sources: Sources) -> None:
    """Raise RunError unless `out` can be written: free, an unfinished search, or with `force` a
    finished one."""
    if obstacle := find_obstacle(out, FOLDER, True, sources.paths):
        raise RunError(obstacle)
    for name, kind in ((RUN_NAME, RUN), (f"{RUN_NAME}.partial", UNFINISHED)):
        if (out / name).exists() and (problem := find_problem(out / name, kind)):
            raise RunError(f"{out / name}: is not {kind.title} ({problem}). Give another --out.")
    if not force and (out / REPORT).exists():
        raise RunError(f"{out}: is finished. Give another --out, or --force to search anew.")


def _tune(
    sources: Sources, out: Path, wanted: Wanted, force: bool, started: float, workers: Workers
) -> Outcome:
    data = read_sources(sources)
    metric = find_metric(data.objective, data.train.labels, wanted.metric)
    _claim(out, data, wanted, metric, force)
    known = hold_out(data, sources, out / ROWS, wanted.seed)
    if known is not sources:
        data = read_sources(known)
    journal = Journal(out / JOURNAL)
    if journal.trials:
        say(f"{len(journal.trials)} trials stand in {journal.path}: going on")
    work = out / WORK
    work.mkdir(exist_ok=True)
    empty_folder(work)  # of a search that was killed
    clock = Clock(wanted.limit_s, started - journal.spent_s)
    folds = make_folds(data, wanted.seed)
    search = Search(data, folds, wanted, metric, journal, clock, work)
    try:
        if journal.chosen is None:
            with Display(metric) as display:
                search.run(workers, display)
            choose(search)
        if journal.result is None:
            job = _make_final((journal.chosen or {})["choices"], known, out, wanted, metric)
            journal.finish(fit_chosen(search, workers, job), clock.spent_s)
    except BaseException:
        journal.spend(clock.spent_s)
        again = "the same command without --force" if force else "the same command"
        say(f"{len(journal.trials)} trials are kept: {again} goes on")
        raise
    empty_folder(work)
    work.rmdir()
    outcome = _describe(search, known, out, is_part=known is not sources)
    write_report(out, outcome)
    return outcome


def _claim(out: Path, data: Data, wanted: Wanted, metric: str, force: bool) -> None:
    """Begin a new search in `out`, unless the same one stands there unfinished and is not given up
    by `force`."""
    out.mkdir(parents=True, exist_ok=True)
    if force:  # what holds the folder stands beside it
        empty_folder(out, STARTED)
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


def _make_final(
    choices: Choices, sources: Sources, out: Path, wanted: Wanted, metric: str
) -> FinalJob:
    known = choose_sources(sources, choices)
    if known.test is None:
        raise ValueError("a winner is measured on test rows")
    return FinalJob(
        choices,
        known,
        make_settings(choices, wanted.seed),
        metric,
        known.test,
        out / RUN_NAME,
        out / BUNDLE,
        _command(choices, sources, out, wanted),
        wanted.budget,
    )


def _command(choices: Choices, sources: Sources, out: Path, wanted: Wanted) -> str:
    """Return the command that fits a candidate again, beside `out`."""
    return write_command(choices, list_options(sources), wanted.seed, f"{out}-again")


def _describe(search: Search, sources: Sources, out: Path, is_part: bool) -> Outcome:
    journal = search.journal
    chosen, result = journal.chosen, journal.result
    if chosen is None or result is None:
        raise ValueError("the search is not finished")
    return Outcome(
        search.plan().stand(),
        search.metric,
        search.wanted.budget,
        chosen,
        result,
        _command(chosen["choices"], sources, out, search.wanted),
        is_part,
        search.clock.spent_s,
        len(journal.trials),
    )
