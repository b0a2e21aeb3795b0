"""What answers are worth by a metric, how far that may be luck, and which of two is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.errors import SettingsError
from training.tasks import Objective

# Figures of `Objective.evaluate` by which models can be chosen.
HIGHER = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "average_precision",
    "micro_f1",
    "sample_f1",
    "exact_match",
    "mean_average_precision",
    "skill",
    "r2",
    "spearman",
)
LOWER = ("log_loss", "calibration_error", "ranking_loss", "mae", "rmse", "loss")
NUM_PARTS = 20  # of the rows, each of which is left out once for the standard error
NAMED_ROWS = 200  # that tell which figures a task has


@dataclass(frozen=True)
class Score:
    """What the answers to some rows are worth.

    Args:
        value: By the metric, in its own unit.
        without: The same without each part of the rows in turn: a jackknife.
    """

    value: float
    without: list[float] = field(default_factory=list)


def find_metric(objective: Objective, labels: Sequence[str], wanted: str | None) -> str:
    """Return the metric by which models are compared: the task's own score, if none is wanted.

    Args:
        labels: Of the training rows.

    Raises:
        SettingsError: The task has no such metric.
    """
    if wanted is None:
        return objective.score_name
    some = labels[:: max(1, len(labels) // NAMED_ROWS)]
    known = objective.evaluate(some, objective.encode(some)).keys() & {*HIGHER, *LOWER}
    if wanted not in known:
        names = ", ".join(name for name in (*HIGHER, *LOWER) if name in known)
        raise SettingsError(
            f"--metric is {wanted}, wanted one of the task {objective.task.kind}: {names}."
        )
    return wanted


def part_rows(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the part of each row for the jackknife; rows of one group share one.

    Args:
        groups: int64, shape (rows,).
    """
    _, numbers = np.unique(groups, return_inverse=True)
    order = np.random.default_rng(0).permutation(numbers.max() + 1)
    return np.asarray(order[numbers] % NUM_PARTS, np.int64)


def measure_score(
    objective: Objective,
    labels: Sequence[str],
    outputs: NDArray[np.floating[Any]],
    parts: NDArray[np.int64],
    metric: str,
) -> Score:
    """Return what the outputs are worth.

    Args:
        labels: True label of each row.
        outputs: Floats, shape (rows, num_outputs).
        parts: int64, shape (rows,), as `part_rows` gives them.

    Raises:
        SettingsError: The rows have no such figure, as Spearman's of equal numbers.
    """

    def measure(kept: NDArray[np.bool_]) -> float:
        some = [label for label, is_kept in zip(labels, kept.tolist(), strict=True) if is_kept]
        return _read(objective, some, outputs[kept], metric)

    everything = np.ones(len(labels), np.bool_)
    if metric == objective.score_name:  # a mean of rows: all at once
        scores = objective.row_scores(outputs, objective.encode(labels))
        counts = np.bincount(parts, minlength=NUM_PARTS)
        sums = np.bincount(parts, scores, NUM_PARTS)
        rest = np.maximum(counts.sum() - counts, 1)
        without = np.where(counts > 0, (scores.sum() - sums) / rest, scores.mean())
        return Score(float(scores.mean()), without.tolist())
    whole = measure(everything)
    return Score(
        whole,
        [
            measure(parts != part) if 0 < (parts == part).sum() < len(parts) else whole
            for part in range(NUM_PARTS)
        ],
    )


def standard_error(without: Sequence[float]) -> float:
    """Return the standard error that a jackknife tells (Tukey 1958): of what is left without each
    part in turn."""
    values = np.asarray(without, np.float64)
    num_parts = len(values)
    if num_parts < 2:
        return 0.0
    return float((((values - values.mean()) ** 2).sum() * (num_parts - 1) / num_parts) ** 0.5)


def better_by(first: Score, second: Score, metric: str) -> Score:
    """Return by how much the first is better, above 0 whichever way the metric goes."""
    sign = -1.0 if metric in LOWER else 1.0
    pairs = zip(first.without, second.without, strict=True)
    return Score(sign * (first.value - second.value), [sign * (one - two) for one, two in pairs])


def mean_score(scores: Sequence[Score]) -> tuple[float, float]:
    """Return the mean of several folds, and its standard error.

    The error is that of the rows; where three folds or more differ by more, it is that.
    """
    values = np.array([score.value for score in scores])
    errors = np.array([standard_error(score.without) for score in scores])
    error = float((errors**2).sum() ** 0.5) / len(scores)
    if len(scores) > 2:
        error = max(error, float(values.std(ddof=1)) / len(scores) ** 0.5)
    return float(values.mean()), error


def expect_gains(gains: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return what each candidate is expected to gain, and how far that may be from it, both 0
    where all gains may be luck.

    Empirical Bayes: true gains are normal about 0, with the variance that is left of the gains
    above 0 when their errors are taken away; so each is shrunk, the more the less sure it is
    (Efron and Morris 1973). Gains below 0 do not count for the variance: what does much harm says
    nothing of what the best one gains.

    Args:
        gains: Of each candidate, with its standard error.
    """
    above = [gain**2 - error**2 for gain, error in gains if gain > 0]
    variance = max(0.0, sum(above) / max(1, len(above)))
    if not variance:
        return [(0.0, 0.0)] * len(gains)
    shares = [variance / (variance + error**2) for _, error in gains]
    pairs = zip(shares, gains, strict=True)
    return [(share * gain, share**0.5 * error) for share, (gain, error) in pairs]


def _read(
    objective: Objective, labels: Sequence[str], outputs: NDArray[np.floating[Any]], metric: str
) -> float:
    value = objective.evaluate(labels, outputs)[metric]
    if value is None:
        raise SettingsError(f"--metric {metric}: these rows have none, as all are equal.")
    return float(value)
