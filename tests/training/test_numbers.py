"""Labels that are numbers: read strictly, found, described; their figures, curves and intervals."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from handler.inference.tasks import Ordinal, Regression
from tests.helpers.objectives import make_dataset
from training.answers.intervals import find_interval, find_radius
from training.answers.isotonic import draw_line, fit_curve, tell_out_of_folds
from training.answers.ranks import (
    Odds,
    fit_odds,
    part_logits,
    ranked_losses,
    tell_labels,
)
from training.errors import DataError, SettingsError
from training.figures.number_figures import correlate_ranks
from training.fitting.losses import LOSSES, center, measure_loss
from training.objectives.ordinal import OrdinalObjective
from training.objectives.regression import RegressionObjective
from training.rows.numbers import are_fractional, are_whole, have_commas, read_number
from training.rows.soft_labels import SoftLabel
from training.tasks import find_task, make_objective

STARS = ["1", "2", "4.5", "10"]


def make_regression(labels=("1", "2.5", "6"), **aims):
    return make_objective(find_task(labels, {"kind": "regression"}), aims)


def make_ordinal(labels=("1", "2", "3", "4", "5")):
    return make_objective(find_task(labels, {"kind": "ordinal"}))


@pytest.mark.parametrize(
    ("label", "number"),
    [
        *(("4", 4.0), ("4.0", 4.0), ("4.", 4.0), (".5", 0.5), ("-3.5", -3.5), ("+2", 2.0)),
        *(("1e3", 1000.0), ("1.5E-2", 0.015), ("007", 7.0), ("1e30", 1e30), ("-0", 0.0)),
    ],
)
def test_a_number_is_read(label, number):
    assert read_number(label) == number


@pytest.mark.parametrize(
    "label",
    [
        *(
            "1,5",
            "1,234",
            "1,234.5",
            "1 234",
            "1.234.567",
            "1_0",
            "0x10",
            "٣",
            "４",
            "½",
            "1e",
            "e5",
        ),
        *("", "-", ".", "inf", "-Infinity", "nan", "1e31", "1e999", "true", "5*", "$5", "5 %"),
        *("2024-01-01", "12:30", "4/5", "1.5\n", " 1"),
    ],
)
def test_what_may_be_misread_is_refused_without_its_text(label):
    with pytest.raises(DataError) as caught:
        read_number(label)

    assert len(label) < 5 or label not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "is_found"),
    [
        (["1.5", "2", "3"], True),
        (["4.0", "5.0"], False),  # whole numbers, however they are written
        (["1", "2", "10"], False),
        (["1.5", "good"], False),
        (["1.5", "-inf", "Infinity"], True),  # infinity is told with its row
        (["inf", "1"], False),
        (["1.5", ""], True),  # the empty one is told with its row
        ([f"{number / 7:.3f}" for number in range(200)] + ["a few", "no"], True),
        ([f"{number}" for number in range(200)], False),
        (["1,5", "2,5"], False),
        (["1e999", "2"], False),
        ([], False),
        ([SoftLabel({"1.5": 1.0, "2": 0.0})], False),
    ],
)
def test_fractions_alone_are_found_to_be_numbers(labels, is_found):
    assert are_fractional(labels) is is_found
    expected = "regression" if is_found else "single-label"
    if len({*labels}) > 1:
        assert find_task(labels).kind == expected
        assert find_task(labels, {"kind": "single-label"}).kind == "single-label"


def test_labels_that_look_like_numbers_are_told():
    assert are_whole(["1", "2", "5.0"])
    assert not are_whole(["0", "1"])  # two classes
    assert not are_whole(["1", "2", "x"])
    assert have_commas(["1,5", "2", "3,25"])
    assert not have_commas(["1", "2"])
    assert not have_commas(["1,5", "x"])


def test_the_task_has_the_range_and_the_moments_of_the_labels():
    task = find_task(["1", "2.5", "6", "6"])

    assert task.describe() == {
        "kind": "regression",
        "lowest": 1.0,
        "highest": 6.0,
        "mean": pytest.approx(3.875),
        "standard_deviation": pytest.approx(np.std([1, 2.5, 6, 6])),
        "clips": True,
        "interval": None,
    }
    assert not find_task(["1.5", "2"], {"clips": False}).clips
    with pytest.raises(SettingsError, match="the task regression takes no lowest"):
        find_task(["1.5"], {"lowest": 0})


def test_targets_are_the_numbers_and_logits_are_in_standard_deviations():
    objective = make_regression()

    targets = objective.encode(["1", "6.0", "2.5"])
    logits = objective.logit_targets(targets)

    assert targets.dtype == np.float32
    assert targets.tolist() == [[1.0], [6.0], [2.5]]
    assert logits.mean() == pytest.approx(0, abs=1e-6)
    assert logits.std() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(objective.outputs_of(logits), targets, rtol=1e-6)
    with pytest.raises(DataError, match=r"^row 2: the label has a comma.*Mend the cell"):
        objective.encode(["1", "2,5"])


def test_splits_keep_tenths_of_the_numbers_in_proportion():
    objective = make_regression()

    parts = objective.strata(np.arange(100, dtype=np.float32)[:, None])
    of_stars = objective.strata(np.repeat(np.float32([[1], [10]]), [12, 8], axis=0))

    assert np.bincount(parts).tolist() == [10] * 10
    assert of_stars[0] == of_stars[11] != of_stars[12] == of_stars[19]
    assert len({*objective.strata(np.arange(7, dtype=np.float32)[:, None])}) == 1


@pytest.mark.parametrize("make", [make_regression, make_ordinal])
def test_slopes_are_those_of_the_loss(make):
    objective = make()
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 2, (4, objective.num_logits))
    targets = objective.encode(
        ["1", "2", "3", "1"] if make is make_ordinal else ["1", "2", "3", "6"]
    )
    slopes, step = objective.loss_slopes(logits, targets), 1e-6

    for place in np.ndindex(logits.shape):
        moved = [logits.copy(), logits.copy()]
        moved[0][place] += step
        moved[1][place] -= step
        high, low = (objective.logits_loss(one, targets) for one in moved)
        assert slopes[place] == pytest.approx((high - low) / (2 * step), abs=1e-5)
    assert objective.logits_loss(logits, targets, np.full(4, 2.0)) == pytest.approx(
        2 * objective.logits_loss(logits, targets)
    )


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_of_keras_is_the_measured_one(loss):
    objective = make_regression(loss=loss)
    targets, outputs = np.float32([[1], [2], [6]]), np.float32([[1.5], [6], [5.9]])

    each = np.asarray(objective.loss(targets, outputs))

    errors = (outputs - targets)[:, 0] / objective.task.standard_deviation
    wanted = measure_loss(errors, "huber" if loss == "absolute" else loss)
    np.testing.assert_allclose(each, wanted, rtol=1e-5)


@pytest.mark.slow
def test_the_head_is_clipped_and_its_curve_is_the_fitted_one():
    import keras

    objective = make_regression()
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(2000, 1)).astype(np.float32)
    targets = np.where(logits > 0, 5.0, 2.0) + draw.normal(0, 0.3, logits.shape)
    inputs = keras.Input((1,))
    model = keras.Model(inputs, objective.add_head(inputs))
    straight = model(logits).numpy()

    objective.fit_head(model, logits, targets)

    np.testing.assert_allclose(straight, np.clip(objective.outputs_of(logits), 1, 6), atol=1e-4)
    bent = model(logits).numpy()
    assert np.abs(bent - targets).mean() < 0.7 * np.abs(straight - targets).mean()
    assert not model.trainable_weights
    order = np.argsort(logits[:, 0])
    assert (np.diff(bent[order, 0]) >= -1e-5).all()
    assert 1 <= bent.min() <= bent.max() <= 6


@pytest.mark.slow
def test_thresholds_are_learned_by_their_differences():
    import keras

    objective = make_ordinal()
    logits = np.random.default_rng(0).normal(0, 2, (16, 4)).astype(np.float32)
    inputs = keras.Input((4,))

    outputs = keras.Model(inputs, objective.add_learner(inputs))(logits).numpy()

    np.testing.assert_allclose(outputs, objective.outputs_of(logits), atol=1e-6)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, atol=1e-6)
    assert outputs.min() >= 0
    targets = objective.encode(["1", "5", "3", "2"] * 4)
    each = np.asarray(objective.loss(targets, outputs))
    assert each.mean() == pytest.approx(objective.log_loss(outputs, targets), abs=1e-4)


def draw_crossing(rows, seed=0):
    """Return logits of thresholds that nearly meet, and labels that one curve draws: (rows, 4)."""
    draw = np.random.default_rng(seed)
    place = draw.normal(0, 1.5, rows)
    labels = np.digitize(place + draw.logistic(0, 0.7, rows), [-1.5, -0.5, 0.5, 1.5])
    noise = draw.normal(0, 1.2, (rows, 4))
    return place[:, None] - np.array([-1.5, -0.5, 0.5, 1.5]) + noise, np.eye(5)[labels]


@pytest.mark.parametrize("num_rows", [30, 2000])
def test_regression_makes_probabilities_of_labels_out_of_thresholds_that_cross(num_rows):
    logits, targets = draw_crossing(num_rows)
    fresh, wanted = draw_crossing(4000, seed=1)

    odds = fit_odds(logits, targets)

    before, after = part_logits(fresh), tell_labels(fresh, odds)
    np.testing.assert_allclose(after.sum(axis=1), 1)
    likelihoods = [
        np.log(np.maximum((told * wanted).sum(axis=1), 1e-7)).mean() for told in (before, after)
    ]
    assert likelihoods[1] > likelihoods[0] + 0.2
    losses = [ranked_losses(told, wanted).mean() for told in (before, after)]
    assert losses[1] < losses[0]


def test_regression_of_few_rows_says_what_the_thresholds_say():
    logits, targets = draw_crossing(2)
    logits[:] = [4.0, 2.0, -2.0, -4.0]  # far apart: their differences are sure

    told = tell_labels(logits, fit_odds(logits, np.eye(5)[[0, 4]]))

    assert told.argmax(axis=1).tolist() == [2, 2]


def test_rows_that_count_twice_are_two_rows():
    logits, targets = draw_crossing(60)

    once = fit_odds(np.vstack([logits, logits[:20]]), np.vstack([targets, targets[:20]]))
    twice = fit_odds(logits, targets, np.where(np.arange(60) < 20, 2.0, 1.0))

    np.testing.assert_allclose(once.kernel, twice.kernel, atol=1e-3)


@pytest.mark.slow
def test_the_head_of_ordered_labels_computes_what_was_fitted():
    import keras

    logits, targets = draw_crossing(200)
    objective = make_ordinal()
    inputs = keras.Input((4,))
    model = keras.Model(inputs, objective.add_head(inputs))

    objective.fit_head(model, logits, targets)

    odds = fit_odds(logits, targets)
    assert isinstance(odds, Odds)
    expected = tell_labels(logits, odds)
    np.testing.assert_allclose(model(logits.astype(np.float32)).numpy(), expected, atol=1e-5)
    assert not model.trainable_weights


def test_figures_are_those_of_scipy_and_scikit_learn():
    draw = np.random.default_rng(1)
    truth = draw.integers(1, 11, 300).astype(float)
    told = truth + draw.normal(0, 2, 300)
    told[:40] = 5.0  # ties
    objective = make_regression([f"{number:g}" for number in truth])

    figures = objective.evaluate([f"{number:g}" for number in truth], told[:, None])

    assert figures["rows"] == 300
    assert figures["mae"] == pytest.approx(metrics.mean_absolute_error(truth, told))
    assert figures["rmse"] == pytest.approx(metrics.root_mean_squared_error(truth, told))
    assert figures["r2"] == pytest.approx(metrics.r2_score(truth, told))
    assert figures["spearman"] == pytest.approx(stats.spearmanr(truth, told).statistic)
    assert figures["mean_rmse"] == pytest.approx(truth.std())
    deviation = objective.task.standard_deviation
    assert figures["skill"] == pytest.approx(1 - figures["mae"] / deviation)
    targets = truth[:, None]
    assert figures["skill"] == objective.row_scores(told[:, None], targets).mean()
    assert figures["loss"] == pytest.approx(objective.log_loss(told[:, None], targets))
    assert "coverage" not in figures
    assert "mean absolute error" in objective.format_evaluation(figures)


def test_figures_of_one_number_have_no_correlation():
    objective = make_regression()

    figures = objective.evaluate(["2", "2"], np.array([[2.0], [3.0]]))

    assert (figures["r2"], figures["spearman"]) == (None, None)
    assert correlate_ranks(np.array([1.0, 2.0]), np.array([5.0, 5.0])) is None
    assert "undefined" in objective.format_evaluation(figures)


def test_weighted_figures_stand_beside_the_others():
    objective = make_regression()
    outputs = np.array([[1.0], [4.0]])

    figures = objective.evaluate(["1", "6"], outputs, [3.0, 1.0])

    assert figures["weighted_skill"] == pytest.approx(
        1 - (3 * 0 + 1 * 2) / 4 / objective.task.standard_deviation
    )
    assert "weighted_skill" not in objective.evaluate(["1", "6"], outputs, [2.0, 2.0])


@pytest.mark.parametrize(("loss", "found"), [("squared", 4.0), ("absolute", 2.0)])
def test_the_center_is_where_the_loss_is_least(loss, found):
    assert center(np.array([0.0, 2.0, 10.0]), loss, np.ones(3)) == found


def test_hubers_center_lies_between_median_and_mean():
    values, weights = np.array([0.0, 1.0, 2.0, 3.0, 100.0]), np.ones(5)

    assert 2 < center(values, "huber", weights) < np.mean(values)
    assert center(np.full(5, 7.0), "huber", weights) == 7.0


def test_the_curve_finds_the_two_heaps_between_which_the_line_answers():
    draw = np.random.default_rng(0)
    logits = draw.normal(size=3000)
    numbers = np.where(logits + draw.normal(0, 0.5, 3000) > 0, 9.0, 2.0)
    line = draw_line(1, 10, 5.5, 3.5)

    curve = fit_curve(logits, numbers, line, "absolute")

    fresh = draw.normal(size=3000)
    truth = np.where(fresh + draw.normal(0, 0.5, 3000) > 0, 9.0, 2.0)
    assert np.abs(curve(fresh) - truth).mean() < 0.75 * np.abs(line(fresh) - truth).mean()
    assert (np.diff(curve.logits) > 0).all()
    assert (np.diff(curve.values) > 0).all()  # so that the order is kept
    assert 1 <= curve.values[0] < curve.values[-1] <= 10


def test_the_curve_is_never_so_steep_that_int8_would_show():
    logits = np.random.default_rng(0).normal(size=2000)

    curve = fit_curve(logits, np.where(logits > 0, 9.0, 2.0), draw_line(1, 10, 5.5, 1), "absolute")

    steepest = (np.diff(curve.values) / np.diff(curve.logits)).max()
    assert 2 < steepest < 2.6  # 2.5 standard deviations for one of the logit


@pytest.mark.parametrize("loss", LOSSES)
def test_the_line_stays_where_it_fits_or_where_few_rows_tell(loss):
    draw = np.random.default_rng(0)
    logits = draw.normal(size=1500)
    line = draw_line(-6, 6, 0, 1)

    assert fit_curve(logits, logits + draw.normal(size=1500), line, loss) is line
    assert fit_curve(logits[:100], np.sign(logits[:100]), line, loss) is line


def test_equal_logits_make_a_curve_too():
    line = draw_line(0, 10, 5, 4)
    logits = np.repeat([0.0, 1.0], 300)

    curve = fit_curve(logits, np.repeat([1.0, 9.0], 300), line, "squared")

    assert curve(0.0) == pytest.approx(1, abs=0.1)
    assert curve(1.0) == pytest.approx(9, abs=0.1)


@pytest.mark.parametrize(
    ("num_rows", "place"), [(8, None), (9, 9), (10, 10), (19, 18), (99, 90), (1000, 901)]
)
def test_the_radius_has_the_correction_of_few_rows(num_rows, place):
    errors = np.random.default_rng(0).permutation(np.arange(1.0, num_rows + 1))

    assert find_radius(errors, 0.9) == place  # ceil((n + 1) 0.9)-th smallest


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
def test_intervals_hold_what_they_promise_of_new_rows(coverage):
    draw = np.random.default_rng(0)
    held = []
    for _ in range(40):
        told = draw.normal(size=1500)
        truth = told + draw.normal(size=1500) * (0.2 + np.abs(told))  # some are less certain
        half = slice(None, 750), slice(750, None)
        fields = find_interval(told[half[0]], told[half[0]] - truth[half[0]], coverage)
        task = Regression(-9.0, 9.0, 0.0, 1.0, True, fields)
        ends = np.array([task.cells([number])[1:] for number in told[half[1]].tolist()])
        held.append(((ends[:, 0] <= truth[half[1]]) & (truth[half[1]] <= ends[:, 1])).mean())
    assert np.mean(held) == pytest.approx(coverage, abs=0.012)
    assert np.mean(held) > coverage - 0.005


def test_intervals_are_wider_where_answers_are_less_certain():
    draw = np.random.default_rng(0)
    told = draw.uniform(0, 1, 3000)

    fields = find_interval(told, draw.normal(size=3000) * told, 0.9)

    assert fields is not None
    assert len(fields["radii"]) == len(fields["edges"]) + 1 == 10
    np.testing.assert_allclose(fields["radii"], 1.645 * (np.arange(10) + 0.5) / 10, atol=0.25)


def test_few_rows_have_one_radius_or_none_and_equal_answers_too():
    assert find_interval(np.arange(8.0), np.ones(8), 0.9) is None
    assert find_interval(np.arange(9.0), np.ones(9), 0.9) == {
        "coverage": 0.9,
        "edges": [],
        "radii": [1.0],
    }
    alike = find_interval(np.full(1000, 3.0), np.ones(1000), 0.9)
    assert alike is not None
    assert 1.0 in alike["radii"]


def test_a_settled_objective_knows_its_interval_from_curves_that_did_not_see_the_row():
    draw = np.random.default_rng(0)
    objective = make_regression([f"{number:.2f}" for number in draw.normal(size=400)], coverage=0.8)
    targets = draw.normal(size=(400, 1))
    outputs = targets + draw.normal(0, 0.5, (400, 1))

    settled = objective.settle(outputs, targets)

    assert settled.task.interval.coverage == 0.8
    assert settled.aims == {"coverage": 0.8}
    assert objective.task.interval is None
    line = draw_line(-9, 9, 0, 1)
    told = tell_out_of_folds(outputs[:, 0], targets[:, 0], line, "squared")
    assert told.shape == (400,)


@pytest.mark.parametrize(
    ("aims", "message"),
    [
        ({"loss": "mse"}, "there is no loss 'mse', wanted squared, absolute, huber"),
        ({"coverage": 1.0}, "--coverage is 1, wanted a share between 0 and 1"),
        ({"min_precision": 0.9}, "the task regression takes no --min-precision"),
    ],
)
def test_aims_that_numbers_do_not_have_are_refused(aims, message):
    with pytest.raises(SettingsError, match=message):
        make_regression(**aims)


def test_development_and_test_rows_may_be_beyond_the_training_rows():
    objective = make_regression()

    objective.check(make_dataset(["1", "2.5", "6"]), make_dataset(["-100", "1e9"], "test.csv"))
    with pytest.raises(DataError, match=r"test.csv: row 2: column 'label' is a text"):
        objective.check(make_dataset(["1", "2.5"]), make_dataset(["1", "x"], "test.csv"))
    with pytest.raises(DataError, match="has probabilities, wanted a number"):
        objective.check(make_dataset(["1", SoftLabel({"1": 0.5, "2": 0.5})]))


def test_what_has_moved_is_clipped_to_what_was_seen():
    objective = make_regression()
    outputs, before, after = (np.array([[number]]) for number in (5.5, 2.0, 4.0))

    assert objective.shift_outputs(outputs, before, after) == 6.0
    free = RegressionObjective(Regression(1.0, 6.0, 3.0, 2.0, clips=False))
    assert free.shift_outputs(outputs, before, after) == 7.5
    assert free._line().values[-1] == 6 + 8 * 2  # what is not clipped ends far out


def test_ordered_labels_are_sorted_by_their_numbers():
    task = find_task(["10", "9", "4.5", "10"], {"kind": "ordinal"})

    assert isinstance(task, Ordinal)
    assert task.labels == ("4.5", "9", "10")


def test_ordinal_targets_are_above_every_lower_label():
    objective = make_ordinal()

    targets = objective.encode(["1", "3", "5"])

    np.testing.assert_array_equal(
        objective.logit_targets(targets), [[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]]
    )
    outputs = np.array([[0.1, 0.2, 0.3, 0.2, 0.2]])
    np.testing.assert_allclose(objective.shift_outputs(outputs, outputs, outputs), outputs)
    assert objective.row_scores(outputs, targets[1:2]).tolist() == [1]


def test_ordinal_figures_count_how_far_answers_are():
    objective = make_ordinal(["1", "2", "3"])
    outputs = np.array([[0.6, 0.3, 0.1], [0.4, 0.2, 0.4], [0.0, 0.1, 0.9]])

    figures = objective.evaluate(["1", "1", "3"], outputs)

    assert figures["accuracy"] == pytest.approx(2 / 3)
    assert figures["mae"] == pytest.approx(1 / 3)  # the medians are 1, 2, 3
    assert figures["value_mae"] == pytest.approx((0.5 + 1.0 + 0.1) / 3)
    assert figures["spearman"] == pytest.approx(
        stats.spearmanr([1, 1, 3], [1.5, 2.0, 2.9]).statistic
    )
    assert figures["confusion_matrix"] == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert "mean absolute error" in objective.format_evaluation(figures)


def test_ordinal_labels_may_be_soft():
    labels = [SoftLabel({"1": 0.5, "2": 0.5}), "2", "1", "3"]
    objective = make_ordinal(labels)

    objective.check(make_dataset([*labels, "1", "2", "3"]))

    assert isinstance(objective, OrdinalObjective)
    np.testing.assert_allclose(objective.logit_targets(objective.encode(labels))[0], [0.5, 0])
    loss = objective.excess_losses(np.array([[0.0, -40.0]]), objective.encode(labels[:1]))
    assert math.isclose(loss[0], 0, abs_tol=1e-5)
