"""ONNX Runtime's own graph optimisations, done once at export instead of at every start."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from handler.files import count_free

# As in handler/inference/classifier.py: ONNX Runtime's wheels report to Microsoft unless told not
# to before the import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidProtobuf  # noqa: E402


def optimize_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model` with constants folded and nodes fused.

    Level EXTENDED, not ALL: the last level lays tensors out for the CPU at hand.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimized.onnx"
        options.optimized_model_filepath = str(path)
        try:
            onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except InvalidProtobuf as error:  # of what it writes: what it reads is a model
            reason = f"the graph cannot be written there, of which {count_free(path) / 1e6:,.2f} MB"
            reason += " are free. Make room, or name another folder by TMPDIR"
            raise OSError(errno.EIO, reason, folder) from error
        return onnx.load(path)
