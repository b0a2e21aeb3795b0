"""`minnow serve`: a bundle behind HTTP."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from minnow.options import BundleArgument, option

if TYPE_CHECKING:
    from handler.inference.models import Models

PANEL = "Serving"
EXAMPLES = ("minnow serve bundles/reviews", "minnow serve bundles/reviews --port 8080")

Host = Annotated[str, option("--host", "ADDRESS", "Address to listen on; 0.0.0.0 is every one.")]
Port = Annotated[int, option("--port", "PORT", "Port to listen on.", min=0, max=65535)]
Device = Annotated[
    Literal["cpu", "cuda"], typer.Option("--device", help="Processor that the model runs on.")
]
Workers = Annotated[
    int | None,
    option(
        "--workers",
        "N",
        "Processes that answer, each on one core.",
        "MINNOW_WORKERS, or one for each core",
        min=1,
        max=256,
    ),
]


def serve(
    bundle: BundleArgument = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    device: Device = "cpu",
    workers: Workers = None,
) -> None:
    """Answer HTTP requests.

    A page for people is at /, the documentation of the API at /docs.
    """
    import os

    from handler.hosts.server import read_workers
    from handler.hosts.server import serve as run_server
    from handler.settings import read_settings

    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # its usual end, which the server sees to
    settings = read_settings()
    if bundle is not None:
        settings = settings._replace(bundle=bundle, repository=None)
    if workers is None:
        workers = read_workers(os.environ)
    run_server(settings, host, port, device, announce, workers)


def announce(address: str, models: Models) -> None:
    """Say what answers where, and how to ask it."""
    for model in models:
        others = "; others by name, once they are asked" if models.is_stored else ""
        print(f"model {model.name}, version {model.version}{others}")
    print(f"ready at {address}  (a page at /, the API at /docs; Ctrl-C ends)")
    body = json.dumps({"text": "A clever, moving film."})
    ask = f"curl -s {address}/predict -H 'content-type: application/json' -d '{body}'"
    print(f"next: {ask}", flush=True)
