"""Whether texts and answers have drifted from the profile: by how much, and whether that is luck.

Of each feature two numbers: the population stability index, the sum of (found - expected) *
log(found / expected) over the bins' shares, less what chance alone adds to it; and the probability
that so large a difference is luck, by Pearson's test of two samples, as the profile is one too. A
small window must differ much to be told apart, and in a large one the index must be worth a look.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from handler.inference.profile import Profile

# Texts of a window below which nothing is said.
MIN_TEXTS = 50
# Of all features together: one window in a thousand of traffic that did not drift.
MAX_LUCK = 0.001
# Index from which on a difference matters; below it large windows tell apart what nobody would act
# on, such as models that were fitted to nine tenths of the rows from the one that was to all.
MIN_PSI = 0.05
# Texts that a bin must be expected to have in the smaller sample; rarer ones are counted as one.
MIN_EXPECTED = 5
SMOOTHING = 0.5  # texts that are added to each bin, so that an empty one has a logarithm


class Difference(NamedTuple):
    """How far a feature is from its profile.

    Args:
        psi: Population stability index, less what is expected of chance; 0 or more.
        luck: Probability of so large a difference without any drift, 0 to 1, of this feature alone.
    """

    psi: float
    luck: float


class Drift(NamedTuple):
    """What a window of texts shows.

    Args:
        texts: In the window.
        differences: Of each feature.
        features: Those that have drifted, the largest index first.
    """

    texts: int
    differences: Mapping[str, Difference]
    features: Sequence[str]

    @property
    def psi(self) -> float:
        """The largest index of a feature."""
        return max((one.psi for one in self.differences.values()), default=0.0)

    @property
    def is_told(self) -> bool:
        """Whether there are enough texts to say anything."""
        return self.texts >= MIN_TEXTS

    def describe(self) -> dict[str, Any]:
        """Return the fields of a log line."""
        return {
            "drift": int(bool(self.features)),
            "drift_psi": round(self.psi, 4),
            "drifted": list(self.features),
        }


def find_drift(profile: Profile, counts: Mapping[str, Sequence[int]]) -> Drift:
    """Return how far the counts of a window are from the profile.

    Args:
        counts: Of each feature of the profile, texts by bin.
    """
    texts = max((sum(found) for found in counts.values()), default=0)
    differences = {
        name: measure_difference(profile.counts[name], found)
        for name, found in counts.items()
        if name in profile.counts
    }
    level = MAX_LUCK / max(1, len(differences))  # Bonferroni's
    drifted = [
        name
        for name, one in differences.items()
        if texts >= MIN_TEXTS and one.luck < level and one.psi >= MIN_PSI
    ]
    drifted.sort(key=lambda name: -differences[name].psi)
    return Drift(texts, differences, drifted)


def measure_difference(expected: Sequence[int], found: Sequence[int]) -> Difference:
    """Return how far two samples of one feature are apart, each counted by bin."""
    sizes = sum(expected), sum(found)
    if not all(sizes) or len(expected) != len(found):
        return Difference(0.0, 1.0)
    smaller = min(sizes) / sum(sizes)
    pairs = list(zip(expected, found, strict=True))
    common = [pair for pair in pairs if sum(pair) * smaller >= MIN_EXPECTED]
    rare = [pair for pair in pairs if sum(pair) * smaller < MIN_EXPECTED]
    rest = sum(first for first, _ in rare), sum(second for _, second in rare)
    if sum(rest) * smaller >= MIN_EXPECTED:
        common, rest = [*common, rest], (0, 0)
    lucks = []
    if len(common) > 1:
        lucks.append(_test_bins(common))
    if sum(rest):
        lucks.append(_test_rare(rest, sizes))
    groups = [*common, rest] if sum(rest) else common
    luck = min(1.0, len(lucks) * min(lucks)) if lucks else 1.0
    return Difference(_measure_index(groups, sizes), luck)


def _measure_index(pairs: Sequence[tuple[int, int]], sizes: tuple[int, int]) -> float:
    index = 0.0
    total = [size + SMOOTHING * len(pairs) for size in sizes]
    for first, second in pairs:
        expected, found = (first + SMOOTHING) / total[0], (second + SMOOTHING) / total[1]
        index += (found - expected) * math.log(found / expected)
    by_chance = (len(pairs) - 1) * (1 / sizes[0] + 1 / sizes[1])
    return max(0.0, index - by_chance)


def _test_bins(pairs: Sequence[tuple[int, int]]) -> float:
    """Return the probability of so different shares, by Pearson's chi-squared test."""
    sizes = [sum(column) for column in zip(*pairs, strict=True)]
    if not all(sizes):
        return 1.0
    ratio = math.sqrt(sizes[1] / sizes[0])
    statistic = sum(
        (first * ratio - second / ratio) ** 2 / (first + second) for first, second in pairs
    )
    return chi_squared_tail(statistic, len(pairs) - 1)


def chi_squared_tail(statistic: float, degrees: int) -> float:
    """Return the probability of a larger value of the chi-squared distribution; degrees >= 1."""
    half = statistic / 2
    if half <= 0:
        return 1.0
    # From one or two degrees of freedom up: Q(a + 1, x) = Q(a, x) + x**a exp(-x) / gamma(a + 1).
    order, tail = (0.5, math.erfc(math.sqrt(half))) if degrees % 2 else (1.0, math.exp(-half))
    while order < degrees / 2:
        tail += math.exp(order * math.log(half) - half - math.lgamma(order + 1))
        order += 1
    return min(1.0, tail)


def _test_rare(rest: tuple[int, int], sizes: tuple[int, int]) -> float:
    """Return the probability of so many or more rare texts in the window, out of those of both
    samples; exact (Fisher's), as the chi-squared test is not of so few."""
    total, found = sum(rest), rest[1]
    every = sum(sizes)

    def log_ways(of: int, some: int) -> float:
        return math.lgamma(of + 1) - math.lgamma(some + 1) - math.lgamma(of - some + 1)

    tail = sum(
        math.exp(
            log_ways(total, some)
            + log_ways(every - total, sizes[1] - some)
            - log_ways(every, sizes[1])
        )
        for some in range(found, min(total, sizes[1]) + 1)
        if sizes[1] - some <= every - total
    )
    return min(1.0, tail)
