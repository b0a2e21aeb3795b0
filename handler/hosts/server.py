"""The app under uvicorn: what `minnow serve` and the containers run.

In a container: `python -m handler.hosts.server`, told by its environment. SageMaker appends the
word `serve` and mounts a model at /opt/ml/model; Vertex AI sets `AIP_HTTP_PORT` and the routes.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from handler.errors import ArtefactError, HandlerError, SettingsError
from handler.hosts.cores import count_workers
from handler.hosts.health import PORT_VARIABLES
from handler.hosts.telemetry import Telemetry, check_telemetry
from handler.http.service import Service
from handler.inference.classifier import CPU
from handler.inference.models import Models
from handler.inference.monitor import Monitor, dump_line
from handler.inference.prometheus import Prometheus
from handler.repository.opening import open_models
from handler.settings import Settings, read_settings

SAGEMAKER_MODEL = Path("/opt/ml/model")
CUDA = ("CUDAExecutionProvider", "CPUExecutionProvider")
MAX_PORT, MAX_WORKERS = 65535, 256
DEVICES = {"cpu": CPU, "cuda": CUDA}


def serve(
    settings: Settings,
    host: str,
    port: int,
    device: str = "cpu",
    announce: Callable[[str, Models], None] | None = None,
    workers: int | None = None,
) -> None:
    """Answer HTTP requests until a signal ends the process.

    Args:
        workers: Processes that answer; 1 is this one; None: as many as `choose_workers` says.
        announce: Called with the address and the models once requests are answered.

    Raises:
        ArtefactError: The bundle must not serve, or does not run on `device`.
        SettingsError: Nothing can listen at `host` and `port`, or what OTLP needs is not there.
        InternalError: A worker did not start.
    """
    from handler.hosts.listener import Worker, make_server
    from handler.hosts.memory import fix_mmap_threshold
    from handler.hosts.shared_counts import STORED_WORDS, SharedCounts, make_regions
    from handler.hosts.shared_socket import Loads, Share
    from handler.hosts.workers import Workers
    from handler.http.app import create_app

    workers = choose_workers(workers, device, settings.threads)
    sends = check_telemetry(settings.otlp)
    fix_mmap_threshold()

    with bind_socket(host, port) as listening:
        prometheus = Prometheus()
        monitor = Monitor(
            sys.stderr.write, prometheus=prometheus, profile_every=settings.profile_every
        )
        models = load_on(device, settings, monitor)
        app = create_app(Service(models, settings))
        if settings.events.feedback is not None:
            import boto3  # noqa: F401  # half a second that no request waits for

        def say_ready() -> None:
            if announce is not None:
                name = f"[{host}]" if ":" in host else host
                announce(f"http://{name}:{listening.getsockname()[1]}", models)

        loads = Loads(workers)
        labels = {model.name: model.describe_task().get("labels", ()) for model in models}
        regions = make_regions(workers, labels, STORED_WORDS if models.is_stored else 0)

        def log_error(message: str) -> None:
            models.monitor.log({"level": "error", "message": message})

        def work(index: int, life: int, tell: Callable[[], None]) -> None:
            prometheus.counts = SharedCounts(regions, index)
            monitor.telemetry = Telemetry(os.environ) if sends else None
            worker = Worker(Share(loads, index), life)
            make_server(app, tell, app.drain, monitor.finish, worker).run([listening])

        with suppress(KeyboardInterrupt):  # the usual way to end it
            if workers == 1:
                monitor.telemetry = Telemetry(os.environ) if sends else None
                make_server(app, say_ready, app.drain, monitor.finish).run([listening])
            else:
                Workers(workers, listening, loads, work, log_error).run(say_ready)


def choose_workers(asked: int | None, device: str, threads: int) -> int:
    """Return how many processes shall answer.

    Args:
        asked: How many were asked for; None: one for each core, or one alone where a run of the
            model has several threads or a GPU.
        device: "cpu" or "cuda".
        threads: Of one run of a model.

    Raises:
        SettingsError: Several were asked for, which a GPU or threads rule out.
    """
    if device == "cpu" and threads == 1:
        return asked or count_workers()
    if asked is not None and asked > 1:
        reason = f"MINNOW_THREADS is {threads}" if device == "cpu" else f"the device is {device!r}"
        raise SettingsError(
            f"{asked} workers were asked for (--workers, MINNOW_WORKERS), but {reason}, for which "
            "there can be 1. Each worker runs the model on one core"
        )
    return 1


def bind_socket(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address, which does not listen yet.

    Raises:
        SettingsError: The address is taken, not this machine's, or not allowed.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        found = socket.socket(family, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((host, port))
        except OSError:
            found.close()
            raise
    except socket.gaierror as error:
        raise SettingsError(f"{host}: no address of this machine. Choose one by --host") from error
    except OSError as error:
        problems = {
            errno.EADDRINUSE: f"port {port} is taken. Choose another by --port",
            errno.EACCES: f"port {port} is not allowed for you. Choose one above 1023 by --port",
        }
        other = f"cannot listen here ({error.strerror}). Choose another by --host or --port"
        raise SettingsError(f"{host}: {problems.get(error.errno or 0, other)}") from error
    return found


def load_on(device: str, settings: Settings, monitor: Monitor | None = None) -> Models:
    """Return the checked models on `device`, "cpu" or "cuda".

    Raises:
        ArtefactError: A bundle must not serve, or does not run on `device`.
    """
    import onnxruntime

    if device == "cuda":
        onnxruntime.preload_dlls(directory="")  # CUDA and cuDNN from their wheels
    # A provider that the wheel lacks is only a warning to ONNX Runtime, and so is one that does not
    # start: it goes on with the CPU.
    available = onnxruntime.get_available_providers()
    providers = [provider for provider in DEVICES[device] if provider in available]
    models = open_models(settings, monitor, providers)
    if DEVICES[device][0] not in models.default.classifier.session.get_providers():
        raise ArtefactError(
            f"the device is {device!r}, but ONNX Runtime found no {DEVICES[device][0]}: "
            "install onnxruntime-gpu in place of onnxruntime, and check the driver"
        )
    return models


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Serve as the environment says; return 1 with one line where it cannot be."""
    try:
        settings = read_settings(environment)
        is_told = "MINNOW_BUNDLE" in environment or settings.repository is not None
        if not is_told and (SAGEMAKER_MODEL / "manifest.json").is_file():
            settings = settings._replace(bundle=SAGEMAKER_MODEL)
        workers = read_workers(environment)
        device = read_device(environment)
        serve(settings, "0.0.0.0", read_port(environment), device, workers=workers)
    except HandlerError as error:
        print(dump_line({"level": "error", "message": str(error)}), file=sys.stderr)
        return 1
    return 0


def read_port(environment: Mapping[str, str]) -> int:
    """Return the port that the platform asks for; 8080, as all of them expect, by default."""
    for name in PORT_VARIABLES:
        value = environment.get(name, "")
        if value:
            if not _is_count(value, MAX_PORT):
                raise SettingsError(f"{name} is {value!r}, wanted a port, 1 to {MAX_PORT}")
            return int(value)
    return 8080


def read_workers(environment: Mapping[str, str]) -> int | None:
    """Return how many workers MINNOW_WORKERS asks for; None where it is not set."""
    value = environment.get("MINNOW_WORKERS", "")
    if not value:
        return None
    if not _is_count(value, MAX_WORKERS):
        shown = value if len(value) <= 20 else f"{value[:20]}…"
        raise SettingsError(
            f"MINNOW_WORKERS is {shown!r}, wanted a whole number from 1 to {MAX_WORKERS}"
        )
    return int(value)


def _is_count(value: str, most: int) -> bool:
    """Say whether `value` is a whole number from 1 to `most`."""
    is_number = value.isascii() and value.isdigit() and len(value) <= len(str(most))
    return is_number and 1 <= int(value) <= most


def read_device(environment: Mapping[str, str]) -> str:
    device = environment.get("MINNOW_DEVICE") or "cpu"
    if device not in DEVICES:
        raise SettingsError(f"MINNOW_DEVICE is {device!r}, wanted one of {', '.join(DEVICES)}")
    return device


if __name__ == "__main__":
    sys.exit(main())
