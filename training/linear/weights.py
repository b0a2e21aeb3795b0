"""What features weigh: a regression for each logit, and the tables that keep most.

Before it is fitted a feature is scaled by how rare it is (inverse document frequency) or by how
much more often one side has it (naive Bayes' log-count ratios, Wang & Manning 2012), and its whole
kind by a number that the data choose (`training/linear/plan.py`). The scales are in the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training.blocks.ngrams import TAIL_TOKENS, scale_rows
from training.blocks.table import place_features
from training.linear import logit
from training.linear.features import LONG_SHARE, Features, keep_features
from training.linear.logit import BALANCED, PSEUDO_COUNT, fit_logit, weigh_texts

TAIL_SCALE = 0.4
NAIVE_BAYES = -1.0  # in place of a power
CONSTANTS = logit.CONSTANTS | {
    "linear_tail_scale": TAIL_SCALE,
    "linear_long_share": LONG_SHARE,
}


class Plan(NamedTuple):
    """How strongly each kind of feature counts, beside words.

    Args:
        power: Of the inverse document frequency by which features are scaled; `NAIVE_BAYES`: they
            are scaled by log-count ratios.
        phrases, letters, vectors: Scale of the kind; 0 leaves it out.
    """

    power: float = 1.5
    phrases: float = 0.7
    letters: float = 1.0
    vectors: float = 2.0

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
    lengths = features.lengths
    return np.minimum(lengths, TAIL_TOKENS) if kind == "tail" else lengths


def fit_linear(
    features: Features,
    targets: NDArray[np.floating],
    plan: Plan,
    seed: int,
    counts_as: NDArray[np.floating] | None = None,
    linear: str = BALANCED,
) -> Weights:
    """Return the weights, fitted to the texts.

    Args:
        targets: Shape (texts, num_logits), 0 to 1: how far a text is on the side of each logit; to
            be fitted by least squares any number.
        counts_as: Shape (texts,), what each text counts; None: all the same.
        linear: As `Objective.linear` has it.
    """
    scales = plan.scales(features)
    counts = {kind: features.blocks[kind] for kind in scales}
    rows = {kind: scale_rows(block, root_length(features, kind)) for kind, block in counts.items()}
    is_bayes = plan.power == NAIVE_BAYES
    if not is_bayes:
        total = sum(scale**2 for scale in scales.values()) ** 0.5
        rarity = {kind: weigh_rare(block, plan.power) for kind, block in counts.items()}
        for kind, weights in rarity.items():
            rarity[kind] = weights * scales[kind] / _mean_norm(rows[kind], weights) / total
        scaled = _scale(rows, rarity)
    columns = []
    counted = weigh_texts(targets, linear, counts_as)
    for target in targets.T:
        if is_bayes:
            rarity = {
                kind: log_count_ratios(block, target, counts_as) * scales[kind]
                for kind, block in counts.items()
            }
            scaled = _scale(rows, rarity)
        weights, bias = fit_logit(scaled, target, counted, linear, is_bayes, seed)
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


def weigh_rare(counts: sparse.csr_matrix, power: float) -> NDArray[np.float32]:
    """Return (log((1 + texts) / (1 + texts with it)) + 1)^power of each feature, float32, shape
    (features,)."""
    num_texts, num_features = counts.shape
    with_it = np.bincount(counts.indices, minlength=num_features)
    return np.asarray((np.log((1 + num_texts) / (1 + with_it)) + 1) ** power, np.float32)


def log_count_ratios(
    counts: sparse.csr_matrix,
    target: NDArray[np.floating],
    counts_as: NDArray[np.floating] | None = None,
) -> NDArray[np.float32]:
    """Return log((p / |p|) / (q / |q|)) of Wang & Manning (2012), eq. 2, for each feature.

    Args:
        counts: Shape (texts, features), how often a text has a feature.
        target: Shape (texts,), 0 to 1: a text that is on both sides counts in part on each.
        counts_as: As in `fit_linear`.

    Returns:
        float32, shape (features,).
    """
    weights = np.ones(len(target)) if counts_as is None else counts_as.astype(np.float64)
    inside = PSEUDO_COUNT + counts.T @ (weights * target)
    outside = PSEUDO_COUNT + counts.T @ (weights * (1 - target))
    ratios = np.log((inside / inside.sum()) / (outside / outside.sum()))
    return np.asarray(ratios, np.float32)


def _mean_norm(rows: sparse.csr_matrix, scales: NDArray[np.float32]) -> float:
    squares = rows.multiply(rows) @ (scales**2)
    return max(float(np.sqrt(squares.mean())), 1e-9)


def _scale(
    rows: Mapping[str, sparse.csr_matrix], scales: Mapping[str, NDArray[np.float32]]
) -> sparse.csr_matrix:
    """Return the rows of all kinds side by side, each feature times its scale."""
    parts = [block @ sparse.diags_array(scales[kind]) for kind, block in rows.items()]
    return sparse.csr_matrix(sparse.hstack(parts))


def fit_tables(
    features: Features,
    token_ids: Sequence[Sequence[int]],
    unknown: Sequence[Sequence[str]],
    targets: NDArray[np.floating],
    plan: Plan,
    num_places: Mapping[str, int],
    seed: int,
    counts_as: NDArray[np.floating] | None = None,
    linear: str = BALANCED,
) -> tuple[Features, dict[str, NDArray[np.uint8]], Weights]:
    """Return the features that tables of the given sizes keep, those tables, and the weights.

    Fitted twice: over all features, to choose, and over what is kept.

    Args:
        num_places: Kind -> places.
        counts_as, linear: As in `fit_linear`.
    """
    weights = fit_linear(features, targets, plan, seed, counts_as, linear)
    tables = choose_places(features, weights, num_places)
    kept = keep_features(features, token_ids, unknown, tables)
    return kept, tables, fit_linear(kept, targets, plan, seed, counts_as, linear)
