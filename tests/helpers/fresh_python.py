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
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
