"""Lambda's Runtime API for a function that runs in several processes at once.

As on Lambda Managed Instances: Lambda's own client starts the processes, each of which asks for its
next event. Lambda's emulator has one event at a time.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.helpers.emulator import HANDLER, LAMBDA_PYTHON

WAIT_S = 120  # four processes start at once, on a machine that has other work
VERSION = "/2018-06-01/runtime/"


class Environment:
    """An execution environment: events that wait for a process, and the replies to others."""

    def __init__(self) -> None:
        self.replies: dict[str, Any] = {}
        self.failures: list[Any] = []  # of processes that could not begin
        self.changed = threading.Condition()
        self.idle = 0  # processes that wait for an event
        self._events: deque[tuple[str, bytes]] = deque()

    def invoke_at_once(self, events: list[Any]) -> list[Any]:
        """Return the replies to events of which each goes to a process of its own."""
        self.wait_for(lambda: self.idle == len(events), "not all processes wait for an event")
        return self.invoke_all(events)

    def invoke_all(self, events: list[Any]) -> list[Any]:
        """Return the replies to events that go to whichever process is free."""
        names = [str(uuid.uuid4()) for _ in events]
        with self.changed:
            for name, event in zip(names, events, strict=True):
                self._events.append((name, json.dumps(event).encode()))
            self.changed.notify_all()
        self.wait_for(lambda: self.replies.keys() >= set(names), "not all events were answered")
        return [self.replies.pop(name) for name in names]

    def wait_for(self, condition: Any, problem: str) -> None:
        """Return as soon as a condition holds; fail where it does not in time."""
        with self.changed:
            if not self.changed.wait_for(lambda: condition() or self.failures, WAIT_S):
                raise TimeoutError(problem)
            if self.failures:
                raise RuntimeError(f"a process did not begin: {self.failures}")

    def take(self) -> tuple[str, bytes]:
        """Return the next event and its name; called by one thread a process."""
        with self.changed:
            self.idle += 1
            self.changed.notify_all()
            self.changed.wait_for(lambda: self._events)
            self.idle -= 1
            return self._events.popleft()

    def put(self, path: str, reply: Any) -> None:
        """Take what a process posts: the reply to an event, or why it could not begin."""
        with self.changed:
            if path == f"{VERSION}init/error":
                self.failures.append(reply)
            else:
                self.replies[path.removeprefix(f"{VERSION}invocation/").split("/")[0]] = reply
            self.changed.notify_all()


class _Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        name, event = self.server.environment.take()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", name)
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int((time.time() + 60) * 1000)))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(event)))
        self.end_headers()
        self.wfile.write(event)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.environment.put(self.path, json.loads(body))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, environment: Environment) -> None:
        super().__init__(("127.0.0.1", 0), _Api)
        self.environment = environment


@contextlib.contextmanager
def run_processes(
    function: Path, log: Path, tmp: Path, count: int, variables: dict[str, str]
) -> Iterator[Environment]:
    """Run the function's folder in `count` processes, which begin at once and share `tmp`."""
    environment = Environment()
    server = _Server(environment)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = [str(LAMBDA_PYTHON), "-m", "awslambdaric", HANDLER]
    variables = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp),
        "TMPDIR": str(tmp),
        "LAMBDA_TASK_ROOT": str(function),
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}",
        "AWS_LAMBDA_MAX_CONCURRENCY": str(count),
        "AWS_LAMBDA_FUNCTION_NAME": "minnow",
        **variables,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=function,
            env=variables,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield environment
    finally:
        os.killpg(process.pid, 15)  # the processes too, which wait for an event without end
        process.wait(timeout=10)
        server.shutdown()
        server.server_close()
