"""The wheel, built of this checkout and installed where nothing else of it is importable."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.helpers.paths import ROOT

BUILD = "import sys, hatchling.build; print(hatchling.build.build_wheel(sys.argv[1]))"


def build_wheel(folder: Path) -> Path:
    """Build the wheel into `folder` by the build backend, and return its path."""
    command = [sys.executable, "-c", BUILD, folder]
    name = subprocess.check_output(command, cwd=ROOT, text=True).split()[-1]
    return folder / name


def install_wheel(wheel: Path, folder: Path) -> Path:
    """Install the wheel in a new environment; return its Python.

    The dependencies are those of the environment that the tests run in, found by its path: of what
    is installed there by a .pth file, as this checkout is, nothing is importable.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    if uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--python", python]
    else:
        base = Path(sys.base_prefix) / "bin" / "python3"
        command = [base, "-m", "pip", "--python", python, "install"]
    command += ["--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(command, check=True)
    (site,) = (folder / "lib").glob("python3*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def run_installed(
    python: Path, *command: object, cwd: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of the installed Python in `cwd`, where nothing of this checkout is found."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(python), *map(str, command)],
        cwd=cwd,
        env={**variables, **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done
