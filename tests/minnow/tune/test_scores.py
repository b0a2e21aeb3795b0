import numpy as np
import pytest

from minnow.tune.scores import (
    Score,
    better_by,
    find_metric,
    mean_score,
    measure_score,
    part_rows,
    standard_error,
)
from training.errors import SettingsError
from training.rows.label_sets import LabelSet
from training.tasks import find_task, make_objective

LABELS = {
    "single-label": ["a", "b"] * 30 + ["c"] * 20,
    "ordinal": ["1", "2", "3", "5"] * 20,
    "regression": [str(number / 4) for number in range(80)],
    "multi-label": [LabelSet({"x": 1.0, "y": float(row % 2)}) for row in range(80)],
}
METRICS = [
    ("single-label", "accuracy"),
    ("single-label", "macro_f1"),
    ("single-label", "log_loss"),
    ("ordinal", "mae"),
    ("ordinal", "spearman"),
    ("regression", "skill"),
    ("regression", "rmse"),
    ("multi-label", "micro_f1"),
    ("multi-label", "mean_average_precision"),
]


def make(kind):
    return make_objective(find_task(LABELS[kind], {"kind": kind}))


@pytest.mark.parametrize(("kind", "metric"), METRICS)
def test_perfect_answers_are_better_than_others_by_every_metric(kind, metric):
    objective, labels = make(kind), LABELS[kind]
    perfect = np.clip(objective.encode(labels), 0.01 if kind != "regression" else None, None)
    worse = np.roll(perfect, 7, axis=0)
    parts = part_rows(np.arange(len(labels)))

    first, second = (
        measure_score(objective, labels, outputs, parts, metric) for outputs in (perfect, worse)
    )

    assert find_metric(objective, labels, metric) == metric
    assert better_by(first, second, metric).value > 0
    assert len(first.without) == 20


def test_the_task_has_a_metric_of_its_own():
    assert {kind: find_metric(make(kind), LABELS[kind], None) for kind in LABELS} == {
        "single-label": "accuracy",
        "ordinal": "accuracy",
        "regression": "skill",
        "multi-label": "sample_f1",
    }


def test_a_metric_that_the_task_has_not_is_refused_with_those_that_it_has():
    with pytest.raises(SettingsError, match="--metric is accuracy, wanted one of .*mae, rmse"):
        find_metric(make("regression"), LABELS["regression"], "accuracy")


def test_the_jackknife_tells_the_standard_error_of_a_mean():
    objective, labels = make("single-label"), ["a", "b"] * 1000
    right = np.random.default_rng(1).random(2000) < 0.8
    columns = (np.arange(2000) % 2) ^ ~right
    outputs = np.eye(3)[columns]

    score = measure_score(objective, labels, outputs, part_rows(np.arange(2000)), "accuracy")

    assert score.value == right.mean()
    # 20 parts tell it within about a sixth.
    assert standard_error(score.without) == pytest.approx((0.8 * 0.2 / 2000) ** 0.5, rel=0.4)


def test_the_score_of_the_task_is_what_leaving_out_parts_would_give():
    objective, labels = make("single-label"), LABELS["single-label"]
    outputs = np.random.default_rng(2).dirichlet(np.ones(3), len(labels))
    parts = part_rows(np.arange(len(labels)))

    fast = measure_score(objective, labels, outputs, parts, "accuracy")

    kept = []
    for part in range(20):
        some = [label for label, own in zip(labels, parts, strict=True) if own != part]
        kept.append(objective.evaluate(some, outputs[parts != part])["accuracy"])
    np.testing.assert_allclose(fast.without, kept, rtol=1e-12, atol=1e-12)


def test_rows_of_one_group_share_a_part():
    groups = np.array([5, 5, 1, 1, 9, 5])

    parts = part_rows(groups)

    assert [len({*parts[groups == group]}) for group in (5, 1, 9)] == [1, 1, 1]


def test_the_difference_of_equal_answers_is_certain():
    score = Score(0.5, [0.4, 0.6, 0.5])

    gain = better_by(score, score, "accuracy")

    assert (gain.value, standard_error(gain.without)) == (0.0, 0.0)


def test_folds_that_differ_more_than_their_rows_tell_the_error():
    value, error = mean_score([Score(number, [number] * 20) for number in (0.1, 0.2, 0.3)])

    assert value == pytest.approx(0.2)
    assert error == pytest.approx(0.1 / 3**0.5)
