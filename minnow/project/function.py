"""The function's source folder, as `sam build` takes it, and the zip that it becomes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import handler as sources
from handler.errors import ArtefactError
from handler.files import replacing
from handler.package import BuildError, copy_bundle, describe_sizes, zip_function
from minnow.errors import CommandError
from minnow.nested import copy_sources, restore_imports

SOURCES = Path(sources.__path__[0])
MODEL = "model"
SHIPPED_BUNDLE = SOURCES / MODEL


@dataclass(frozen=True)
class Build:
    """How the function is built.

    Args:
        architecture: The processor, x86_64 or arm64.
        runtime: Lambda's Python, for example python3.13.
        signing: Bring what checks the signatures of bundles.
        release: Written into the function unless it is empty.
    """

    architecture: str
    runtime: str
    signing: bool = False
    release: str = ""


def write_sources(folder: Path, bundle: Path) -> None:
    """Write `folder`: the function's sources, what builds it, and the bundle.

    Raises:
        CommandError: The bundle is none that can serve.
    """
    try:
        copy_sources(SOURCES, folder, restore_imports, ignored=(MODEL,))
        copy_bundle(bundle, folder / MODEL)
    except (BuildError, ArtefactError) as error:
        # A build says how its Makefile is told of a bundle; a command has an option for it.
        raise CommandError(str(error.__cause__ or error)) from error


def package_function(bundle: Path, out: Path, build: Build, force: bool = False) -> str:
    """Write the zip that Lambda takes; return a table of where its megabytes are.

    Its packages come from the user's registry of Python packages, and have the hashes that the
    sources name.

    Args:
        force: Replace a file that stands already.

    Raises:
        CommandError: The bundle is none, `out` must not be written, or the function could not be
            built.
    """
    _check_free(out, force)
    # First of all a place for the zip: to learn after the build that there is none takes minutes.
    with replacing(out) as temporary, TemporaryDirectory(prefix="minnow-") as work:
        folder, function = Path(work) / "handler", Path(work) / "function"
        write_sources(folder, bundle)
        command = [sys.executable, "-B", str(folder / "package.py"), "--out", str(function)]
        command += ["--architecture", build.architecture, "--runtime", build.runtime]
        command += [f"--release={build.release}"]
        command += ["--signing"] if build.signing else []
        # What the user's modules are called, or where they are, does not reach the build.
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(command, env=kept | {"PYTHONHASHSEED": "0"}, check=False)
        if done.returncode:
            raise CommandError(f"{out}: the function could not be built; why, stands above")
        zip_function(function, temporary)
        _check_free(out, force)  # again: the build has taken minutes
        return describe_sizes(function, temporary)


def _check_free(out: Path, force: bool) -> None:
    if out.is_dir():
        raise CommandError(f"{out}: is a folder, wanted the name of a file such as function.zip")
    if out.exists() and not force:
        raise CommandError(f"{out}: exists already. Give another --out, or --force to replace it.")
