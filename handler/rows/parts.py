"""Parts of a file's rows, for processes that share its scoring.

Rows go to the parts in turn, in stripes as long as a block: nothing has to be known of the file
beforehand, parts are of the same size, and each process finds its own by counting.
"""

from __future__ import annotations

from typing import NamedTuple

STRIPE_ROWS = 1024  # as many as of a block, so that most blocks are whole stripes


class Part(NamedTuple):
    """The rows of a file that one process scores: every `num_parts`-th stripe.

    Args:
        number: From 0.
        num_parts: Parts of the file; 1: all its rows are in one.
    """

    number: int = 0
    num_parts: int = 1

    def has(self, row: int) -> bool:
        """Say whether a row is of this part; rows are numbered from 1."""
        return (row - 1) // STRIPE_ROWS % self.num_parts == self.number

    def count_rows(self, num_rows: int) -> int:
        """Return how many of a file's first rows are of this part."""
        turns, left = divmod(num_rows, STRIPE_ROWS * self.num_parts)
        return turns * STRIPE_ROWS + min(max(left - self.number * STRIPE_ROWS, 0), STRIPE_ROWS)


WHOLE = Part()
