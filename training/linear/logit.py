"""The regression of one logit, and what each text counts in it.

All labels count the same, however few texts one has: a strong penalty, as few texts need it, would
else leave rare labels to the bias alone. How frequent a label is, is said by shifts that are found
out of folds (`training/answers/calibration.py`). On 100 rows of 3 labels, one of them of 63 %, both
are worth 4 points of accuracy and 15 of macro F1; on 2,000 rows 1 and 3.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVR

PENALTY_C = 20.0  # inverse strength of the L2 penalty, of rows whose norm is about 1
NB_PENALTY_C = 32.0
PSEUDO_COUNT = 1.0
TOLERANCE = 1e-3  # liblinear's, and its passes at most
MAX_PASSES = 300
SQUARED_PENALTY_C = 1.0  # of squared errors of targets whose variance is 1
BALANCE, SEVERAL_PENALTY_C = 0.5, 5.0  # where a text can have several labels
# How each logit is learned (`Objective.linear`): by logistic regression where all labels count the
# same, each label counts as `balance_sides` says, or all as they are; or by least squares with an
# L2 penalty (ridge regression).
BALANCED, SEVERAL, LOGISTIC, SQUARED = "balanced", "several", "logistic", "squared"
CONSTANTS = {
    "linear_penalty_c": PENALTY_C,
    "linear_bayes_penalty_c": NB_PENALTY_C,
    "linear_squared_penalty_c": SQUARED_PENALTY_C,
    "linear_balance_of_several": BALANCE,
    "linear_penalty_c_of_several": SEVERAL_PENALTY_C,
    "linear_pseudo_count": PSEUDO_COUNT,
    "linear_tolerance": TOLERANCE,
    "linear_max_passes": MAX_PASSES,
}


def weigh_texts(
    targets: NDArray[np.floating], linear: str, counts_as: NDArray[np.floating] | None = None
) -> NDArray[np.float64]:
    """Return what each text counts, shape (texts,).

    Args:
        targets, linear, counts_as: As in `fit_linear`.
    """
    if linear == BALANCED:
        return balance_labels(targets, counts_as)
    return np.ones(len(targets)) if counts_as is None else np.asarray(counts_as, np.float64)


def fit_logit(
    scaled: sparse.csr_matrix,
    target: NDArray[np.floating],
    counts_as: NDArray[np.floating],
    linear: str,
    is_bayes: bool,
    seed: int,
) -> tuple[NDArray[np.float32], float]:
    """Return the weights of the features, float32, shape (features,), and the bias.

    Args:
        scaled: The features of each text, shape (texts, features).
        target: Shape (texts,).
        counts_as: As `weigh_texts` gives it.
        linear: As in `fit_linear`.
        is_bayes: Features are scaled by log-count ratios.
    """
    if linear == SQUARED:
        return _fit_squares(scaled, target, counts_as, seed)
    if linear == SEVERAL:
        balanced, shift = balance_sides(target, counts_as)
        weights, bias = _fit_column(scaled, target, balanced, SEVERAL_PENALTY_C, seed)
        return weights, bias + shift
    return _fit_column(scaled, target, counts_as, NB_PENALTY_C if is_bayes else PENALTY_C, seed)


def balance_labels(
    targets: NDArray[np.floating], counts_as: NDArray[np.floating] | None = None
) -> NDArray[np.float64]:
    """Return what each text counts where all labels count the same; shape (texts,), 1 in the mean.

    Args:
        targets, counts_as: As in `fit_linear`.
    """
    weights = np.ones(len(targets)) if counts_as is None else np.asarray(counts_as, np.float64)
    sides = np.asarray(targets, np.float64)
    if sides.shape[1] == 1:  # the logit of the second of two labels
        sides = np.hstack([1 - sides, sides])
    shares = np.average(sides, axis=0, weights=weights)
    sides, shares = sides[:, shares > 0], shares[shares > 0]
    return np.asarray(weights * (sides / (len(shares) * shares)).sum(axis=1))


def balance_sides(
    target: NDArray[np.floating], counts_as: NDArray[np.floating] | None = None
) -> tuple[NDArray[np.float64], float]:
    """Return what each text counts for one label of several that it can have, shape (texts,); and
    what is to be added to the logits, so that they are those of texts that count the same.

    Texts with the label count the more, the fewer they are, to the power `BALANCE`: at 1 as much as
    all those without it. Their log odds are then too high by the logarithm of that (King & Zeng,
    "Logistic Regression in Rare Events Data", 2001, prior correction).

    Args:
        target: Shape (texts,), 0 to 1: how far a text has the label.
        counts_as: As in `fit_linear`.
    """
    weights = np.ones(len(target)) if counts_as is None else np.asarray(counts_as, np.float64)
    side = np.asarray(target, np.float64)
    share = float(np.average(side, weights=weights))
    if not 0 < share < 1:
        return weights, 0.0
    inside, outside = (2 * share) ** -BALANCE, (2 * (1 - share)) ** -BALANCE
    balanced = weights * (side * inside + (1 - side) * outside)
    return balanced, float(np.log(outside / inside))


def _fit_column(
    scaled: sparse.csr_matrix,
    target: NDArray[np.floating],
    counts_as: NDArray[np.floating],
    penalty: float,
    seed: int,
) -> tuple[NDArray[np.float32], float]:
    if len(np.unique(target)) == 1 and target[0] in (0, 1):  # one side: nothing to tell apart
        total = float(counts_as.sum())
        inside, outside = PSEUDO_COUNT + total * target[0], PSEUDO_COUNT + total * (1 - target[0])
        return np.zeros(scaled.shape[1], np.float32), float(np.log(inside / outside))
    solver = LogisticRegression(
        C=penalty,
        solver="liblinear",
        dual=True,
        tol=TOLERANCE,
        max_iter=MAX_PASSES,
        random_state=seed,
    )
    sides, weights = target > 0.5, counts_as
    if ((target > 0) & (target < 1)).any():  # a soft one is on both sides, each in part
        both = np.concatenate([target, 1 - target]) * np.tile(weights, 2)
        used = np.flatnonzero(both)
        sides, weights = used < len(target), both[used]
        scaled = scaled[used % len(target)]
    with warnings.catch_warnings():
        # The last passes move the weights by less than the table's int8 keeps.
        warnings.simplefilter("ignore", ConvergenceWarning)
        solver.fit(scaled, sides, sample_weight=weights)
    return solver.coef_[0].astype(np.float32), float(solver.intercept_[0])


def _fit_squares(
    scaled: sparse.csr_matrix,
    target: NDArray[np.floating],
    counts_as: NDArray[np.floating],
    seed: int,
) -> tuple[NDArray[np.float32], float]:
    """Return ridge regression's weights and bias, by liblinear's dual coordinate descent."""
    solver = LinearSVR(
        C=SQUARED_PENALTY_C,
        loss="squared_epsilon_insensitive",
        epsilon=0.0,
        dual=True,
        tol=TOLERANCE,
        max_iter=MAX_PASSES,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # as in `_fit_column`
        solver.fit(scaled, target, sample_weight=counts_as)
    return solver.coef_.astype(np.float32), float(np.ravel(solver.intercept_)[0])
