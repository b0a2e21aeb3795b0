"""Workers that train one model together, by TensorFlow's collective operations.

Worker 0 is the chief: it fits what is fitted to a sample, and writes the run. What is said to all
goes the same way as gradients do, so no disk need be shared.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.errors import RunError, SettingsError
from training.progress import interruptible

TF_CONFIG = "TF_CONFIG"  # the variable in which TensorFlow is told of the workers
CHUNK = 1 << 22  # numbers that are summed at a time: a sum needs its memory several times
TOGETHER = "Start all workers again, with the same commands."


class Team:
    """The workers, seen from one of them. Every one must call the same methods in the same order.

    Args:
        addresses: HOST:PORT of each worker; none: there is one, which needs no port.
        number: Of this one, from 0.
    """

    def __init__(self, addresses: Sequence[str] = (), number: int = 0) -> None:
        import tensorflow as tf

        self.size = max(1, len(addresses))
        self.number = number
        self._addresses = addresses
        if self.size == 1:
            self.strategy = tf.distribute.get_strategy()
            return
        cluster = {"cluster": {"worker": list(addresses)}}
        os.environ[TF_CONFIG] = json.dumps(cluster | {"task": {"type": "worker", "index": number}})
        try:
            with _killable():
                self.strategy = tf.distribute.MultiWorkerMirroredStrategy()
        except tf.errors.OpError as error:
            raise RunError(
                f"worker {number}: cannot listen at {addresses[number]}: the port is taken, or is "
                "not this machine's. Give all workers other --workers."
            ) from error
        devices = self.strategy.num_replicas_in_sync / self.size
        if devices > 1:
            raise SettingsError(
                f"worker {number}: sees {devices:g} GPUs, wanted one. Start a worker for each, "
                "with CUDA_VISIBLE_DEVICES=0, CUDA_VISIBLE_DEVICES=1, …"
            )
        self._sum = tf.function(self._trace_sum, reduce_retracing=True)

    @property
    def is_chief(self) -> bool:
        return self.number == 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Turn what TensorFlow raises where a worker is gone into one sentence."""
        import tensorflow as tf

        try:
            yield
        except tf.errors.OpError as error:
            if self.size == 1:
                raise
            others = [one for n, one in enumerate(self._addresses) if n != self.number]
            raise RunError(
                f"worker {self.number}: another worker is gone ({', '.join(others)}): it has ended "
                f"or cannot be reached. Look there for the reason. {TOGETHER}"
            ) from error

    def _trace_sum(self, part: Any) -> Any:
        return self.strategy.run(add_up, args=(part,))

    def sum(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Return the sum of what all workers have: numbers of one shape and type, 4 bytes each or
        8."""
        if self.size == 1:
            return numbers
        import tensorflow as tf

        flat, total = numbers.ravel(), np.empty(numbers.size, numbers.dtype)

        def add_parts() -> None:
            for start in range(0, flat.size, CHUNK):
                part = tf.constant(flat[start : start + CHUNK])
                total[start : start + CHUNK] = self._sum(part).numpy()

        with self.watching():
            interruptible(add_parts)  # others may take hours until they add something
        return total.reshape(numbers.shape)

    def gather(self, content: bytes) -> list[bytes]:
        """Return what each worker has, by their numbers."""
        if self.size == 1:
            return [content]
        lengths = np.zeros(self.size, np.int64)
        lengths[self.number] = len(content)
        lengths = self.sum(lengths)
        starts = np.cumsum(lengths) - lengths
        own = int(starts[self.number])
        everything = np.zeros(int(lengths.sum()), np.uint8)
        for first in range(0, everything.size, CHUNK):
            part = np.zeros(min(CHUNK, everything.size - first), np.int32)
            begin, end = max(first, own), min(first + part.size, own + len(content))
            if begin < end:
                piece = content[begin - own : end - own]
                part[begin - first : end - first] = np.frombuffer(piece, np.uint8)
            everything[first : first + part.size] = self.sum(part)
        return [
            everything[start : start + length].tobytes()
            for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
        ]

    def share(self, content: bytes = b"") -> bytes:
        """Return what the chief has; the others give nothing."""
        return self.gather(content if self.is_chief else b"")[0]


@contextmanager
def _killable() -> Iterator[None]:
    """Let Ctrl-C end the process at once, where TensorFlow waits and does not look for it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def add_up(own: Any) -> Any:
    """Return the sum of what all workers have; to be called by `strategy.run`."""
    import tensorflow as tf

    # A copy: what comes from outside has no device, by which the sum would be found.
    return tf.distribute.get_replica_context().all_reduce("SUM", tf.identity(own))


def read_team(
    workers: str | None, number: int | None, environ: Mapping[str, str]
) -> tuple[list[str], int]:
    """Return (addresses, number) of a team, for `Team`.

    Args:
        workers: "HOST:PORT,HOST:PORT", as `--workers` gives it; None: what TF_CONFIG tells.
        number: Of this worker.

    Raises:
        SettingsError: They are no addresses, or there is no worker of that number.
    """
    if workers is None:
        if number is not None:
            raise SettingsError(f"--worker is {number}, of which --workers? Name all of them.")
        return _read_config(environ.get(TF_CONFIG, ""))
    addresses = [address.strip() for address in workers.split(",")]
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise SettingsError(
                f"--workers has {address!r}, wanted HOST:PORT of each worker with commas between, "
                "such as 10.0.0.1:2222,10.0.0.2:2222."
            )
    if len({*addresses}) < len(addresses):
        raise SettingsError("--workers names one address twice.")
    if number is None or not 0 <= number < len(addresses):
        shown = "not given" if number is None else str(number)
        raise SettingsError(
            f"--worker is {shown}, wanted which of --workers this one is, 0 to {len(addresses) - 1}"
        )
    return addresses, number


def _read_config(config: str) -> tuple[list[str], int]:
    if not config:
        return [], 0
    try:
        found = json.loads(config)
        kinds, task = found["cluster"], found["task"]
        addresses = [str(address) for address in kinds["worker"]]
        number = int(task["index"])
        is_good = {*kinds} == {"worker"} and task["type"] == "worker"
        is_good = is_good and 0 <= number < len(addresses)
    except (KeyError, TypeError, ValueError):
        is_good = False
    if not is_good:
        raise SettingsError(
            f"{TF_CONFIG}: is no cluster of workers alone, wanted "
            '{"cluster": {"worker": ["HOST:PORT", …]}, "task": {"type": "worker", "index": 0}}. '
            "Mend it, or unset it and name --workers and --worker."
        )
    return addresses, number
