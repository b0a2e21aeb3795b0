"""What the linear half says of rows that it was not fitted to: calibrated, without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from handler.inference.tokenizer import Tokenizer
from training.answers.calibration import Calibration, find_mixture
from training.fitting.encoded import Encoded, encode_part, join_encoded
from training.linear.features import MAX_LETTER_COUNTS, estimate_letters, select_rows
from training.linear.plan import cross_fit, find_planned, fold, search_plan
from training.linear.weights import Plan, fit_linear
from training.recipe_settings import read_settings
from training.rows.data import Data, whole_part
from training.tasks import Objective
from training.tokenizer import train_tokenizer

# The plan is chosen by fewer rows than training takes: of AG News the search among 2,000 takes as
# long as all five fits of 5,000, and the rows out of their folds are told no better (88.1 %).
PLAN_ROWS = 1_000
# Few rows are folded several times, each time otherwise. By the mean of two foldings of TREC's
# questions, 5 or 10 % of the labels wrong, three more of a hundred suspects are wrong indeed.
FOLDED_ROWS, MOST_FOLDINGS = 5_000, 5


def encode_dataset(data: Data) -> Encoded:
    """Return all training rows as a model of the default recipe reads them."""
    part = whole_part(data.train, data.train.overlaps.groups)
    return encode_part(part, train_speller(data.train.texts), data.objective)


def train_speller(texts: Iterable[str]) -> Tokenizer:
    """Return the default recipe's tokenizer of texts, which spells unknown words."""
    settings = read_settings()[0]
    tokenizer = train_tokenizer(texts, settings.vocab_size, settings.max_length)
    tokenizer.reads_letters = True
    return tokenizer


def choose_quick_plan(rows: Encoded, objective: Objective, seed: int) -> Plan:
    """Return how strongly each kind of feature counts, chosen by a part of the rows.

    Letters are left out where they would take long.
    """
    order = np.random.default_rng(seed).permutation(len(rows.token_ids))
    sample = rows.select(np.sort(order[:PLAN_ROWS]))
    features, folds = find_planned(sample, Plan()), fold(sample, objective, seed)
    plan = search_plan(features, sample, folds, objective)
    if estimate_letters(rows.token_ids, rows.words) > MAX_LETTER_COUNTS:
        plan = plan._replace(letters=0.0)
    return plan


def predict_out_of_fold(
    rows: Encoded, objective: Objective, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return what the linear half says of each row, fitted to the rows of other folds.

    Near duplicates share a fold. One temperature for all rows and a shift for each logit make the
    loss least.

    Returns:
        float64, shape (rows, num_outputs), the probability of each label, rows sum to 1; and bool,
        shape (rows,), whether they say anything: not where all rows of a label share a fold, as
        then no model has seen the label, and its targets stand there.
    """
    plan = choose_quick_plan(rows, objective, seed)
    features = find_planned(rows, plan)
    targets = objective.logit_targets(rows.targets)
    counts_as = rows.weights if rows.is_weighted else None
    num_rows = len(rows.token_ids)
    sums, num_told = np.zeros(rows.targets.shape), np.zeros(num_rows)
    for number in range(seed, seed + min(MOST_FOLDINGS, max(1, FOLDED_ROWS // num_rows))):
        folds = fold(rows, objective, number)
        is_told = find_told(rows, folds)
        logits = cross_fit(features, targets, folds, plan, seed, counts_as)
        calibration = find_calibration(logits[is_told], rows.targets[is_told], objective)
        sums[is_told] += soften(logits[is_told], calibration, objective)
        num_told += is_told
    told = num_told > 0
    sums[~told] = rows.targets[~told]
    return sums / np.maximum(num_told, 1)[:, None], told


def find_told(rows: Encoded, folds: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return of which rows another fold has the label too, bool, shape (rows,)."""
    labels = rows.targets.argmax(axis=1)
    counts = np.zeros((folds.max() + 1, rows.targets.shape[1]), np.int64)
    np.add.at(counts, (folds, labels), 1)
    return np.asarray(counts[folds, labels] < counts.sum(axis=0)[labels])


def find_calibration(
    logits: NDArray[np.float32], targets: NDArray[np.float32], objective: Objective
) -> Calibration:
    """Return the scale and the shifts at which the loss of the rows is least."""
    if not len(logits):
        return Calibration(np.ones(1), np.zeros(objective.num_logits), 0.0)
    return find_mixture(logits, targets, objective)


def fit_and_predict(
    rows: Encoded, others: Encoded, objective: Objective, seed: int
) -> NDArray[np.float64]:
    """Return what the linear half, fitted to all of some rows, says of others, calibrated.

    Args:
        others: Rows of the same vocabulary, whose targets are not looked at.

    Returns:
        float64, shape (others, num_outputs).
    """
    both = join_encoded(rows, others)
    plan = choose_quick_plan(rows, objective, seed)
    if estimate_letters(both.token_ids, both.words) > MAX_LETTER_COUNTS:
        plan = plan._replace(letters=0.0)
    features = find_planned(both, plan)
    num_rows = len(rows.token_ids)
    known = select_rows(features, np.arange(num_rows))
    targets = objective.logit_targets(rows.targets)
    folds = fold(rows, objective, seed)
    logits, is_told = cross_fit(known, targets, folds, plan, seed), find_told(rows, folds)
    calibration = find_calibration(logits[is_told], rows.targets[is_told], objective)
    weights = fit_linear(known, targets, plan, seed)
    outside = select_rows(features, np.arange(num_rows, len(both.token_ids)))
    return soften(weights.logits(outside), calibration, objective)


def soften(
    logits: NDArray[np.float32], calibration: Calibration, objective: Objective
) -> NDArray[np.float64]:
    """Return the probabilities of logits, (rows, num_logits); float64, (rows, num_outputs)."""
    moved = calibration.scales[0] * logits.astype(np.float64) + calibration.shifts
    return np.asarray(objective.outputs_of(moved), np.float64)
