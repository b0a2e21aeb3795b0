"""The last check before a bundle serves: a text whose outputs are known, run within bounds."""

from __future__ import annotations

import _thread
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from handler.errors import ArtefactError
from handler.inference.manifest import Manifest
from handler.inference.padding import pad

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A batch of an int8 model shares the scales of its activations, so that a row is not what it is
# alone: as in `export/verify.py`, a share of the task's `output_scale`.
BATCH_ATOL = 0.12
# What two dozen tokens may take: a run of the shipped model takes a millisecond and 1 MB. Operators
# that are harmless one by one can double a tensor thirty times.
MAX_MEMORY_BYTES = 64 << 20
MAX_PROCESSOR_S = 1.0
WATCH_S = 0.1  # between two looks at the clock


def check_interface(session: onnxruntime.InferenceSession, manifest: Manifest) -> None:
    """Raise ArtefactError unless the graph has the input and the output of its task."""
    found = [_describe(arg) for arg in (*session.get_inputs(), *session.get_outputs())]
    columns = manifest.task.num_outputs
    wanted = [
        "token_ids tensor(int32) [*, *]",
        f"outputs tensor(float) [*, {columns}]",
    ]
    if found != wanted:
        shown = ascii("; ".join(found))[1:200]
        raise ArtefactError(
            f"the graph has {shown}, wanted token_ids int32 (batch, length) and outputs float32 "
            f"(batch, {columns}), as the task has {columns} outputs."
        )


def check_golden(
    session: onnxruntime.InferenceSession,
    manifest: Manifest,
    token_ids: Sequence[int],
    last_id: int,
) -> None:
    """Raise ArtefactError unless the golden text gets its outputs, alone and beside another one.

    Args:
        token_ids: Of the golden text.
        last_id: The last word's, which the graph must have a row for as for all before.
    """
    beside = [last_id] * (2 if len(token_ids) == 1 else 1)  # of another length
    with _bounds() as options:
        for rows in ([token_ids], [token_ids, beside]):
            try:
                batch = {"token_ids": pad(rows, manifest.pad_id)}
                (outputs,) = session.run(None, batch, options)
            except Exception as error:  # ONNX Runtime has bare subclasses of its own
                raise ArtefactError(
                    f"the golden text cannot be run ({type(error).__name__}), or takes over "
                    f"{MAX_PROCESSOR_S:g} s or {MAX_MEMORY_BYTES >> 20} MB."
                ) from error
            _check_outputs(outputs, len(rows), manifest)


def _check_outputs(outputs: NDArray[np.float32], num_rows: int, manifest: Manifest) -> None:
    golden, task = manifest.golden, manifest.task
    if outputs.shape != (num_rows, task.num_outputs):
        raise ArtefactError(
            f"the model gives outputs of the shape {outputs.shape} for {num_rows} texts, wanted "
            f"{(num_rows, task.num_outputs)}."
        )
    for row in outputs.tolist():
        if flaw := task.find_flaw(row):
            raise ArtefactError(f"the golden text's outputs: a row {flaw}.")
    atol = golden.atol if num_rows == 1 else max(golden.atol, BATCH_ATOL * task.output_scale)
    worst = float(np.max(np.abs(outputs[0] - np.asarray(golden.outputs, np.float32))))
    if not worst <= atol:  # also true of NaN
        raise ArtefactError(
            f"the golden text's outputs are off by {worst:.4f}, at most {atol:g} is allowed. The "
            "model does not compute on this machine what it computed at export: export it again, "
            "or serve on another kind of CPU."
        )


def _describe(arg: onnxruntime.NodeArg) -> str:
    """Return "token_ids tensor(int32) [*, *]"; a star for a dimension that is open."""
    dims = [str(dim) if isinstance(dim, int) else "*" for dim in arg.shape]
    return f"{arg.name} {arg.type} [{', '.join(dims)}]"


@contextmanager
def _bounds() -> Iterator[onnxruntime.RunOptions]:
    """Yield the options of runs that end when they take too much time, or fail for memory."""
    options, running = onnxruntime.RunOptions(), _thread.allocate_lock()
    begun = time.process_time()  # not the clock's: this process may have to wait for others

    def watch() -> None:
        while not running.acquire(timeout=WATCH_S):
            if time.process_time() - begun > MAX_PROCESSOR_S:
                options.terminate = True  # at the next node

    with running:
        _thread.start_new_thread(watch, ())  # threading waits until it runs: milliseconds
        with _limit_memory():
            yield options


@contextmanager
def _limit_memory() -> Iterator[None]:
    """Let this process take so many bytes more, where the system can hold it to that."""
    try:
        import resource

        with open("/proc/self/statm", "rb") as file:
            pages = int(file.read().split()[5])
    except (ImportError, OSError):  # not Linux
        yield
        return
    before = soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = pages * resource.getpagesize() + MAX_MEMORY_BYTES
    if soft != resource.RLIM_INFINITY:
        most = min(most, soft)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
