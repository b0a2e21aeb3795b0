"""What the comparison of two versions computes: shares, means and medians with their intervals.

Texts of one request are alike, so that a hundred of them tell less than a hundred requests of one.
Each line of the log is a cluster: its sums are kept, and from them the variance that clusters have
(Cochran, Sampling Techniques, 3rd ed. 1977, 6.3: the ratio estimator), and the number of texts that
would tell as much if none were alike (Korn & Graubard 1998).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.figures.metrics import confidence_interval

NORMAL = NormalDist()
GROUP = 4
OTHER = "(other)"  # bin of the labels without one of their own


class Interval(NamedTuple):
    """A number, and the ends of its interval."""

    value: float
    low: float
    high: float


class Tally:
    """Sums over lines: of what was counted in each, and of its texts.

    Attributes:
        num_lines: How many.
        total: Of their texts.
        sums: Of what was counted, by name.
    """

    def __init__(self) -> None:
        self.num_lines = 0
        self.total = 0.0
        self.sums: dict[str, float] = {}
        self._squares: dict[str, float] = {}
        self._products: dict[str, float] = {}  # of an amount and the line's texts
        self._total_squares = 0.0

    def add(self, total: float, amounts: Mapping[str, float]) -> None:
        """Add a line of so many texts."""
        self.num_lines += 1
        self.total += total
        self._total_squares += total * total
        for name, amount in amounts.items():
            self.sums[name] = self.sums.get(name, 0.0) + amount
            self._squares[name] = self._squares.get(name, 0.0) + amount * amount
            self._products[name] = self._products.get(name, 0.0) + amount * total

    def ratio(self, name: str) -> float:
        """Return a sum as a share of all texts."""
        return self.sums.get(name, 0.0) / self.total

    def variance(self, name: str) -> float:
        """Return the variance of `ratio`; there are two lines or more."""
        ratio = self.ratio(name)
        residuals = (
            self._squares.get(name, 0.0)
            - 2 * ratio * self._products.get(name, 0.0)
            + ratio * ratio * self._total_squares
        )
        scale = self.num_lines / (self.num_lines - 1)
        return max(0.0, scale * residuals) / self.total**2

    def inflation(self, name: str) -> float:
        """Return how many times as many texts are needed for a share as if none were alike; 1 where
        all texts have it or none has, which does not tell."""
        share = self.ratio(name)
        plain = share * (1 - share) / self.total
        return max(1.0, self.variance(name) / plain) if plain > 0 else 1.0

    def effective_size(self, name: str) -> float:
        """Return how many texts that are not alike would tell as much of a share."""
        return self.total / self.inflation(name)

    def share(self, name: str, z: float, inflation: float = 1.0) -> Interval:
        """Return a share of the texts (Wilson 1927).

        Args:
            inflation: Known from elsewhere, the least.
        """
        share = min(1.0, self.ratio(name))
        size = self.total / max(inflation, self.inflation(name))
        low, high = confidence_interval(share, size, z)
        return Interval(share, low, high)

    def mean(self, name: str, z: float) -> Interval:
        """Return the mean of what was summed, by text."""
        mean, half = self.ratio(name), z * math.sqrt(self.variance(name))
        return Interval(mean, mean - half, mean + half)


def find_quantile(error: float) -> float:
    """Return the normal distribution's two-sided quantile: 0.05 -> 1.96."""
    return NORMAL.inv_cdf(1 - error / 2)


def subtract(first: Interval, second: Interval) -> Interval:
    """Return the second number less the first, of other texts (Newcombe 1998, method 10, of shares;
    Zou & Donner 2008 of anything that has an interval)."""
    difference = second.value - first.value
    down = math.hypot(second.value - second.low, first.high - first.value)
    up = math.hypot(second.high - second.value, first.value - first.low)
    return Interval(difference, difference - down, difference + up)


def subtract_paired(gained: float, lost: float, total: float, z: float) -> Interval:
    """Return how much a share changed among the same texts (Bonett & Price 2012).

    Args:
        gained, lost: Texts that have the label after the change, or had it before, alone.
        total: Texts.
    """
    gain, loss = (gained + 1) / (total + 2), (lost + 1) / (total + 2)
    half = z * math.sqrt((gain + loss - (gain - loss) ** 2) / (total + 2))
    return Interval((gained - lost) / total, gain - loss - half, gain - loss + half)


def divide_medians(first: Sequence[float], second: Sequence[float], z: float) -> Interval:
    """Return the second median as a part of the first, of positive numbers."""
    medians = (find_median(np.log(np.asarray(values)), z) for values in (first, second))
    return Interval(*(math.exp(end) for end in subtract(*medians)))


def find_median(values: Sequence[float] | NDArray[np.float64], z: float) -> Interval:
    """Return the median with the interval that the sign test gives (Conover 1999, 3.2), which asks
    nothing of how the values are distributed."""
    ordered = np.sort(np.asarray(values, float))
    size = len(ordered)
    rank = max(0, math.floor((size - 1 - z * math.sqrt(size)) / 2))
    return Interval(float(np.median(ordered)), float(ordered[rank]), float(ordered[-1 - rank]))


def find_median_ratio(ratios: Sequence[float], z: float) -> Interval:
    """Return the median of positive ratios, each the geometric mean of four that follow each other.

    What runs second finds the texts in the processor's cache. The shadow takes turns, so that of
    four as many came first as second, and a few that took very long move no median.
    """
    logs = np.log(np.asarray(ratios))
    groups = logs[: len(logs) // GROUP * GROUP].reshape(-1, GROUP).mean(axis=1)
    return Interval(*(math.exp(end) for end in find_median(groups, z)))


def align_bins(
    first: dict[str, float], second: dict[str, float]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return two histograms by the same bins, empty ones where that cannot be: a label that has a
    bin in one of them alone is one of the other's `OTHER`."""
    if first.keys() == second.keys():
        return first, second
    if OTHER not in first or OTHER not in second:
        return {}, {}
    common = first.keys() & second.keys()
    aligned = [
        {name: counts[name] for name in common}
        | {OTHER: sum(n for name, n in counts.items() if name == OTHER or name not in common)}
        for counts in (first, second)
    ]
    return aligned[0], aligned[1]


def compare_counts(
    first: Sequence[float], second: Sequence[float], inflation: float = 1.0
) -> tuple[float, int]:
    """Return the probability that two rows of counts are as different by chance, and the degrees of
    freedom (Pearson's chi-square; clusters as Rao & Scott 1981 correct it).

    Columns of which fewer than 5 are expected in either row are put together (Cochran 1954).

    Args:
        inflation: Of the variance, by texts that are alike.
    """
    table = np.asarray([first, second], float)
    totals = table.sum(axis=1, keepdims=True)
    if not totals.all():
        return 1.0, 0
    expected = totals * table.sum(axis=0) / table.sum()
    rare = (expected < 5).any(axis=0)
    table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    expected = np.column_stack([expected[:, ~rare], expected[:, rare].sum(axis=1)])
    filled = (expected >= 5).all(axis=0)  # the rare ones together may be too few still
    table, expected = table[:, filled], expected[:, filled]
    freedom = table.shape[1] - 1
    if freedom < 1:
        return 1.0, 0
    statistic = float(((table - expected) ** 2 / expected).sum()) / max(1.0, inflation)
    return chi_square_tail(statistic, freedom), freedom


def chi_square_tail(statistic: float, freedom: int) -> float:
    """Return the probability of a larger chi-square (Abramowitz & Stegun 1964, 26.4.4-5)."""
    half = statistic / 2
    if half <= 0:
        return 1.0
    tail = math.erfc(math.sqrt(half)) if freedom % 2 else 0.0
    start = 0.5 if freedom % 2 else 0.0
    terms = (
        math.exp((start + step) * math.log(half) - half - math.lgamma(start + step + 1))
        for step in range(freedom // 2)
    )
    return min(1.0, tail + sum(terms))
