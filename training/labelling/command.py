"""A labeller that is a command: JSON Lines in, JSON Lines out, in the same order."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, cast

from training.errors import LabellingError
from training.labelling.labeller import BatchFailure, Probabilities, Problem, read_reply

REPLY_BYTES = 64 << 20  # of one batch: a command that never ends its output must not fill memory


class CommandLabeller:
    """Starts the command for each batch, and ends it after `timeout_s`.

    Args:
        command: Words as a shell splits them; no shell is asked.
        labels: In whose order the probabilities stand.
        timeout_s: For a batch.
    """

    def __init__(self, command: str, labels: Sequence[str], timeout_s: float) -> None:
        try:
            self.words = shlex.split(command)
        except ValueError:
            self.words = []
        if not self.words:
            raise LabellingError(
                "--with: wanted a command, or openai:URL; a quote that is not closed is none."
            )
        self.labels = labels
        self.timeout_s = timeout_s
        digest = hashlib.sha256(json.dumps(self.words).encode()).hexdigest()
        self.identity = {"command": digest}  # not itself: it may hold a key
        self.name = f"command-{digest[:12]}"
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._is_closed = False

    def ask(self, texts: Sequence[str]) -> list[Probabilities | Problem]:
        lines = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
        output = self._run("".join(f"{line}\n" for line in lines).encode())
        replies = [line for line in output.split(b"\n") if line.strip()]
        if len(replies) != len(texts):
            raise BatchFailure(
                f"the command wrote {len(replies)} lines for a batch of {len(texts)} texts"
            )
        return [read_reply(line, self.labels) for line in replies]

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            for process in self._running:
                _kill(process)

    def _run(self, content: bytes) -> bytes:
        """Return what the command writes; its errors go where ours go."""
        process = self._start()
        is_late = threading.Event()

        def end() -> None:
            is_late.set()
            _kill(process)

        timer = threading.Timer(self.timeout_s, end)
        timer.daemon = True
        timer.start()
        try:
            with process:
                inner, outer = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
                writer = threading.Thread(target=_write, args=(inner, content), daemon=True)
                writer.start()
                output = outer.read(REPLY_BYTES + 1)
                if len(output) > REPLY_BYTES:
                    _kill(process)
                writer.join()
        finally:
            timer.cancel()
            with self._lock:
                self._running.discard(process)
        if is_late.is_set():
            raise BatchFailure(f"the command took more than {self.timeout_s:g} s")
        if len(output) > REPLY_BYTES:
            raise BatchFailure(f"the command wrote more than {REPLY_BYTES} bytes")
        if process.returncode:
            raise BatchFailure(f"the command ended with {_describe_end(process.returncode)}")
        return output

    def _start(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._is_closed:
                raise BatchFailure("the run was stopped")
            try:
                process = subprocess.Popen(
                    self.words,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    start_new_session=True,  # so that it can be ended with all that it started
                )
            except OSError as error:
                raise LabellingError(
                    f"--with: the command cannot be started: {error.strerror}. Pipes and variables "
                    "of a shell need one: --with \"sh -c '...'\""
                ) from None
            self._running.add(process)
        return process


def _write(stream: IO[bytes], content: bytes) -> None:
    with suppress(OSError, ValueError):  # it reads no more, or has ended
        stream.write(content)
    with suppress(OSError, ValueError):
        stream.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):  # it has ended
        os.killpg(process.pid, signal.SIGKILL)


def _describe_end(code: int) -> str:
    return f"exit status {code}" if code > 0 else f"signal {-code}"
