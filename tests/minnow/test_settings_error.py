"""A wrong variable of the environment: every command that reads them says so in one line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT

EVENT = ROOT / "tests" / "events" / "direct_text.json"
QUEUE = "http://127.0.0.1:9/1/texts"  # never reached


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["invoke", str(EVENT)],
        ["serve", "--port", "0"],
        ["poll", "--queue", QUEUE, "--until-empty"],
    ],
    ids=lambda command: command[0],
)
def test_a_wrong_variable_is_one_line_and_no_traceback(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "minnow", *command],
        env={**os.environ, "PYTHONPATH": str(ROOT), "MINNOW_RESULTS": "foo"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "minnow: MINNOW_RESULTS is 'foo', wanted one of sqs://NAME, s3://NAME, "
        "eventbridge://NAME, dynamodb://NAME\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("queue", [QUEUE, "no-address"])
def test_a_queue_out_of_reach_is_one_line_and_no_traceback(queue: str) -> None:
    known = {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    near = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}

    done = subprocess.run(
        [sys.executable, "-m", "minnow", "poll", "--queue", queue, "--until-empty"],
        env={**os.environ, "PYTHONPATH": str(ROOT), **known, **near},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith(f"minnow: {queue}: the queue cannot be reached")
    assert "Traceback" not in done.stderr
