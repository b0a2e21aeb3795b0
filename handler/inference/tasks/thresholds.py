"""Thresholds of a single label: which label an answer is where it is not the most probable one.

`{"spam": 0.31}`: spam from a probability of 0.31 on, else the most probable of the other labels.
Where several labels are over their thresholds, the answer is the one that is so by the largest
factor; where every label has a threshold and none is over it, likewise. So thresholds of all labels
are what probabilities are divided by before the largest is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from handler.errors import ArtefactError
from handler.inference.checks import number, refuse, show

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]


def read_thresholds(value: object, field: str) -> dict[str, float]:
    """Return thresholds as a manifest may hold them: of one label or more, over 0, at most 1."""
    if not isinstance(value, dict) or not value:
        refuse(field, value, "an object with a threshold for one label or more")
    thresholds = {}
    for label, threshold in value.items():
        thresholds[label] = number(threshold, f"{field}[{show(label)}]")
        if not 0 < thresholds[label] <= 1:
            refuse(f"{field}[{show(label)}]", threshold, "more than 0 and at most 1")
    return thresholds


class Decision:
    """Which label a row of probabilities answers.

    Args:
        labels: In the order of the columns.
        thresholds: Label -> its threshold.

    Raises:
        ArtefactError: A threshold of no label.
    """

    def __init__(self, labels: Sequence[str], thresholds: Mapping[str, float]) -> None:
        known = set(labels)
        if unknown := [label for label in thresholds if label not in known]:
            raise ArtefactError(f"task.thresholds names {show(unknown[0])}, which is no label.")
        self._levels = [
            (column, thresholds[label])
            for column, label in enumerate(labels)
            if label in thresholds
        ]
        self._others = [column for column, label in enumerate(labels) if label not in thresholds]

    def choose(self, row: Sequence[float]) -> int:
        """Return the column of the answer."""
        factors = {column: row[column] / level for column, level in self._levels}
        over = {column: factors[column] for column, level in self._levels if row[column] >= level}
        if not over and self._others:
            return max(self._others, key=row.__getitem__)
        candidates = over or factors
        return max(candidates, key=candidates.__getitem__)

    def choose_all(self, outputs: Floats) -> NDArray[np.int64]:
        """Return the column of each answer, int64, shape (rows,).

        Args:
            outputs: Shape (rows, columns).
        """
        import numpy as np

        levels = self._spread()
        factors = outputs.astype(np.float64) / levels  # 0 of labels without a threshold
        is_over = outputs >= levels
        if not self._others:
            return np.asarray(factors.argmax(axis=1))
        likeliest = np.asarray(self._others)[outputs[:, self._others].argmax(axis=1)]
        largest = np.where(is_over, factors, -1.0).argmax(axis=1)
        return np.asarray(np.where(is_over.any(axis=1), largest, likeliest))

    def measure_margins(self, outputs: Floats) -> Floats:
        """Return how much an output must change before the answer can, shape (rows,): the distance
        to the nearest threshold, to the next label without one, or of the two largest factors.

        Args:
            outputs: Shape (rows, columns).
        """
        import numpy as np

        outputs, levels = outputs.astype(np.float64), self._spread()
        columns, lowest = [column for column, _ in self._levels], levels.min()
        factors = np.sort(outputs[:, columns] / levels[columns], axis=1)
        if not self._others:
            return np.asarray((factors[:, -1] - factors[:, -2]) * lowest)
        margins = np.abs(outputs[:, columns] - levels[columns]).min(axis=1)
        is_over = (outputs[:, columns] >= levels[columns]).any(axis=1)
        if len(columns) > 1:
            between = (factors[:, -1] - factors[:, -2]) * lowest
            margins = np.where(is_over, np.minimum(margins, between), margins)
        if len(self._others) > 1:
            others = np.sort(outputs[:, self._others], axis=1)
            gaps = others[:, -1] - others[:, -2]
            margins = np.where(is_over, margins, np.minimum(margins, gaps))
        return np.asarray(margins)

    def _spread(self) -> NDArray[np.float64]:
        """Return the threshold of each column, infinite of labels without one."""
        import numpy as np

        levels = np.full(len(self._levels) + len(self._others), np.inf)
        for column, level in self._levels:
            levels[column] = level
        return levels
