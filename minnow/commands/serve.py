"""`minnow serve`: a bundle behind HTTP."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from minnow.options import BundleArgument, option

PANEL = "Serving"
EXAMPLES = ("minnow serve bundles/reviews", "minnow serve bundles/reviews --port 8080")

Host = Annotated[str, option("--host", "ADDRESS", "Address to listen on; 0.0.0.0 is every one.")]
Port = Annotated[int, option("--port", "PORT", "Port to listen on.", min=0, max=65535)]
Device = Annotated[
    Literal["cpu", "cuda"], typer.Option("--device", help="Processor that the model runs on.")
]


def serve(
    bundle: BundleArgument = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    device: Device = "cpu",
) -> None:
    """Answer HTTP requests.

    A page for people is at /, the documentation of the API at /docs.
    """
    import dataclasses

    from handler.hosts.server import serve as run_server
    from handler.settings import DEFAULT_BUNDLE, read_settings

    settings = dataclasses.replace(read_settings(), bundle=bundle or DEFAULT_BUNDLE)
    run_server(settings, host, port, device)
