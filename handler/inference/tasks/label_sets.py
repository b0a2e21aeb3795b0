"""Label sets: all labels that are likely enough, so many that one of them is the true one as often
as was asked.

Split conformal prediction with the least ambiguous sets (Sadinle, Lei & Wasserman, JASA 2019): a
set holds each label whose probability reaches a threshold. The thresholds are those that the true
label of held-out rows reaches in ceil((rows + 1) * coverage) of them, so that of a new row like
these it does so with that probability or more. Settled at training for a table of coverages.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from handler.errors import ArtefactError
from handler.inference.checks import array, number, refuse
from handler.inference.tasks.scope import read_share

MAX_COVERAGES = 200


class LabelSets:
    """The thresholds of label sets.

    Args:
        table: (coverage, threshold), the coverages rising and the thresholds falling.
    """

    def __init__(self, table: Sequence[Sequence[float]]) -> None:
        self.table = tuple((coverage, threshold) for coverage, threshold in table)
        self._coverages = [coverage for coverage, _ in self.table]

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest coverage that can be asked for."""
        return self._coverages[0], self._coverages[-1]

    def describe(self) -> list[list[float]]:
        """Return the manifest's field `label_sets`."""
        return [list(pair) for pair in self.table]

    def find_threshold(self, coverage: float) -> float:
        """Return the threshold of a coverage between the ends, of one that is not in the table
        that of the next higher one: it is kept, and a little more."""
        return self.table[bisect_left(self._coverages, coverage)][1]


def read_label_sets(value: Any, field: str) -> LabelSets:
    """Return the label sets that a manifest describes.

    Raises:
        ArtefactError: Pairs that cannot be such a table.
    """
    table = array(array(number, 2, least=2), MAX_COVERAGES, least=1)(value, field)
    before = (0.0, 1.0)
    for index, (coverage, threshold) in enumerate(table):
        place = f"{field}[{index}]"
        read_share(coverage, f"{place}[0]")
        if not 0 <= threshold <= 1:
            refuse(f"{place}[1]", threshold, "a probability")
        if coverage <= before[0] or threshold > before[1]:
            raise ArtefactError(
                f"{place} does not go on the table: wanted rising coverages, falling thresholds."
            )
        before = (coverage, threshold)
    return LabelSets(table)
