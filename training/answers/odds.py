"""Log odds of probabilities, as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.tasks import EPSILON

Floats = NDArray[np.floating[Any]]


def log_odds(shares: Floats) -> Floats:
    """Return log(p / (1 - p)) of each, of p no nearer than `EPSILON` to 0 and 1; the same shape."""
    kept = np.clip(shares, EPSILON, 1 - EPSILON)
    return np.asarray(np.log(kept) - np.log1p(-kept))
