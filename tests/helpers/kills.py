"""Commands of `minnow` in processes of their own, that are killed at random moments."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator

from tests.helpers.paths import ROOT

IS_LONG = os.environ.get("MINNOW_TEST_LONG") == "1"
PROGRAM = (
    "import sys; from handler.hosts import file_job; from minnow.cli import main; "
    "file_job.CHECKPOINT_S = 0.05; sys.exit(main())"
)


def start(*arguments: object, limit_bytes: int = 0, **environment: str) -> subprocess.Popen[str]:
    """Start `minnow` with `arguments`, in a group of its own.

    Args:
        limit_bytes: Of every file that it writes, beyond which writing fails as on a full disk.
    """

    def limit() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=limit if limit_bytes else None,
    )


def run(*arguments: object, **more: object) -> tuple[int, str]:
    """Run `minnow` to its end; return its exit code and what it said."""
    process = start(*arguments, **more)  # type: ignore[arg-type]
    _, errors = process.communicate(timeout=300)
    return process.returncode, errors


def kill(process: subprocess.Popen[str], after_s: float) -> bool:
    """Kill a process after a while; return False if it had ended before."""
    try:
        process.communicate(timeout=after_s)
        return False
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        return True


def moments(longest_s: float) -> Iterator[tuple[int, float]]:
    """Yield moments without end, numbered, the same in every run of the tests."""
    order = random.Random(7)
    for number in itertools.count():
        yield number, order.uniform(0, longest_s)
