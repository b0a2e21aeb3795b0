import time

import pytest

from minnow.tune.candidates import make_settings
from minnow.tune.folds import make_folds
from minnow.tune.journal import Journal
from minnow.tune.search import Clock, Search, UnderWay, Wanted, find_longest
from minnow.tune.table import Display
from minnow.tune.trial import FinalJob, _measure
from minnow.tune.winner import FINAL, fit_chosen
from minnow.tune.workers import Outcome
from tests.helpers.searches import make_trial
from training.errors import RunError
from training.rows.data import Sources, read_sources

DEATH = "its process was killed"
CNN = {"encoder": "cnn"}


class NoWorkers:
    """Takes jobs and does none."""

    def __init__(self):
        self.started, self.names = [], []

    def start(self, name, work, job, threads):
        self.started.append(name)
        self.names.append(name)

    def stop(self, name):
        self.names.remove(name)

    def wait(self, timeout_s):
        return self.outcomes


@pytest.fixture
def search(tmp_path):
    path = tmp_path / "rows.csv"
    rows = [f"word{row} and more,{'ab'[row % 2]}" for row in range(200)]
    path.write_text("\n".join(["text,label", *rows]), "utf-8")
    data = read_sources(Sources(path))
    journal, clock = Journal(tmp_path / "journal.jsonl"), Clock(600, time.monotonic())
    wanted = Wanted(10, jobs=1)
    return Search(data, make_folds(data, 0), wanted, "accuracy", journal, clock, tmp_path)


def try_next(search, workers, error="", was_killed=False):
    """Start a trial and let it end; return its key."""
    search._fill(search.plan(), workers)
    key = workers.names.pop()
    made = search._under_way[key]
    trial = None if error else make_trial(made.choices, made.rows, made.fold, 0.5)
    search._take(Outcome(key, trial, error, was_killed), Display("accuracy"))
    return key


def test_a_trial_whose_process_was_killed_is_tried_once_more_and_never_journalled(search):
    workers = NoWorkers()
    while try_next(search, workers)[0] == "default":
        pass

    first = try_next(search, workers, DEATH, was_killed=True)
    again = try_next(search, workers, DEATH, was_killed=True)
    other = try_next(search, workers)

    assert first == again
    assert other[0] != first[0]
    assert first not in Journal(search.journal.path).trials


def test_a_trial_that_failed_is_journalled(search):
    workers = NoWorkers()
    while try_next(search, workers)[0] == "default":
        pass

    failed = try_next(search, workers, "no kernel")

    assert Journal(search.journal.path).trials[failed].error == "no kernel"
    assert try_next(search, workers)[0] != failed[0]


def test_a_later_trial_of_the_default_that_dies_does_not_end_the_search(search):
    workers = NoWorkers()
    try_next(search, workers)

    dead = [try_next(search, workers, DEATH, was_killed=True) for _ in range(2)]

    assert dead[0] == dead[1]
    assert dead[0][0] == "default"
    assert try_next(search, workers) != dead[0]


def test_the_default_that_cannot_be_fitted_at_all_ends_the_search(search):
    workers = NoWorkers()
    try_next(search, workers, DEATH, was_killed=True)

    with pytest.raises(RunError, match="the default recipe cannot be fitted: its process was"):
        try_next(search, workers, DEATH, was_killed=True)


def test_a_trial_that_takes_far_longer_than_was_told_is_stopped(search):
    workers = NoWorkers()
    key = ("encoder=cnn", 160, 0)
    workers.names.append(key)
    search._under_way[key] = UnderWay(CNN, 160, 0, time.monotonic() - 100, longest_s=90.0)

    (outcome,) = search._stop_long(workers)
    search._take(outcome, Display("accuracy"))

    assert workers.names == []
    assert search.journal.trials[key].error == "took longer than 90 s"
    assert [find_longest(told) for told in (None, 1.0, 100.0)] == [float("inf"), 30.0, 300.0]


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (Outcome(FINAL, error=DEATH, was_killed=True), f"{DEATH}. The same command goes on"),
        (Outcome(FINAL, error="It failed."), "It failed. A new search begins with --force."),
    ],
)
def test_a_last_fit_that_ends_badly_tells_how_to_go_on(search, tmp_path, outcome, message):
    workers = NoWorkers()
    workers.outcomes = [outcome]
    test, run, bundle = (tmp_path / name for name in ("rows.csv", "run", "bundle"))
    job = FinalJob({}, Sources(test), make_settings({}, 0), "accuracy", test, run, bundle, "")

    with pytest.raises(RunError, match=message):
        fit_chosen(search, workers, job)


def test_what_measuring_takes_is_told_by_the_row(search):
    rows = search.data.train
    objective = search.data.objective

    found = _measure(objective, rows, lambda texts: objective.encode(rows.labels), "accuracy")

    assert found.score.value == 1.0
    assert 0 < found.row_s < 0.01
    assert (found.size_bytes, found.latency_ms) == (0, 0.0)
