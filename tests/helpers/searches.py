"""Searches whose trials are made up: no TensorFlow, a tenth of a second each."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from minnow.tune.journal import Trial, name_choices
from minnow.tune.trial import FinalJob, TrialJob
from tests.helpers.paths import ROOT
from training.errors import DataError

TRIAL_S = 0.05
PROGRAM = """
import sys
from tests.helpers import searches
from minnow.tune import search, winner, workers
workers.PRELOAD = "tests.helpers.searches"
search.run_trial, winner.run_final = searches.make_up_trial, searches.make_up_final
from minnow.cli import main
sys.exit(main())
"""


def luck(*parts: object) -> float:
    """Return a number from 0 to 1 that is always the same for the same parts."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4]) / 2**32


def make_trial(choices: dict[str, Any], rows: int, fold: int, value: float, **more: Any) -> Trial:
    """Return a trial with a standard error of about 0.01."""
    without = [value + 0.002 * (luck(rows, fold, part) - 0.5) for part in range(20)]
    return Trial(choices, rows, fold, 1.0, value, without, **{"size_bytes": 500_000, **more})


def make_up_trial(job: TrialJob) -> Trial:
    time.sleep(TRIAL_S)
    value = 0.7 + 0.1 * luck(name_choices(job.choices)) * bool(job.choices)
    return make_trial(dict(job.choices), job.rows, job.fold, value, cpu_s=TRIAL_S)


def make_up_final(job: FinalJob) -> dict[str, Any]:
    time.sleep(5 * TRIAL_S)
    return {
        "value": 0.8,
        "without": [0.8] * 20,
        "rows": 60,
        "size_bytes": 500_000,
        "latency_ms": 0.1,
        "seconds": 1.0,
        "keras": {},
    }


def start_search(*arguments: object) -> subprocess.Popen[str]:
    """Start `minnow tune` with made-up trials."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "tune", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def stop_at_trial(
    process: subprocess.Popen[str], folder: Path, number: int, how: signal.Signals
) -> None:
    """Send a signal as soon as so many trials stand in the journal."""
    while len(read_trials(folder)) < number and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(how)
    process.communicate(timeout=60)


def read_trials(folder: Path) -> list[Trial]:
    """Return the trials in the journal of a search, those twice that stand there twice."""
    path = folder / "journal.jsonl"
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    entries = [json.loads(line) for line in lines]
    return [Trial(**entry["trial"]) for entry in entries if "trial" in entry]


def do_as_told(what: str) -> str:
    """A job that ends as it is told."""
    if what == "own error":
        raise DataError("rows.csv: row 3 has no label")
    if what == "unexpected":
        raise ValueError("a customer's secret text")
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "slow":
        time.sleep(600)
    return f"did {what}"
