"""Weights as integers and their scales."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MICROSOFT = "com.microsoft"  # domain of ONNX Runtime's own nodes
# Weights up to +-64 where the whole range has 127: CPUs without VNNI add pairs of uint8 x int8
# products in 16 bits, and 2 x 255 x 127 does not fit. 2 x 255 x 64 = 32640 does, so every CPU
# computes the same.
REDUCED_RANGE = 64
FULL_RANGE = 127


def quantize_rows(
    weights: NDArray[np.float32], highest: int = FULL_RANGE, axis: int = -1
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return symmetric integers and their scales, one scale for each slice along `axis`.

    values * scales is at most half a step (scale / 2) from `weights`. A slice of zeros gets
    scale 1.

    Args:
        weights: Any shape, float32.
        highest: Largest integer to use.

    Returns:
        Values, int8, of the shape of `weights`; scales, float32, of that shape but for `axis`,
        which is 1.
    """
    largest = np.abs(weights).max(axis=axis, keepdims=True)
    scales = np.where(largest > 0, largest / highest, 1).astype(np.float32)
    values = np.clip(np.rint(weights / scales), -highest, highest).astype(np.int8)
    return values, scales
