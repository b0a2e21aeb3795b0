"""Code run in a Python of its own, where nothing is imported yet."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.helpers.paths import ROOT


def run_python(
    code: str, *arguments: object, cwd: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess:
    # Settings of commands that ran in this process are none of a fresh one's.
    inherited = {name: value for name, value in os.environ.items() if name[:7] != "MINNOW_"}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=cwd,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
