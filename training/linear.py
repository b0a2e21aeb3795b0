"""The linear half: how strongly each kind of feature counts, and what each weighs.

One-against-the-rest logistic regression over words, phrases and runs of letters. Before it is
fitted a feature is scaled by how rare it is (inverse document frequency) or by how much more often
one side has it (naive Bayes' log-count ratios, Wang & Manning 2012), and its whole kind by a number
that the data choose by cross-validation. What is fitted are weights, in which the scales are.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.optimize import minimize_scalar
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from training.blocks.ngrams import scale_rows
from training.blocks.table import place_features
from training.features import Features

PENALTY_C = 20.0  # inverse strength of the L2 penalty, of rows whose norm is about 1
NB_PENALTY_C = 32.0
PSEUDO_COUNT = 1.0
TAIL_SCALE = 0.4
TOLERANCE = 1e-3  # liblinear's, and its passes at most
MAX_PASSES = 300
NAIVE_BAYES = -1.0  # in place of a power
CHOOSING_ROWS = 2_000
RIDGE = 0.1
CONSTANTS = {
    "linear_penalty_c": PENALTY_C,
    "linear_tail_scale": TAIL_SCALE,
    "linear_tolerance": TOLERANCE,
    "linear_max_passes": MAX_PASSES,
}


class Plan(NamedTuple):
    """How strongly each kind of feature counts, beside words.

    Args:
        power: Of the inverse document frequency by which features are scaled; `NAIVE_BAYES`: they
            are scaled by log-count ratios.
        phrases, letters: Scale of the kind; 0 leaves it out.
    """

    power: float = 1.5
    phrases: float = 0.7
    letters: float = 1.0

    def scales(self, features: Features) -> dict[str, float]:
        """Return kind -> its scale, of the kinds that stand in the plan and in the features."""
        all_scales = {"words": 1.0, "tail": TAIL_SCALE, **self._asdict()}
        return {kind: all_scales[kind] for kind in features.blocks if all_scales[kind]}


class Weights(NamedTuple):
    """What features weigh: their sum over the root of the tokens, plus the bias, are the logits.

    Args:
        blocks: Kind -> float32, shape (features, num_logits).
        bias: float32, shape (num_logits,).
    """

    blocks: dict[str, NDArray[np.float32]]
    bias: NDArray[np.float32]

    def logits(self, features: Features) -> NDArray[np.float32]:
        """Return float32, shape (texts, num_logits)."""
        sums = [
            scale_rows(features.blocks[kind], root_length(features, kind)) @ weights
            for kind, weights in self.blocks.items()
        ]
        return np.asarray(sum(sums[1:], sums[0]) + self.bias, np.float32)


def root_length(features: Features, kind: str) -> NDArray[np.int64]:
    """Return the number of tokens, of the root of which a kind's sums are a part."""
    from training.blocks.ngrams import TAIL_TOKENS

    lengths = features.lengths
    return np.minimum(lengths, TAIL_TOKENS) if kind == "tail" else lengths


def fit_linear(features: Features, targets: NDArray[np.floating], plan: Plan, seed: int) -> Weights:
    """Return the weights, fitted to the texts.

    Args:
        targets: Shape (texts, num_logits), 0 to 1: on which side of each logit a text is.
    """
    scales = plan.scales(features)
    counts = {kind: features.blocks[kind] for kind in scales}
    rows = {kind: scale_rows(block, root_length(features, kind)) for kind, block in counts.items()}
    is_bayes = plan.power == NAIVE_BAYES
    if not is_bayes:
        rarity = {
            kind: weigh_rare(block, plan.power) * scales[kind] / norm
            for kind, block in counts.items()
            for norm in [_mean_norm(rows[kind], weigh_rare(block, plan.power))]
        }
        total = sum(scale**2 for scale in scales.values()) ** 0.5
        rarity = {kind: scale / total for kind, scale in rarity.items()}
        scaled = _stack([rows[kind] @ sparse.diags_array(rarity[kind]) for kind in rows])
    columns = []
    for target in targets.T > 0.5:
        if is_bayes:
            rarity = {
                kind: log_count_ratios(block, target) * scales[kind]
                for kind, block in counts.items()
            }
            scaled = _stack([rows[kind] @ sparse.diags_array(rarity[kind]) for kind in rows])
        weights, bias = _fit_column(scaled, target, NB_PENALTY_C if is_bayes else PENALTY_C, seed)
        columns.append((weights * np.concatenate(list(rarity.values())), bias))
    weights = np.stack([weights for weights, _ in columns], axis=-1).astype(np.float32)
    ends = np.cumsum([block.shape[1] for block in counts.values()])[:-1]
    parts = dict(zip(counts, np.split(weights, ends), strict=True))
    return Weights(parts, np.array([bias for _, bias in columns], np.float32))


def choose_places(
    features: Features, weights: Weights, num_places: Mapping[str, int]
) -> dict[str, NDArray[np.uint8]]:
    """Return tables of the features that weigh most: kind -> fingerprints, uint8, (places,)."""
    tables = {}
    for kind, places in num_places.items():
        own = weights.blocks.get(kind)
        hashes = features.hashes.get(kind, np.empty(0, np.int64))
        if own is None or not len(hashes):
            tables[kind] = np.zeros(places, np.uint8)
            continue
        counts = np.asarray(features.blocks[kind].sum(axis=0)).ravel()
        tables[kind] = place_features(hashes, np.abs(own).max(axis=1) * np.sqrt(counts), places)
    return tables


def select_rows(features: Features, rows: NDArray[np.int64]) -> Features:
    """Return the features of some texts; int64, shape (texts that stay,)."""
    blocks = {kind: block[rows] for kind, block in features.blocks.items()}
    return Features(blocks, features.lengths[rows], features.hashes, features.word_runs)


def cross_fit(
    features: Features,
    targets: NDArray[np.floating],
    folds: NDArray[np.int64],
    plan: Plan,
    seed: int,
) -> NDArray[np.float32]:
    """Return the logits of each text by weights that were fitted without its fold.

    float32, shape (texts, num_logits).

    Args:
        folds: int64, shape (texts,).
    """
    logits = np.zeros((len(folds), targets.shape[1]), np.float32)
    for inside, outside in _each_fold(folds):
        weights = fit_linear(select_rows(features, inside), targets[inside], plan, seed)
        logits[outside] = weights.logits(select_rows(features, outside))
    return logits


def choose_plan(
    features: Features, targets: NDArray[np.floating], folds: NDArray[np.int64]
) -> Plan:
    """Return the plan by which texts of other folds are told best, of a few tried in turn.

    By ridge regression on the texts' products with each other, which is near enough to tell plans
    apart and takes a thousandth of the time.

    Args:
        targets: Shape (texts, num_outputs), 0 to 1; of many texts the first `CHOOSING_ROWS`.
    """
    chosen = np.arange(min(len(folds), CHOOSING_ROWS))
    kernels = _Kernels(select_rows(features, chosen))
    targets, folds = targets[chosen], folds[chosen]
    plan = Plan(letters=1.0 if "letters" in features.blocks else 0.0)
    best = _ridge_loss(kernels.mix(plan), targets, folds)
    candidates = {"power": (1.0, 2.0), "phrases": (0.35, 1.4, 2.8), "letters": (0.0, 0.5, 2.0)}
    if not plan.letters:
        del candidates["letters"]
    with threadpool_limits(1):  # small products, which threads would only slow down
        for name, values in 2 * list(candidates.items()):
            for value in values:
                tried = plan._replace(**{name: value})
                loss = _ridge_loss(kernels.mix(tried), targets, folds)
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
    kernel: NDArray[np.float32], targets: NDArray[np.floating], folds: NDArray[np.int64]
) -> float:
    """Return the log loss of texts out of their folds, at the temperature that suits it best."""
    scores = np.zeros(targets.shape)
    for inside, outside in _each_fold(folds):
        own = kernel[np.ix_(inside, inside)] + RIDGE * np.eye(len(inside), dtype=np.float32)
        means = targets[inside].mean(axis=0)
        duals = linalg.solve(own, targets[inside] - means, assume_a="pos")
        scores[outside] = kernel[np.ix_(outside, inside)] @ duals + means

    def loss(log_scale: float) -> float:
        logits = np.exp(log_scale) * scores
        logits = logits - logits.max(axis=1, keepdims=True)
        return float((np.log(np.exp(logits).sum(axis=1)) - (targets * logits).sum(axis=1)).mean())

    return float(minimize_scalar(loss, bounds=(-1.0, 4.0), method="bounded").fun)


def _each_fold(folds: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    for fold in np.unique(folds):
        yield np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)


def weigh_rare(counts: sparse.csr_matrix, power: float) -> NDArray[np.float32]:
    """Return (log((1 + texts) / (1 + texts with it)) + 1)^power of each feature, float32, shape
    (features,)."""
    num_texts, num_features = counts.shape
    with_it = np.bincount(counts.indices, minlength=num_features)
    return ((np.log((1 + num_texts) / (1 + with_it)) + 1) ** power).astype(np.float32)


def log_count_ratios(counts: sparse.csr_matrix, target: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return log((p / |p|) / (q / |q|)) of Wang & Manning (2012), eq. 2, for each feature.

    Args:
        counts: Shape (texts, features), how often a text has a feature.
        target: bool, shape (texts,).

    Returns:
        float32, shape (features,).
    """
    inside = PSEUDO_COUNT + np.asarray(counts[target].sum(axis=0)).ravel()
    outside = PSEUDO_COUNT + np.asarray(counts[~target].sum(axis=0)).ravel()
    ratios = np.log((inside / inside.sum()) / (outside / outside.sum()))
    return np.asarray(ratios, np.float32)


def _mean_norm(rows: sparse.csr_matrix, scales: NDArray[np.float32]) -> float:
    squares = rows.multiply(rows) @ (scales**2)
    return max(float(np.sqrt(squares.mean())), 1e-9)


def _stack(parts: Sequence[sparse.csr_matrix]) -> sparse.csr_matrix:
    return sparse.csr_matrix(sparse.hstack(parts))


def _fit_column(
    scaled: sparse.csr_matrix, target: NDArray[np.bool_], penalty: float, seed: int
) -> tuple[NDArray[np.float32], float]:
    num_inside = int(target.sum())
    if num_inside in (0, len(target)):  # one side only: nothing to tell apart
        inside, outside = PSEUDO_COUNT + num_inside, PSEUDO_COUNT + len(target) - num_inside
        return np.zeros(scaled.shape[1], np.float32), float(np.log(inside / outside))
    solver = LogisticRegression(
        C=penalty,
        solver="liblinear",
        dual=True,
        tol=TOLERANCE,
        max_iter=MAX_PASSES,
        random_state=seed,
    )
    with warnings.catch_warnings():
        # The last passes move the weights by less than the table's int8 keeps.
        warnings.simplefilter("ignore", ConvergenceWarning)
        solver.fit(scaled, target)
    return solver.coef_[0].astype(np.float32), float(solver.intercept_[0])
