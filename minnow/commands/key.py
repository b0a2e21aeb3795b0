"""`minnow key`: a key for the HTTP service, and the setting that knows it by its hash."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from minnow.options import Json

PANEL = "Serving"
EXAMPLES = ("minnow key shop",)


def key(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the client, as it stands in the log.")
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
