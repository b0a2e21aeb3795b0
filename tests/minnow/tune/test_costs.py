from dataclasses import replace

import pytest

from minnow.tune.costs import (
    MARGIN,
    OTHER_EPOCHS,
    count_work,
    estimate_fit,
    estimate_trial,
    guess_cost,
)
from tests.helpers.searches import make_trial

STACKED = {"recipe": "stacked", "units": [64], "dropout_rate": 0.3}


def time_trials(rows_of_trials, choices=None, per_work=1e-4):
    choices = choices or {}
    return [
        replace(make_trial(choices, rows, 0, 0.8), seconds=5 + per_work * count_work(choices, rows))
        for rows in rows_of_trials
    ]


@pytest.mark.parametrize("rows", [12_000, 20_000, 100_000])
def test_times_are_told_beyond_the_rows_from_which_steps_grow(rows):
    told = estimate_trial(time_trials([1500, 6000]), {}, rows)

    assert told == pytest.approx(5 + 1e-4 * count_work({}, rows), rel=1e-6)


def test_epochs_count_where_they_are_made():
    longer = {"epochs": 16, "min_steps": 3000}

    assert guess_cost(longer, 1500) == 1.0  # 30 epochs, the most of both
    assert guess_cost(longer, 20_000) == (OTHER_EPOCHS + 16) / (OTHER_EPOCHS + 8)


@pytest.mark.parametrize("alone_s", [7, 50])
def test_a_trial_without_encoder_tells_what_grows_with_the_rows_alone(alone_s):
    # Of 15,000 rows there are 10 times as many, but in 8 epochs, not 30.
    whole = replace(make_trial({}, 1500, 0, 0.8), seconds=alone_s + 30)
    alone = replace(make_trial({"encoder": "none"}, 1500, 0, 0.8), seconds=alone_s)

    told = estimate_trial([whole, alone], {}, 15_000)

    assert told == pytest.approx(10 * alone_s + 30 * 10 * 8 / 30)


def test_a_candidate_without_encoder_grows_with_its_rows():
    trials = time_trials([1500, 6000]) + time_trials([1500], {"encoder": "none"})

    told = estimate_trial(trials, {"encoder": "none"}, 15_000)

    assert told > 5 * trials[-1].seconds


def test_an_encoder_that_few_rows_gave_up_takes_its_time_with_more():
    kept = time_trials([1500])
    given_up = [replace(trial, has_encoder=False) for trial in kept]

    told, more = (estimate_trial(trials, {}, 6000) for trials in (kept, given_up))

    assert more == pytest.approx(2 * told)
    assert estimate_trial(given_up, {}, 1500) == kept[0].seconds


def test_the_default_tells_how_the_time_of_others_grows():
    default = [replace(make_trial({}, rows, 0, 0.8), seconds=rows / 50) for rows in (1500, 6000)]
    slower = {"learning_rate": 0.001}
    own = replace(make_trial(slower, 1500, 0, 0.8), seconds=15)

    assert estimate_trial([*default, own], slower, 6000) == pytest.approx(60)


def test_a_recipe_that_reads_all_tokens_takes_longer_for_long_texts():
    short, long = ({**STACKED, "max_length": length} for length in (64, 256))

    assert guess_cost(long, 20_000) == 4 * guess_cost(short, 20_000)


def test_test_rows_cost_what_measuring_cost_in_trials():
    bundle = replace(make_trial({}, 6000, 0, 0.8), row_s=0.001)
    keras = replace(make_trial({}, 6000, 1, 0.8, size_bytes=0), row_s=0.003)

    alone = estimate_fit([bundle], {}, 6000, 25_000) - estimate_fit([bundle], {}, 6000)
    both = estimate_fit([bundle, keras], {}, 6000, 25_000) - estimate_fit([bundle, keras], {}, 6000)

    assert alone == pytest.approx(MARGIN * 25_000 * 0.002)
    assert both == pytest.approx(MARGIN * 25_000 * 0.004)
