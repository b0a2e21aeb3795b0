"""Choosing by cross-validation how strongly each kind of feature counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.optimize import minimize_scalar

from training.answers.calibration import find_mixture
from training.blocks.ngrams import scale_rows
from training.fitting.encoded import Encoded
from training.linear.features import (
    MAX_LETTER_COUNTS,
    Features,
    estimate_letters,
    find_features,
    select_rows,
)
from training.linear.logit import BALANCED, SQUARED
from training.linear.weights import (
    NAIVE_BAYES,
    Plan,
    fit_linear,
    root_length,
    weigh_rare,
)
from training.rows.split import fold_rows
from training.tasks import Objective

CHOOSING_ROWS = 2_000  # by the products of rows with each other
COMPARING_ROWS = 50_000  # by weights
RIDGE = 0.1
NUM_FOLDS = 5
# What is tried in place of the plan's own, in turn.
TRIED = {
    "power": (1.0, 2.0),
    "phrases": (0.35, 1.4, 2.8),
    "letters": (0.0, 0.5, 2.0),
    "vectors": (0.0, 1.0, 4.0),
}
LEFT_OUT = ("letters", "vectors")  # kinds that are not even found where a plan does not count them
CONSTANTS = {"plan_rows": CHOOSING_ROWS, "plan_ridge": RIDGE, "plan_folds": NUM_FOLDS}


Find = Callable[[Encoded, Plan], Features]  # `find_planned`, or one that remembers


def choose_plan(rows: Encoded, objective: Objective, seed: int, find: Find | None = None) -> Plan:
    """Return the plan by which rows out of their folds are told best.

    Of many rows a part is looked at; whether letters pay there, and log-count ratios in place of
    the document frequency, is then compared by weights that are fitted.

    Args:
        find: How the features of rows are found; None: `find_planned`.
    """
    find = find or find_planned
    num_rows = len(rows.token_ids)
    order = np.random.default_rng(seed).permutation(num_rows)
    sample = _sample(rows, order, CHOOSING_ROWS)
    plan = search_plan(find(sample, Plan()), sample, fold(sample, objective, seed), objective)
    if num_rows <= CHOOSING_ROWS:
        return plan
    sample = _sample(rows, order, COMPARING_ROWS)
    tried = {plan, plan._replace(letters=0.0)}
    if objective.linear != SQUARED:  # numbers have no two sides, whose counts could be compared
        tried.add(Plan(NAIVE_BAYES, 1.0, 0.0, 0.0))
    fullest = plan
    if plan.letters and estimate_letters(rows.token_ids, rows.words) > MAX_LETTER_COUNTS:
        tried.remove(plan)
        fullest = plan._replace(letters=0.0)
    features, folds = find(sample, fullest), fold(sample, objective, seed)

    def measure(one: Plan) -> float:
        return _measure_plan(one, features, sample, folds, objective)

    return min(sorted(tried), key=measure)


def _sample(rows: Encoded, order: NDArray[np.int64], num_rows: int) -> Encoded:
    """Return the first rows of an order; the rows themselves where that is all."""
    return rows if len(order) <= num_rows else rows.select(np.sort(order[:num_rows]))


def find_planned(rows: Encoded, plan: Plan) -> Features:
    """Return the features of rows that a plan counts; letters only where words have several."""
    with_letters = plan.letters > 0 and any(len(word) > 1 for word in rows.words[2:])
    vectors = rows.vectors if plan.vectors else None
    return find_features(rows.token_ids, rows.unknown, rows.words, with_letters, vectors)


def fold(rows: Encoded, objective: Objective, seed: int) -> NDArray[np.int64]:
    """Return the fold of each row, int64, shape (rows,); groups stay whole, if there are two."""
    strata = objective.strata(rows.targets)
    folds = fold_rows(rows.groups, strata, NUM_FOLDS, seed)
    if folds.any():
        return folds
    return fold_rows(np.arange(len(strata)), strata, NUM_FOLDS, seed)  # all are one group


def _measure_plan(
    plan: Plan,
    features: Features,
    rows: Encoded,
    folds: NDArray[np.int64],
    objective: Objective,
) -> float:
    """Return the loss of the first fold by weights that are fitted to the others.

    Args:
        features: With all kinds that the plan counts.
        folds: int64, shape (texts,).
    """
    inside, outside = next(_each_fold(folds))
    sides = objective.logit_targets(rows.targets[inside])
    counts_as = rows.weights[inside] if rows.is_weighted else None
    inner = select_rows(features, inside)
    weights = fit_linear(inner, sides, plan, 0, counts_as, objective.linear)
    logits = weights.logits(select_rows(features, outside))
    told = rows.select(outside)
    return find_mixture(logits, told.targets, objective, told.weights).loss


def cross_fit(
    features: Features,
    targets: NDArray[np.floating],
    folds: NDArray[np.int64],
    plan: Plan,
    seed: int,
    counts_as: NDArray[np.floating] | None = None,
    linear: str = BALANCED,
) -> NDArray[np.float32]:
    """Return the logits of each text by weights that were fitted without its fold.

    float32, shape (texts, num_logits).

    Args:
        folds: int64, shape (texts,).
        counts_as, linear: As in `fit_linear`.
    """
    logits = np.zeros((len(folds), targets.shape[1]), np.float32)
    for inside, outside in _each_fold(folds):
        counts = None if counts_as is None else counts_as[inside]
        inner = select_rows(features, inside)
        weights = fit_linear(inner, targets[inside], plan, seed, counts, linear)
        logits[outside] = weights.logits(select_rows(features, outside))
    return logits


def search_plan(
    features: Features, rows: Encoded, folds: NDArray[np.int64], objective: Objective
) -> Plan:
    """Return the plan by which texts of other folds are told best, of a few tried in turn.

    By ridge regression on the texts' products with each other, which is near enough to tell plans
    apart and takes a thousandth of the time.

    Args:
        features: Of the rows.
        folds: int64, shape (texts,).
    """
    kernels = _Kernels(features)
    left_out = {kind: 0.0 for kind in LEFT_OUT if kind not in features.blocks}
    plan = Plan()._replace(**left_out)
    best = _ridge_loss(kernels.mix(plan), rows, folds, objective)
    tried_names = [name for name in TRIED if getattr(plan, name)]
    for name in 2 * tried_names:
        for value in TRIED[name]:
            tried = plan._replace(**{name: value})
            loss = _ridge_loss(kernels.mix(tried), rows, folds, objective)
            if loss < best:
                best, plan = loss, tried
    return plan


class _Kernels:
    """Products of the rows of each kind, by the power of the document frequency."""

    def __init__(self, features: Features) -> None:
        self._features = features
        self._found: dict[tuple[str, float], NDArray[np.float32]] = {}

    def mix(self, plan: Plan) -> NDArray[np.float32]:
        scales = plan.scales(self._features)
        total = sum(scale**2 for scale in scales.values())
        parts = [scale**2 / total * self._get(kind, plan.power) for kind, scale in scales.items()]
        return np.asarray(sum(parts[1:], parts[0]))

    def _get(self, kind: str, power: float) -> NDArray[np.float32]:
        if (kind, power) not in self._found:
            counts = self._features.blocks[kind]
            scaled = scale_rows(counts, root_length(self._features, kind))
            scaled = scaled @ sparse.diags_array(weigh_rare(counts, power))
            kernel = np.asarray((scaled @ scaled.T).todense(), np.float32)
            self._found[kind, power] = kernel / max(float(kernel.trace()) / len(kernel), 1e-9)
        return self._found[kind, power]


def _ridge_loss(
    kernel: NDArray[np.float32], rows: Encoded, folds: NDArray[np.int64], objective: Objective
) -> float:
    """Return the mean loss of texts out of their folds, at the scale of the logits that suits it
    best."""
    sides = objective.logit_targets(rows.targets)
    told = np.zeros(sides.shape)
    for inside, outside in _each_fold(folds):
        counts_as = rows.weights[inside]
        own = kernel[np.ix_(inside, inside)] + np.diag(np.float32(RIDGE) / counts_as)
        means = np.average(sides[inside], axis=0, weights=counts_as)
        duals = linalg.solve(own, sides[inside] - means, assume_a="pos")
        told[outside] = kernel[np.ix_(outside, inside)] @ duals + means
    logits, total = objective.rough_logits(told), float(rows.weights.sum())

    def loss(log_scale: float) -> float:
        scaled = np.exp(log_scale) * logits
        return objective.logits_loss(scaled, rows.targets, rows.weights) / total

    return float(minimize_scalar(loss, bounds=(-1.0, 5.0), method="bounded").fun)


def _each_fold(folds: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    for number in np.unique(folds):
        yield np.flatnonzero(folds != number), np.flatnonzero(folds == number)
