"""Intervals and tests against numbers that were published, or that follow from definitions."""

import math

import numpy as np
import pytest

from minnow.compare.statistics import (
    Interval,
    Tally,
    chi_square_tail,
    compare_counts,
    divide_medians,
    find_median,
    find_median_ratio,
    find_quantile,
    subtract,
    subtract_paired,
)
from training.figures.metrics import confidence_interval

Z = find_quantile(0.05)


def make_share(part, whole):
    return Interval(part / whole, *confidence_interval(part / whole, whole, Z))


@pytest.mark.parametrize(
    ("first", "second", "ends"),
    [  # Newcombe 1998, table II, method 10
        ((48, 80), (56, 70), (-0.3339, -0.0524)),
        ((3, 10), (9, 10), (-0.8090, -0.1705)),
    ],
)
def test_the_difference_of_shares_is_newcombes(first, second, ends):
    found = subtract(make_share(*second), make_share(*first))

    assert found[1:] == pytest.approx(ends, abs=1e-4)


def test_chi_square_is_that_of_the_tables():
    for freedom, statistic in ((1, 3.841), (2, 5.991), (3, 7.815), (10, 18.307), (29, 42.557)):
        assert chi_square_tail(statistic, freedom) == pytest.approx(0.05, abs=1e-4)
    assert chi_square_tail(0, 3) == 1
    assert chi_square_tail(1e4, 7) == pytest.approx(0, abs=1e-12)


def test_rare_columns_are_put_together_and_too_few_tell_nothing():
    assert compare_counts([100, 1, 2], [100, 2, 1]) == (1.0, 0)
    chance, freedom = compare_counts([100, 4, 4], [50, 30, 30])
    assert (chance < 1e-6, freedom) == (True, 2)
    assert compare_counts([5, 0], [0, 0]) == (1.0, 0)
    assert compare_counts([60, 40], [40, 60], inflation=4)[0] > 0.05


def test_a_paired_change_is_bonett_and_prices():
    value, low, high = subtract_paired(21, 9, 100, Z)

    gain, loss = 22 / 102, 10 / 102
    half = Z * math.sqrt((gain + loss - (gain - loss) ** 2) / 102)
    assert (value, low, high) == pytest.approx((0.12, gain - loss - half, gain - loss + half))
    assert subtract_paired(0, 0, 1000, Z).low < 0 < subtract_paired(0, 0, 1000, Z).high


def test_a_medians_interval_holds_it_95_times_in_100():
    chance = np.random.default_rng(5)
    samples = chance.exponential(1, (2000, 120))
    true = math.log(2)

    held = [find_median(sample, Z) for sample in samples]
    ratios = [divide_medians(a, b, Z) for a, b in zip(samples[::2], samples[1::2], strict=True)]

    assert 0.94 < np.mean([low <= true <= high for _, low, high in held]) < 0.98
    assert 0.94 < np.mean([low <= 1 <= high for _, low, high in ratios]) < 0.99


def test_texts_that_are_alike_tell_less():
    alike, alone = Tally(), Tally()
    for number in range(200):
        alike.add(10, {"a": 10.0 * (number % 2)})
        alone.add(1, {"a": float(number % 2)})

    assert alike.effective_size("a") == pytest.approx(199, rel=0.01)
    assert alone.effective_size("a") == pytest.approx(199, rel=0.01)
    assert alike.share("a", Z) == pytest.approx(alone.share("a", Z), abs=1e-9)
    assert alike.mean("a", Z) == pytest.approx((0.5, 0.43, 0.57), abs=0.01)


def test_which_of_two_runs_first_moves_no_ratio():
    chance = np.random.default_rng(1)
    noise = np.exp(chance.normal(0, 0.1, 400))
    ratios = 1.1 * np.tile([1.3, 1 / 1.3], 200) * noise

    value, low, high = find_median_ratio(ratios, Z)

    assert low < 1.1 < high
    assert high - low < 0.05
