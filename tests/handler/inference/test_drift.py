"""Drift: the index and the test, against numbers that are known."""

import math

import numpy as np
import pytest

from handler.inference.drift import (
    MIN_TEXTS,
    chi_squared_tail,
    find_drift,
    measure_difference,
)
from handler.inference.profile import Bins, Profile

NAMES = ("a", "b", "c", "d")
SHARES = (0.5, 0.3, 0.15, 0.05)


def draw(shares, size, seed):
    """Return how many of `size` texts fall in each bin."""
    return np.random.default_rng(seed).multinomial(size, shares).tolist()


@pytest.mark.parametrize(
    ("statistic", "degrees", "tail"),
    # scipy.stats.chi2.sf
    [
        (3.841459, 1, 0.05),
        (5.991465, 2, 0.05),
        (7.814728, 3, 0.05),
        (30.0, 4, 4.894437128029217e-06),
        (30.0, 15, 0.011921496564803853),
        (0.0, 7, 1.0),
        (200.0, 41, 8.52302434773583e-23),
        (5000.0, 3, 0.0),
    ],
)
def test_the_tail_of_chi_squared(statistic, degrees, tail):
    assert chi_squared_tail(statistic, degrees) == pytest.approx(tail, rel=1e-4, abs=1e-300)


def test_two_common_bins_are_told_by_pearsons_test():
    # scipy.stats.chi2_contingency([[500, 500], [300, 200]], correction=False): 13.393, 0.00025254
    assert measure_difference((500, 500), (300, 200)).luck == pytest.approx(0.00025254, rel=1e-3)


def test_the_index_is_less_what_chance_adds():
    found = measure_difference((5000, 5000), (3000, 2000))

    plain = 0.1 * math.log(0.6 / 0.5) + -0.1 * math.log(0.4 / 0.5)
    by_chance = 1 / 10_000 + 1 / 5_000
    assert found.psi == pytest.approx(plain - by_chance, abs=by_chance / 10)


def test_rare_bins_are_told_exactly():
    # 6 of 100 in bins that 1 of 1,000 rows was in;
    # scipy.stats.fisher_exact([[1, 999], [6, 94]], "less"): 3.1847671606888566e-06
    found = measure_difference((999, 0, 1, 0), (94, 2, 2, 2))

    assert found.luck == pytest.approx(3.1847671606888566e-06, rel=1e-6)


@pytest.mark.parametrize(
    ("expected", "found"), [((0, 0), (5, 5)), ((5, 5), (0, 0)), ((10, 0), (10, 0)), ((9,), (3,))]
)
def test_nothing_to_compare_is_no_difference(expected, found):
    assert measure_difference(expected, found) == (0.0, 1.0)


def make_profile_of(counts):
    bins = {name: Bins(names=NAMES[:-2]) for name in ("label", "script")}
    return Profile(sum(counts), bins, dict.fromkeys(bins, counts))


@pytest.mark.parametrize("size", [100, 500, 2000, 20_000])
def test_traffic_that_did_not_drift_is_said_to_have_once_in_a_hundred_windows_at_most(size):
    profile = make_profile_of(draw(SHARES, 2000, seed=0))

    false = 0
    for seed in range(1, 201):
        counts = {name: draw(SHARES, size, 1000 * seed + place) for place, name in enumerate(NAMES)}
        shown = {"label": counts["a"], "script": counts["b"]}
        false += bool(find_drift(profile, shown).features)

    assert false <= 2


def test_drift_is_found_and_named_the_largest_first():
    profile = make_profile_of(draw(SHARES, 2000, seed=0))
    counts = {
        "label": draw((0.35, 0.3, 0.15, 0.2), 500, seed=1),
        "script": draw((0.2, 0.3, 0.3, 0.2), 500, seed=2),
    }

    drift = find_drift(profile, counts)

    assert drift.features == ["script", "label"]
    assert drift.psi == drift.differences["script"].psi > drift.differences["label"].psi
    assert drift.describe() == {
        "drift": 1,
        "drift_psi": round(drift.psi, 4),
        "drifted": ["script", "label"],
    }


def test_few_texts_tell_nothing():
    profile = make_profile_of(draw(SHARES, 2000, seed=0))
    few, enough = ([0, 0, 0, number] for number in (MIN_TEXTS - 1, MIN_TEXTS))

    assert find_drift(profile, {"label": few}).features == []
    assert find_drift(profile, {"label": enough}).features == ["label"]


def test_a_large_window_does_not_tell_what_nobody_would_act_on():
    profile = make_profile_of((50_000, 50_000, 0, 0))

    drift = find_drift(profile, {"label": [51_500, 48_500, 0, 0]})

    assert drift.differences["label"].luck < 1e-6
    assert drift.features == []
