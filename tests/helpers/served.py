"""`minnow serve` in a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from tests.helpers.raw_http import WAIT_S


class Served:
    """A server that runs: its port and process, its log once it has ended."""

    def __init__(self, process, port, log):
        self.process = process
        self._log = log
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.log = []

    def end(self, number=signal.SIGTERM):
        """Tell it to end; return how many seconds that took."""
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout=WAIT_S)
        passed = time.monotonic() - started
        self._log.seek(0)
        self.log = [json.loads(line) for line in self._log]
        return passed

    def workers(self):
        """Return the processes that answer beside the first."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(number) for number in children.split()]

    def memory_bytes(self):
        """Return what is resident in the first process, and in its workers beside it."""
        resident = read_sizes(self.process.pid, "Rss")
        return resident + sum(read_sizes(each, "Private_") for each in self.workers())


def read_sizes(process, field):
    """Return the bytes of a process's memory, of all kinds whose name begins so."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


@contextmanager
def serve_bundle(bundle, prefix=(), workers=1, python=sys.executable, cwd=None, **environment):
    """Serve `bundle`; at the end its log must be our own lines, none of them an error."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [*prefix, str(python), "-m", "minnow", "serve", str(bundle), "--port", str(port)]
    command += ["--workers", str(workers)]
    with tempfile.TemporaryFile("w+") as log:  # a pipe that nobody reads would fill up
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        yield from watch(Served(process, port, log))


def watch(served):
    process, port = served.process, served.port
    try:
        wait_until_answered(process, port)
        yield served
        if process.poll() is None:
            served.end()
        errors = [line for line in served.log if line["level"] not in ("info", "warning")]
        assert errors == [], errors[:3]
    finally:
        process.kill()
        process.wait()


def wait_until_answered(process, port):
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("nothing answers")
