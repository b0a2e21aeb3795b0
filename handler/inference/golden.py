"""The last check before a bundle serves: a text whose outputs are known, run within bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from handler.errors import ArtefactError
from handler.inference.manifest import Manifest
from handler.inference.padding import feed

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A batch of an int8 model shares the scales of its activations, so that a row is not what it is
# alone: as in `export/verify.py`, a share of the task's `output_scale`.
BATCH_ATOL = 0.12


def check_interface(
    session: onnxruntime.InferenceSession, manifest: Manifest, reads_letters: bool
) -> None:
    """Raise ArtefactError unless the graph has the inputs of its tokenizer and the output of its
    task."""
    try:
        found = [_describe(arg) for arg in (*session.get_inputs(), *session.get_outputs())]
    except UnicodeDecodeError as error:
        raise ArtefactError("the graph's inputs or outputs have names that are no text.") from error
    columns = manifest.task.num_outputs
    wanted = [
        "token_ids tensor(int32) [*, *]",
        *["letters tensor(int32) [*, *]"] * reads_letters,
        f"outputs tensor(float) [*, {columns}]",
    ]
    if found != wanted:
        also = " and letters" if reads_letters else ""
        shown = ascii("; ".join(found))[1:-1][:200]
        raise ArtefactError(
            f"the graph has {shown}, wanted token_ids int32 (batch, length){also} and "
            f"outputs float32 (batch, {columns}), as the task has {columns} outputs."
        )


def check_golden(
    session: onnxruntime.InferenceSession,
    manifest: Manifest,
    row: Sequence[int],
    last_id: int,
    reads_letters: bool,
    options: onnxruntime.RunOptions,
) -> None:
    """Raise ArtefactError unless the golden text gets its outputs, alone and beside another one.

    Args:
        row: `Encoding.row` of the golden text.
        last_id: The last word's, which the graph must have a row for as for all before.
        reads_letters: Unknown words are spelled for the graph.
        options: Of the runs.
    """
    beside = [last_id] * (2 if len(row) == 1 else 1)  # of another length
    for rows in ([row], [row, beside]):
        batch = feed(rows, manifest.pad_id, reads_letters)
        try:
            (outputs,) = session.run(None, batch, options)
        except Exception as error:  # ONNX Runtime has bare subclasses of its own
            raise ArtefactError(
                f"the golden text cannot be run ({type(error).__name__}), or not within the time "
                "and memory that loading may take."
            ) from error
        _check_outputs(outputs, len(rows), manifest)


def _check_outputs(outputs: NDArray[np.float32], num_rows: int, manifest: Manifest) -> None:
    golden, task = manifest.golden, manifest.task
    if outputs.shape != (num_rows, task.num_outputs):
        raise ArtefactError(
            f"the model gives outputs of the shape {outputs.shape} for {num_rows} texts, wanted "
            f"{(num_rows, task.num_outputs)}."
        )
    found = outputs.tolist()
    for row in found:
        if flaw := task.find_flaw(row):
            raise ArtefactError(f"the golden text's outputs: a row {flaw}.")
    atol = golden.atol if num_rows == 1 else max(golden.atol, BATCH_ATOL * task.output_scale)
    gaps = [abs(value - wanted) for value, wanted in zip(found[0], golden.outputs, strict=True)]
    if not all(gap <= atol for gap in gaps):  # also of NaN
        raise ArtefactError(
            f"the golden text's outputs are off by {max(gaps):.4f}, at most {atol:g} is allowed: "
            "this machine computes something else than that of the export did."
        )


def _describe(arg: onnxruntime.NodeArg) -> str:
    """Return "token_ids tensor(int32) [*, *]"; a star for a dimension that is open."""
    dims = [str(dim) if isinstance(dim, int) else "*" for dim in arg.shape]
    return f"{arg.name} {arg.type} [{', '.join(dims)}]"
