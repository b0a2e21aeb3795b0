"""`minnow package`: a bundle in, the function out, as a zip."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from minnow.options import BundleArgument, Json, flag, option

PANEL = "Serving"
EXAMPLES = (
    "minnow package bundles/reviews --out function.zip",
    "minnow package bundles/reviews --out function.zip --architecture arm64",
)

Out = Annotated[Path, option("--out", "FILE.zip", "File to write.")]
Architecture = Annotated[
    Literal["x86_64", "arm64"],
    typer.Option("--architecture", help="Processor that the function runs on."),
]
Runtime = Annotated[
    Literal["python3.12", "python3.13", "python3.14"],
    typer.Option("--runtime", help="Lambda's Python that the function runs on."),
]
Signing = Annotated[bool, flag("--signing", "Bring what checks the signatures of bundles.")]
Release = Annotated[
    str, option("--release", "TEXT", "Name of the release, which makes it other code.", "none")
]
Force = Annotated[bool, flag("--force", "Replace a file that stands already.")]


def package(
    out: Out,
    bundle: BundleArgument = None,
    architecture: Architecture = "x86_64",
    runtime: Runtime = "python3.13",
    signing: Signing = False,
    release: Release = "",
    force: Force = False,
    json_output: Json = False,
) -> None:
    """Write the function with its bundle as the zip that Lambda takes.

    Its libraries are fetched from your registry of Python packages by uv or pip, for Lambda's
    Python, and checked by their hashes.
    """
    from minnow.project.function import SHIPPED_BUNDLE, Build, package_function

    settings = Build(architecture, runtime, signing, release)
    table = package_function(bundle or SHIPPED_BUNDLE, out, settings, force)
    if json_output:
        report = {"file": str(out), "bytes": out.stat().st_size, "architecture": architecture}
        print(json.dumps(report | {"runtime": runtime}))
    else:
        print(table)
    print("next: the function's entry point is handler.function.handler", file=sys.stderr)
