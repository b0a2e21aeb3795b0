import dataclasses
import itertools

import numpy as np
import pytest

from minnow.tune.folds import Folds, Step
from minnow.tune.journal import Trial, name_choices
from minnow.tune.schedule import Schedule
from tests.helpers.searches import make_trial

STEPS = (Step(1500, (0,)), Step(6000, (0,)), Step(6000, (0, 1, 2)))
CNN, WIDE, DROP = {"encoder": "cnn"}, {"units": [128]}, {"dropout_rate": 0.3}
LEVERS = [CNN, WIDE, DROP, {"epochs": 16}]


def always(choices, rows):
    return True


def plan(*trials, budget=(None, None), metric="accuracy", steps=STEPS, all_rows=7500,
         is_felt=always):  # fmt: skip
    folds = Folds(np.zeros(1, np.int64), np.zeros(1, np.int64), steps)
    known = {trial.key: trial for trial in trials}
    return Schedule(folds, known, lambda is_over: LEVERS, is_felt, metric, all_rows, budget)


def first_jobs(schedule, count=3):
    return list(itertools.islice(schedule.next_jobs(), count))


def test_the_default_is_the_first_trial():
    assert first_jobs(plan()) == [({}, 1500, 0)]
    assert first_jobs(plan(make_trial({}, 1500, 0, 0.5)), 1) == [(CNN, 1500, 0)]


def test_what_stands_in_the_journal_is_not_tried_again():
    schedule = plan(make_trial({}, 1500, 0, 0.8), make_trial(CNN, 1500, 0, 0.7))

    assert first_jobs(schedule) == [(WIDE, 1500, 0), (DROP, 1500, 0), ({"epochs": 16}, 1500, 0)]


def test_a_better_candidate_goes_on_behind_the_default():
    schedule = plan(
        make_trial({}, 1500, 0, 0.8),
        make_trial(CNN, 1500, 0, 0.85),
        make_trial(WIDE, 1500, 0, 0.7),
    )

    assert first_jobs(schedule, 2) == [({}, 6000, 0), (CNN, 6000, 0)]


def test_a_worse_candidate_goes_no_further():
    schedule = plan(make_trial({}, 1500, 0, 0.8), make_trial(CNN, 1500, 0, 0.75))

    assert {rows for _, rows, _ in schedule.next_jobs()} == {1500}


def test_only_a_third_goes_on():
    trials = [make_trial({}, 1500, 0, 0.5)]
    trials += [make_trial({"epochs": n}, 1500, 0, 0.6 + n / 1000) for n in range(1, 9)]

    ahead = [choices for choices, rows, _ in plan(*trials).next_jobs() if rows == 6000]

    assert ahead == [{}, {"epochs": 8}, {"epochs": 7}, {"epochs": 6}]


def test_a_candidate_that_failed_is_not_tried_on_other_folds():
    schedule = plan(make_trial({}, 1500, 0, 0.5), make_trial(CNN, 1500, 0, 0.9, error="no kernel"))

    assert CNN not in [choices for choices, *_ in schedule.next_jobs()]


def test_what_helped_is_combined():
    trials = [make_trial(lever, 1500, 0, 0.6) for lever in LEVERS]
    schedule = plan(make_trial({}, 1500, 0, 0.5), *trials)

    new = [choices for choices, rows, _ in schedule.next_jobs() if rows == 1500]

    assert {"encoder": "cnn", "units": [128]} in new
    assert len({name_choices(choices) for choices in new}) == len(new)


def test_the_default_stays_unless_another_is_better_by_more_than_the_error():
    trials = [make_trial(choices, 6000, fold, value)
              for choices, value in (({}, 0.8), (CNN, 0.8)) for fold in (0, 1, 2)]  # fmt: skip

    assert plan(*trials).choose(1e9).is_default


def test_a_candidate_that_is_better_on_the_same_rows_is_chosen():
    trials = [make_trial(choices, 6000, fold, value + fold / 100)
              for choices, value in (({}, 0.8), (CNN, 0.82)) for fold in (0, 1, 2)]  # fmt: skip

    chosen = plan(*trials).choose(1e9)

    assert (chosen.choices, round(chosen.gain, 6)) == (CNN, 0.02)


def search_made_up(seed, gains):
    """Return what is chosen where candidates are right in 80 % of 400 rows, and `gains` more."""
    chance = np.random.default_rng(seed)
    trials = []
    for number, gain in enumerate((0.0, *gains)):
        right = chance.random(400) < 0.8 + gain
        without = [float(np.delete(right, np.s_[part::20]).mean()) for part in range(20)]
        choices = {"epochs": number} if number else {}
        trials.append(Trial(choices, 6000, 0, 1.0, float(right.mean()), without))
    return plan(*trials, steps=STEPS[1:2]).choose(1e9)


def test_of_twenty_candidates_that_gain_nothing_one_is_seldom_chosen():
    kept = [search_made_up(seed, [0.0] * 20).is_default for seed in range(100)]

    assert sum(kept) >= 80  # 86 % of searches


def test_of_twenty_candidates_one_that_gains_is_found():
    gains = [0.06, *[0.0] * 10, *[-0.05] * 9]

    found = [search_made_up(seed, gains).choices.get("epochs") == 1 for seed in range(100)]

    assert sum(found) >= 45  # 54 % of searches


def test_what_is_lower_is_better_for_errors():
    trials = [make_trial({}, 6000, 0, 0.8), make_trial(CNN, 6000, 0, 0.7)]

    assert plan(*trials, metric="mae", steps=STEPS[1:2]).choose(1e9).choices == CNN


def test_few_of_many_rows_choose_nothing_but_the_default():
    trials = [make_trial({}, 1500, 0, 0.5), make_trial(CNN, 1500, 0, 0.9)]

    assert plan(*trials).choose(1e9).is_default


def test_few_of_many_rows_choose_what_holds_more():
    larger = {"table_bytes": 2_000_000}
    trials = [make_trial(choices, 1500, 0, value)
              for choices, value in (({}, 0.5), (CNN, 0.9), (larger, 0.6))]  # fmt: skip

    assert plan(*trials).choose(1e9).choices == larger


def test_what_cannot_be_fitted_in_the_time_is_not_chosen():
    trials = [make_trial({}, 1500, 0, 0.5), make_trial({"encoder": "none"}, 1500, 0, 0.4)]
    schedule = plan(*trials, all_rows=300_000)

    assert schedule.estimate_final({}) > 100
    assert schedule.choose(50) is None


def test_the_default_is_chosen_where_nothing_could_be_compared():
    folds = (Step(100, (0, 1, 2)),)

    chosen = plan(make_trial({}, 100, 1, 0.5), steps=folds, all_rows=125).choose(1e9)

    assert (chosen.choices, chosen.step) == ({}, -1)


@pytest.mark.parametrize("budget", [(400_000, None), (None, 0.5)])
def test_what_is_over_the_budget_is_not_chosen(budget):
    small = make_trial(CNN, 6000, 0, 0.5, size_bytes=300_000, latency_ms=0.1)
    trials = [make_trial({}, 6000, 0, 0.8, latency_ms=1.0), small]

    assert plan(*trials, steps=STEPS[1:2], budget=budget).choose(1e9).choices == CNN


def test_where_nothing_keeps_the_budget_the_nearest_is_told():
    trials = [make_trial({}, 6000, 0, 0.8), make_trial(CNN, 6000, 0, 0.5, size_bytes=300_000)]

    nearest = plan(*trials, steps=STEPS[1:2], budget=(100_000, None)).choose(1e9)

    assert (nearest.choices, nearest.is_over) == (CNN, True)


def test_times_are_told_from_those_of_the_same_candidate_and_of_the_default():
    trials = [make_trial({}, 1500, 0, 0.5), make_trial({}, 6000, 0, 0.5)]
    schedule = plan(*trials)  # a second each, whatever the rows: they grow a little, to be safe

    assert schedule.estimate({}, 6000) == 1.0
    assert schedule.estimate({"encoder": "none"}, 6000) == 0.5
    assert plan().estimate({}, 1500) is None


def test_where_the_default_is_over_the_budget_smaller_ones_are_combined():
    trials = [make_trial({}, 6000, 0, 0.8, size_bytes=900_000)]
    trials += [make_trial(lever, 6000, 0, 0.7, size_bytes=300_000) for lever in (CNN, WIDE)]
    trials += [make_trial(lever, 6000, 0, 0.7, size_bytes=900_000) for lever in LEVERS[2:]]
    schedule = plan(*trials, steps=STEPS[1:2], budget=(500_000, None))

    assert first_jobs(schedule, 1) == [({"encoder": "cnn", "units": [128]}, 6000, 0)]


def test_size_is_told_from_the_bundle_of_most_rows():
    sizes = ((1500, 500_000), (6000, 650_000), (20_000, 800_000))  # of IMDB's film reviews
    trials = [make_trial({}, rows, 0, 0.8, size_bytes=size) for rows, size in sizes]
    trials += [make_trial({"encoder": "none"}, 20_000, 0, 0.78, size_bytes=300_000)]
    steps = tuple(Step(rows, (0,)) for rows, _ in sizes)

    schedule = plan(*trials, steps=steps, all_rows=25_000, budget=(1_000_000, None))

    assert schedule.choose(1e9).is_default
    default = next(one for one in schedule.stand() if one.is_default)
    assert (default.size_bytes, default.is_over) == (800_000, False)
    assert 800_000 < default.full_bytes < 830_000


def test_one_figure_tells_what_is_over_the_budget_and_what_is_tried_then():
    asked = []
    trials = {trial.key: trial for trial in [make_trial({}, 1500, 0, 0.8, size_bytes=900_000)]}
    folds = Folds(np.zeros(1, np.int64), np.zeros(1, np.int64), STEPS)
    schedule = Schedule(folds, trials, lambda is_over: asked.append(is_over) or LEVERS, always,
                        "accuracy", 25_000, (1_000_000, None))  # fmt: skip

    first_jobs(schedule)

    assert schedule.stand()[0].is_over
    assert asked == [True]


def test_where_the_encoder_is_given_up_another_is_tried_but_not_all():
    none, gru = {"encoder": "none"}, {"encoder": "gru"}
    few, few_cnn = (
        dataclasses.replace(make_trial(choices, 1500, 0, 0.5), has_encoder=False)
        for choices in ({}, CNN)
    )

    def list_jobs(*trials):
        schedule = plan(*trials)
        schedule.list_levers = lambda is_over: [none, CNN, DROP, gru]
        return first_jobs(schedule, 9)

    later = [(none, 6000, 0), (DROP, 6000, 0)]
    assert list_jobs(few) == [(CNN, 1500, 0), (gru, 1500, 0), ({}, 6000, 0), *later]
    assert list_jobs(few, few_cnn) == [
        ({}, 6000, 0), (none, 6000, 0), (CNN, 6000, 0), (DROP, 6000, 0), (gru, 6000, 0)
    ]  # fmt: skip


def test_what_changes_nothing_yet_begins_where_it_does():
    def is_felt(choices, rows):
        return rows >= {16: 6000}.get(choices.get("epochs"), 0) and choices != CNN

    jobs = first_jobs(plan(make_trial({}, 1500, 0, 0.5), is_felt=is_felt), 9)
    after = [make_trial({}, rows, 0, 0.5) for rows in (1500, 6000)]

    assert jobs == [(WIDE, 1500, 0), (DROP, 1500, 0), ({}, 6000, 0), ({"epochs": 16}, 6000, 0)]
    assert first_jobs(plan(*after, is_felt=is_felt)) == [*jobs[:2], jobs[3]]


def test_what_began_later_takes_no_place_of_those_before():
    def is_felt(choices, rows):
        return rows >= 6000 or "epochs" not in choices

    late = {"epochs": 16}
    trials = [make_trial({}, rows, 0, 0.5) for rows in (1500, 6000)]
    trials += [make_trial(late, 6000, 0, 0.4), make_trial(CNN, 1500, 0, 0.6)]

    assert first_jobs(plan(*trials, is_felt=is_felt), 1) == [(CNN, 6000, 0)]


def test_models_that_are_pruned_take_their_time_too():
    trials = [make_trial({}, 6000, 0, 0.8), make_trial(CNN, 6000, 0, 0.5, size_bytes=300_000)]
    schedule = plan(*trials, steps=STEPS[1:2], budget=(400_000, None))

    over = next(one for one in schedule.stand() if one.is_over)
    within = next(one for one in schedule.stand() if not one.is_over)

    assert schedule.estimate_needed(over) == 3 * schedule.estimate_final({})
    assert schedule.estimate_needed(within) == schedule.estimate_final(CNN)
