"""How far the truth is from a number: split conformal prediction.

Vovk et al., "Algorithmic Learning in a Random World" (2005); Lei et al., "Distribution-Free
Predictive Inference for Regression" (JASA 2018). Of rows that the model was not fitted to, the
interval's radius is the ceil((n + 1) · coverage)-th smallest error, so that a new text's truth is
inside with at least that probability, whatever the model. Rows are parted by what the model says
of them, and each part has a radius of its own, for which the same holds (Mondrian conformal
prediction): a text between two heaps of answers is less certain than one inside a heap.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_PARTS = 10
ROWS_PER_PART = 150  # the coverage of so many is off by 2.4 points at one standard error


def find_interval(
    outputs: NDArray[np.floating[Any]], errors: NDArray[np.floating[Any]], coverage: float
) -> dict[str, Any] | None:
    """Return the fields of `Interval` (`handler/inference/tasks/regression.py`); None where there
    are too few rows for any finite radius.

    Args:
        outputs: Of rows that the model was not fitted to, shape (rows,).
        errors: How far such a model's answers are from the truth, above 0 or below, shape (rows,).
        coverage: Share of the truths that are to be inside, above 0 and below 1.
    """
    outputs, errors = np.asarray(outputs, np.float64), np.abs(np.asarray(errors, np.float64))
    num_parts = max(1, min(MAX_PARTS, len(outputs) // ROWS_PER_PART))
    shares = np.arange(1, num_parts) / num_parts
    edges = np.unique(np.quantile(outputs, shares)) if len(shares) else np.empty(0)
    parts = np.searchsorted(edges, outputs, side="right")
    radii = [find_radius(errors[parts == part], coverage) for part in range(len(edges) + 1)]
    if None in radii:  # equal answers, which are one part, leave another without rows
        edges, radii = np.empty(0), [find_radius(errors, coverage)]
    if radii[0] is None:
        return None
    return {"coverage": coverage, "edges": edges.tolist(), "radii": radii}


def find_radius(errors: NDArray[np.floating[Any]], coverage: float) -> float | None:
    """Return the ceil((n + 1) · coverage)-th smallest of n errors; None where there are fewer."""
    place = math.ceil(round((len(errors) + 1) * coverage, 9))
    return float(np.partition(errors, place - 1)[place - 1]) if place <= len(errors) else None
