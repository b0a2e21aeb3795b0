import time

import pytest

from minnow.tune import workers as module
from minnow.tune.workers import Outcome, Workers
from tests.helpers.searches import do_as_told

MEMORY = "as by the system where memory ends: try fewer --jobs"


@pytest.fixture
def workers(monkeypatch):
    monkeypatch.setattr(module, "PRELOAD", "tests.helpers.searches")
    started = Workers()
    yield started
    started.close()


def wait_for(workers: Workers) -> Outcome:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for outcome in workers.wait(1.0):
            return outcome
    raise TimeoutError


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "outcome"),
    [
        ("well", Outcome("a", "did well")),
        ("own error", Outcome("a", None, "rows.csv: row 3 has no label")),
        ("killed", Outcome("a", None, f"its process was killed, {MEMORY}", True)),
    ],
)
def test_what_came_of_a_job_is_told(workers, what, outcome):
    workers.start("a", do_as_told, what, threads=1)

    assert wait_for(workers) == outcome
    assert workers.names == []


@pytest.mark.slow
def test_no_text_of_the_user_is_told(workers):
    workers.start("a", do_as_told, "unexpected", threads=1)

    error = wait_for(workers).error

    assert error.startswith("ValueError in searches.py, line ")
    assert "secret" not in error


@pytest.mark.slow
def test_a_slow_job_is_stopped_and_others_go_on(workers):
    workers.start("slow", do_as_told, "slow", threads=1)

    workers.stop("slow")
    workers.start("b", do_as_told, "well", threads=1)

    assert wait_for(workers) == Outcome("b", "did well")
