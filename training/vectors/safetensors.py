"""Tensors of a safetensors file: the length of a JSON header in 8 bytes, the header, raw values.

https://github.com/huggingface/safetensors describes the format. One page here is less than a
dependency, and the library loads tensors whole.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError
from training.vectors.source import FETCH_AGAIN

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 16 << 20  # a header has a hundred bytes for each tensor
# bfloat16 is the upper half of a float32, which NumPy has no name for.
BFLOAT16 = "BF16"
TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    BFLOAT16: "<u2",
    "I8": "|i1",
    "I32": "<i4",
    "I64": "<i8",
}


def is_safetensors(head: bytes) -> bool:
    """Say whether a file that begins so is of this format."""
    length = int.from_bytes(head[:LENGTH_BYTES], "little")
    return head[LENGTH_BYTES : LENGTH_BYTES + 1] == b"{" and 2 <= length < 1 << 40


class TensorFile:
    """The tensors of a file, none of which is read before it is asked for.

    Raises:
        DataError: The header is broken, or too long to be one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self._size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            self._begin = LENGTH_BYTES + length
            if length > MAX_HEADER_BYTES or self._begin > self._size:
                raise self._fault(f"its first 8 bytes say a header of {length:,} bytes")
            header = file.read(length)
        try:
            document = json.loads(header)
        except (ValueError, RecursionError):
            raise self._fault("its header is no JSON") from None
        if not isinstance(document, dict):
            raise self._fault("its header is no JSON object")
        self._tensors: dict[str, Any] = document
        self.names = sorted(name for name in document if name != "__metadata__")

    def open_tensor(self, name: str) -> NDArray[Any]:
        """Return a tensor as a view of the file; bfloat16 as uint16.

        Raises:
            DataError: It is of another kind, or its place is not one in the file.
        """
        fields = self._tensors.get(name)
        fields = fields if isinstance(fields, dict) else {}
        shape, offsets = _read_counts(fields.get("shape")), _read_counts(fields.get("data_offsets"))
        kind = fields.get("dtype")
        if not isinstance(kind, str) or kind not in TYPES:
            raise self._fault(f"tensor {name!r} has no type of {', '.join(TYPES)}")
        if shape is None or offsets is None or len(offsets) != 2:
            raise self._fault(f"tensor {name!r} has no shape or data_offsets")
        dtype = np.dtype(TYPES[kind])
        begin, end = (self._begin + offset for offset in offsets)
        if end > self._size or end - begin != math.prod(shape) * dtype.itemsize:
            raise self._fault(
                f"tensor {name!r} of shape {shape} does not fill bytes {begin:,} to {end:,} of "
                f"{self._size:,}"
            )
        if begin == end:
            raise self._fault(f"tensor {name!r} of shape {shape} holds nothing")
        return np.memmap(self.path, dtype, "r", begin, shape)

    def open_matrix(self, name: str) -> NDArray[Any]:
        """Return a tensor of two axes, as `open_tensor` does."""
        tensor = self.open_tensor(name)
        if tensor.ndim != 2:
            raise self._fault(f"tensor {name!r} has shape {tensor.shape}, wanted two axes")
        return tensor

    def read_rows(self, name: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return rows of a matrix as float32, shape (rows, columns)."""
        values = self.open_matrix(name)[rows]
        if self._tensors[name]["dtype"] == BFLOAT16:
            return (values.astype(np.uint32) << 16).view(np.float32)
        return values.astype(np.float32)

    def _fault(self, problem: str) -> DataError:
        return DataError(
            f"{self.path}: is damaged, or no safetensors: {problem[:400]}. {FETCH_AGAIN}"
        )


def _read_counts(value: Any) -> tuple[int, ...] | None:
    """Return a list of counts; None for anything else."""
    is_one = isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)
    return tuple(value) if is_one else None
