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
