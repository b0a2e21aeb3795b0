"""Runs a built function under Lambda's own Runtime Interface Emulator and runtime client."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handler.package import RUNTIME
from tests.helpers.ports import free_ports

ROOT = Path(__file__).parents[2]
SAM = ROOT / ".venv-sam" / "bin" / "sam"
# For another runtime or processor than the template's, `make` names another environment.
LAMBDA_PYTHON = ROOT / os.environ.get("LAMBDA_VENV", f".venv-lambda-{RUNTIME}") / "bin" / "python"
BASE_IMAGE = f"public.ecr.aws/lambda/python:{RUNTIME.removeprefix('python')}"
HANDLER = "handler.function.handler"
INVOKE_PATH = "/2015-03-31/functions/function/invocations"
START_TIMEOUT_S = 90  # the emulator listens within 0.1 s; `sam local` first builds an image


@dataclass(frozen=True)
class Emulator:
    """A running emulator; the function starts at its first invocation."""

    port: int
    log: Path

    def invoke(self, event: Any) -> Any:
        """Return the function's reply to one event, parsed; None if its process was killed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", INVOKE_PATH, json.dumps(event))
            body = connection.getresponse().read()
            return json.loads(body) if body else None

    def invoke_when_ready(self, event: Any) -> Any:
        """Invoke as soon as the emulator answers: a container's proxy connects before that."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                return self.invoke(event)
            except (OSError, http.client.HTTPException):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


@contextlib.contextmanager
def run_emulator(
    function: Path,
    log: Path,
    environment: dict[str, str] | None = None,
    within: Sequence[str] = (),
) -> Iterator[Emulator]:
    """Serve the function's folder on a free port; its logs go to the file `log`.

    Args:
        within: The command that runs the emulator, if any.
    """
    port, runtime_port = free_ports(2)
    command = [
        *within,
        find_emulator(),
        "--log-level",
        "info",
        "--runtime-interface-emulator-address",
        f"127.0.0.1:{port}",
        "--runtime-api-address",
        f"127.0.0.1:{runtime_port}",
        *(str(LAMBDA_PYTHON), "-m", "awslambdaric", HANDLER),
    ]
    variables = {
        "PATH": "/usr/bin:/bin",
        "LAMBDA_TASK_ROOT": str(function),
        "AWS_REGION": "eu-central-1",
        "AWS_LAMBDA_FUNCTION_NAME": "minnow",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        **(environment or {}),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=function, env=variables, stdout=output, stderr=output
        )
    try:
        wait_for_port(port, process, log)
        yield Emulator(port, log)
    finally:
        process.terminate()
        process.wait(timeout=10)


def find_emulator() -> str:
    """Return the path of the emulator, which aws-sam-cli carries."""
    machine = {"x86_64": "x86_64", "aarch64": "arm64"}[os.uname().machine]
    (found,) = SAM.parents[1].glob(
        f"lib/*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}"
    )
    return str(found)


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once something listens on the port; fail with the log if the process ends first."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port}: {log.read_text()[-2000:]}")
