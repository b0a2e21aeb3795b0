"""`minnow key`: a key for the HTTP service, and the setting that knows it by its hash."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from minnow.options import Json

PANEL = "Serving"
EXAMPLES = ("minnow key shop",)


def read_name(name: str) -> str:
    """Return a name that stands in the setting as it is: no comma, which parts its entries."""
    if not name or "," in name or name != name.strip() or not name.isprintable():
        raise typer.BadParameter(
            f"{name!r}: wanted a name without commas, control characters and spaces around it"
        )
    return name


def key(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Name of the client, as it stands in the log.",
            callback=read_name,
        ),
    ] = "client",
    json_output: Json = False,
) -> None:
    """Make an API key and the setting that lets it in."""
    import hashlib
    import secrets

    secret = secrets.token_urlsafe(32)
    setting = f"{name}:{hashlib.sha256(secret.encode()).hexdigest()}"
    if json_output:
        print(json.dumps({"key": secret, "setting": setting}))
    else:
        print(f"the client's key, shown only now: {secret}\nMINNOW_API_KEYS={setting}")
