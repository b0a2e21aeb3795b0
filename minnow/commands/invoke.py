"""`minnow invoke`: the Lambda function in this process."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from minnow.errors import CommandError
from minnow.options import BundleOption

PANEL = "Serving"
EXAMPLES = ("minnow invoke event.json", "minnow invoke event.json --bundle bundles/reviews")


def invoke(
    event: Annotated[Path, typer.Argument(metavar="EVENT.json", help="File that holds one event.")],
    bundle: BundleOption = None,
) -> None:
    """Run the Lambda function on an event from a file."""
    content = read_event(event)
    if bundle is not None:
        os.environ |= {"MINNOW_BUNDLE": str(bundle), "MINNOW_MODELS": ""}
    from handler.function import handler

    print(json.dumps(handler(content, None), ensure_ascii=False, indent=2))


def read_event(path: Path) -> Any:
    """Return the JSON document in `path`."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except RecursionError:
        raise CommandError(f"{path}: not JSON that can be read: nested too deep") from None
    except ValueError as error:
        raise CommandError(f"{path}: not JSON ({error}), wanted one event") from None
