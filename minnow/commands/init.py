"""`minnow init`: a project that deploys a bundle."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from minnow.options import BundleOption, Json, flag

PANEL = "Serving"
EXAMPLES = ("minnow init reviews --bundle bundles/reviews",)

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the project to write.")]
Force = Annotated[bool, flag("--force", "Replace a project in FOLDER that nobody has changed.")]


def init(
    folder: Folder,
    bundle: BundleOption = None,
    force: Force = False,
    json_output: Json = False,
) -> None:
    """Write a project that SAM deploys as it stands: the function and its bundle.

    Template, settings, events, tests and a README, with all that `sam build` needs.
    """
    from minnow.project.function import SHIPPED_BUNDLE
    from minnow.project.project import write_project

    stack = write_project(folder, bundle or SHIPPED_BUNDLE, force)
    if json_output:
        print(json.dumps({"folder": str(folder), "stack": f"{stack}-dev"}))
    else:
        print(f"{folder}: a project; its README.md tells how it is tested and deployed")
    print(f"next: cd {shlex.quote(str(folder))} && sam build && sam deploy", file=sys.stderr)
