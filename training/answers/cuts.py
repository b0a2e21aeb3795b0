"""The rows of one label, the most probable first: what is above each threshold that parts them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

# Rows that a label's own probabilities count as, beside those that were found: the best threshold
# of twenty rows is the best one of these twenty by luck, and the probabilities are calibrated.
PRIOR_ROWS = 10.0
DIGITS = 4  # of a threshold: a hundredth of its worth is less than rows can tell
LEAST = 1e-6  # of a threshold, which is above 0


class Cuts:
    """The rows of one label, cut wherever probabilities differ: equal ones are not parted.

    Args:
        probabilities: Of the label, floats, shape (rows,).
        shares: How far each row has it, 0 to 1, shape (rows,).
        weights: What each row counts, shape (rows,).

    Attributes:
        told: float64, shape (rows,): the probabilities, the highest first.
        ends: int64, shape (cuts,): the last row above each cut.
        rows, right: float64, shape (cuts,): what the rows above each cut count, and those of them
            that have the label.
        squares: float64, shape (cuts,): the squares of what the rows above each cut count, summed.
        of_label: What all rows count that have the label, and the sum of their squares.
    """

    def __init__(self, probabilities: Floats, shares: Floats, weights: Floats) -> None:
        order = np.argsort(-probabilities, kind="stable")
        self.told, y, w = (
            np.asarray(part, np.float64)[order] for part in (probabilities, shares, weights)
        )
        self.ends = np.flatnonzero(np.append(self.told[1:] < self.told[:-1], True))
        self.rows, self.right, self.squares = (self._sum(part) for part in (w, w * y, w * w))
        self.of_label = (float(w @ y), float((w * w) @ y))
        self._weights, self._shares = w, y

    def expect(self, prior_rows: float) -> NDArray[np.float64]:
        """Return the rows above each cut that have the label, shape (cuts,), as `mix_expected` has
        them."""
        return self._sum(mix_expected(self.told, self._shares, self._weights, prior_rows))

    def _sum(self, values: Floats) -> NDArray[np.float64]:
        return np.asarray(np.cumsum(values)[self.ends])

    def threshold(self, cut: int) -> float:
        """Return a short number above 0 between the last row above the cut and the next one; at
        most the probability of the former."""
        above = float(self.told[self.ends[cut]])
        below = float(self.told[self.ends[cut] + 1]) if cut + 1 < len(self.ends) else 0.0
        middle = (below + above) / 2
        rounded = float(f"{middle:.{DIGITS}g}")
        if not below < rounded <= above:
            rounded = middle if below < middle else above
        return max(rounded, LEAST)


def mix_expected(
    probabilities: Floats, shares: Floats, weights: Floats, prior_rows: float = PRIOR_ROWS
) -> NDArray[np.float64]:
    """Return what each row counts of a label, mixed with what its probabilities expect, which count
    as so many rows of the label.

    Args:
        probabilities, shares: As `Cuts` has them; of several labels (rows, labels), as the result.
        weights: Shape (rows,).
    """
    found, expected = (
        (weights * np.asarray(part, np.float64).T).T for part in (shares, probabilities)
    )
    mixed = prior_rows / np.maximum(prior_rows + found.sum(axis=0), 1e-12)
    return np.asarray((1 - mixed) * found + mixed * expected)
