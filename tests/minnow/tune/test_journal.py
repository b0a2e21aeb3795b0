import json
import resource
import signal

import pytest

from minnow.tune.journal import Journal, name_choices
from tests.helpers.searches import make_trial
from training.errors import RunError


def test_what_was_written_is_read_again(tmp_path):
    path = tmp_path / "journal.jsonl"
    trials = [make_trial({"units": [64]}, 100, fold, 0.5) for fold in range(3)]
    journal = Journal(path)
    for number, trial in enumerate(trials):
        journal.add(trial, 10.0 * number)
    journal.choose({"choices": {}, "name": "default"}, 30.0)

    found = Journal(path)

    assert list(found.trials.values()) == trials
    assert (found.spent_s, found.chosen["name"], found.result) == (30.0, "default", None)


@pytest.mark.parametrize("cut", [1, 10, 300])
def test_a_line_that_a_kill_cut_short_is_dropped_and_no_other(tmp_path, cut):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    for fold in range(2):
        journal.add(make_trial({}, 100, fold, 0.5), 1.0)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])

    found = Journal(path)
    found.add(make_trial({}, 100, 7, 0.5), 2.0)

    assert [fold for _, _, fold in Journal(path).trials] == [0, 7]
    assert [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_of_something_else_is_told(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text('{"spent_s": 1}\n{"a": 1}\n')

    with pytest.raises(RunError, match="line 2 is no line of a journal. Start anew with --force"):
        Journal(path)


def test_candidates_are_named_by_what_differs():
    assert name_choices({}) == "default"
    assert name_choices({"units": [64, 32], "encoder": "cnn"}) == "encoder=cnn units=64,32"


def test_a_line_that_could_not_be_written_whole_is_taken_back(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.add(make_trial({}, 100, 0, 0.5), 1.0)
    kept, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)

    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(kept) + 100, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            journal.add(make_trial({}, 100, 1, 0.5), 2.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)

    assert path.read_bytes() == kept
    assert list(journal.trials) == [("default", 100, 0)]
    journal.add(make_trial({}, 100, 1, 0.5), 2.0)
    assert [fold for _, _, fold in Journal(path).trials] == [0, 1]
