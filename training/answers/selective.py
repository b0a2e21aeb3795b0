"""What rows that a model was not fitted to decide of its selective answers.

Below which score a text is not answered, which texts are out of scope, and how likely a label must
be to stand in a set (`handler/inference/tasks/selective.py`); and how good all that is on rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.inference.tasks import Selective, Task
from handler.inference.tasks.label_sets import LabelSets
from handler.inference.tasks.scope import DIGITS, MAX_NATS, Scope
from handler.inference.tasks.selective import Abstain
from training.errors import SettingsError
from training.fitting.encoded import Encoded
from training.progress import say
from training.tasks import SELECTIVE_AIMS, Floats, Objective
from training.tokenizer import UNKNOWN_ID

# Of the own rows, where answers may be withheld and nothing else is asked: a hundredth is withheld,
# and of film reviews sent to an intent model, and back, 97 to 100 % (docs/tasks.md).
SCOPE_COVERAGE = 0.99
UNSEEN = 0.5  # how often a word counts that no training row has
# Standard deviations of a scope are this at least: rows of one length have none.
MIN_SPREAD = 0.05
COVERAGES = tuple(number / 100 for number in range(50, 100)) + (0.995, 0.999)
TOLD_COVERAGE = 0.9  # of the sets that a report tells of
# Of 450 answered rows the mistakes that are expected count as much as those that were counted, of
# 10,000 a twentieth: there the regression's own error is larger than that of counting.
EXPECTED_ROWS = 500
MORE_MISTAKES = 1.0  # than are expected of the answered rows
NEWTON_STEPS = 30
CLOSEST = 1e-6  # of a score, to 0 and to 1
DECIMALS = 6  # of thresholds; they are rounded down, so that nothing is withheld by rounding


def settle_selective(
    objective: Objective, outputs: Floats, rows: Encoded, learned: Encoded
) -> Task:
    """Return the objective's task with all that its aims want of selective answers; the task itself
    where they want nothing.

    Args:
        outputs: Floats, shape (rows, num_outputs): of rows that the model was not fitted to.
        rows: These rows, with offsets where they are among `learned`.
        learned: The rows that the model was fitted to.

    Raises:
        SettingsError: No score reaches the accuracy, or there are too few rows to tell; says what
            is reached and how many are needed.
    """
    aims, task = objective.aims, objective.task
    accuracy, has_sets = aims.get("abstain_accuracy"), aims.get("label_sets", False)
    scope = _settle_scope(aims, rows, learned) if accuracy or "scope_coverage" in aims else None
    abstain = None
    if accuracy:
        is_in = np.ones(len(outputs), np.bool_)
        if scope is not None:
            is_in = measure_distances(scope, rows, learned) <= scope.max_distance
        scores = read_scores(task, outputs[is_in])
        is_right = objective.row_scores(outputs[is_in], rows.targets[is_in]) > 0
        abstain = Abstain(accuracy, find_min_score(scores, is_right, accuracy))
    sets = find_label_sets(outputs, rows.targets) if has_sets else None
    if abstain is None and scope is None and sets is None:
        return task
    return Selective(task, abstain, scope, sets)


def check_selective_aims(aims: Mapping[str, Any], num_rows: int) -> None:
    """Raise SettingsError for aims that nothing can reach with so many rows, before training."""
    for name in ("abstain_accuracy", "scope_coverage"):
        value = aims.get(name, 0.5)
        if not 0 < value < 1:  # nor NaN
            flag = name.replace("_", "-")
            raise SettingsError(f"--{flag} is {value:g}, wanted a number between 0 and 1.")
    if "abstain_accuracy" in aims and num_rows < (needed := count_needed(aims)):
        raise SettingsError(
            f"there are {num_rows} rows, and --abstain-accuracy {aims['abstain_accuracy']:g} needs "
            f"{needed} or more that the model was not fitted to and is right about. Add rows, or "
            "promise less."
        )


def count_needed(aims: Mapping[str, Any]) -> int:
    """Return how many rows without a mistake an accuracy needs: 0.98 -> 49."""
    accuracy: float = aims["abstain_accuracy"]
    return math.ceil(round(MORE_MISTAKES / (1 - accuracy), DECIMALS)) - 1


def leave_selective(aims: Mapping[str, Any]) -> dict[str, Any]:
    """Return the aims that training depends on: unfinished training goes on with other ones of
    selective answers, which are settled at its end."""
    return {name: value for name, value in aims.items() if name not in SELECTIVE_AIMS}


def find_min_score(
    scores: NDArray[np.float64], is_right: NDArray[np.bool_], accuracy: float
) -> float:
    """Return the lowest score at which so large a share of the answers is right; 0 where that is so
    of all rows.

    Few rows tell little of the rare mistakes above a threshold, and of all thresholds that seem to
    do, the lowest is one of those that were lucky. So the share of mistakes above it is that of the
    rows and of `EXPECTED_ROWS` more, as a logistic regression expects them (of being right on the
    log odds of the score, Platt 1999: two numbers that all rows tell), and one mistake more is
    counted (Laplace's rule). docs/tasks.md has what other rules gave.

    Args:
        scores: Of the answers, 0 to 1, shape (rows,).
        is_right: Shape (rows,).

    Raises:
        SettingsError: No score reaches it; says what is reached.
    """
    order = np.argsort(-scores, kind="stable")
    counts = np.arange(1, len(order) + 1)
    counted = np.cumsum(~is_right[order])
    expected = np.cumsum(1 - _calibrate(scores, is_right)[order])
    mistakes = (counted * counts + expected * EXPECTED_ROWS) / (counts + EXPECTED_ROWS)
    shares = 1 - (mistakes + MORE_MISTAKES) / (counts + MORE_MISTAKES)
    reached = np.flatnonzero(shares >= accuracy)
    if not len(reached):
        needed = count_needed({"abstain_accuracy": accuracy})
        best = int(shares.argmax()) if len(shares) else 0
        found = f"{shares[best]:.4f}, for the {best + 1} most certain" if len(shares) else "nothing"
        raise SettingsError(
            f"no score reaches --abstain-accuracy {accuracy:g} on the {len(scores)} rows that the "
            f"model was not fitted to: they promise {found}. Promise less, or add rows ({needed} "
            "that are right is the least). The same command with another promise, or without one, "
            "goes on from here."
        )
    if reached[-1] == len(order) - 1:
        say(
            f"every text in scope is answered: {is_right.mean():.4f} of the held-out rows are right"
        )
        return 0.0
    return _round_down(float(scores[order[reached[-1]]]))


def _calibrate(scores: NDArray[np.float64], is_right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the probability of each answer to be right, shape (rows,).

    Newton's method for the slope and offset of the log odds; a weak prior holds them at 1 and 0,
    where the scores are right already, for rows that have no mistake.
    """
    kept = np.clip(scores, CLOSEST, 1 - CLOSEST)
    odds = np.stack([np.log(kept / (1 - kept)), np.ones_like(kept)], axis=1)
    prior, strength = np.array([1.0, 0.0]), np.array([1.0, 0.1])
    weights = prior.copy()
    for _ in range(NEWTON_STEPS):
        chances = 1 / (1 + np.exp(-odds @ weights))
        slope = odds.T @ (chances - is_right) + strength * (weights - prior)
        curve = (odds.T * (chances * (1 - chances))) @ odds + np.diag(strength)
        step = np.linalg.solve(curve, slope)
        weights = weights - step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
    return np.asarray(1 / (1 + np.exp(-odds @ weights)))


def read_scores(task: Task, outputs: Floats) -> NDArray[np.float64]:
    """Return the score of each row's answer, shape (rows,)."""
    own = task.task if isinstance(task, Selective) else task
    return np.array([float(own.cells(row)[1]) for row in outputs.tolist()])


def find_label_sets(outputs: Floats, targets: Floats) -> LabelSets:
    """Return the thresholds of label sets, for as many coverages as the rows can tell.

    Args:
        outputs, targets: Floats, shape (rows, labels).

    Raises:
        SettingsError: There are too few rows for any.
    """
    of_truth = np.sort(outputs[np.arange(len(outputs)), targets.argmax(axis=1)])[::-1]
    ranks = [(coverage, math.ceil((len(of_truth) + 1) * coverage)) for coverage in COVERAGES]
    table = [
        (coverage, _round_down(float(of_truth[rank - 1])))
        for coverage, rank in ranks
        if rank <= len(of_truth)
    ]
    if not table:
        raise SettingsError("--label-sets needs a held-out row or more, and there is none.")
    return LabelSets(table)


def count_words(rows: Encoded, vocab_size: int) -> NDArray[np.int64]:
    """Return how often each token id stands in the rows, shape (vocab_size,); the unknown word
    never."""
    counts = np.zeros(vocab_size, np.int64)
    for ids in rows.token_ids:
        counts += np.bincount(ids, minlength=vocab_size)
    counts[: UNKNOWN_ID + 1] = 0
    return counts


def measure_distances(
    scope: Scope, rows: Encoded, learned: Encoded | None = None
) -> NDArray[np.float64]:
    """Return the squared distance of each row from the scope, shape (rows,).

    Args:
        learned: The rows that told what words are known. Of rows with offsets, which are among
            them, it is then told by the others: a word of no other row is new.
    """
    nats, sizes = _read_features(rows, learned, scope)
    of_nats, of_both, of_size = scope.precision
    nats, sizes = nats - scope.center[0], sizes - scope.center[1]
    distances = of_nats * nats**2 + 2 * of_both * nats * sizes + of_size * sizes**2
    lengths = np.array([len(ids) for ids in rows.token_ids])
    return np.where(lengths > 0, distances, np.inf)


def _settle_scope(aims: Mapping[str, Any], rows: Encoded, learned: Encoded) -> Scope | None:
    coverage = aims.get("scope_coverage", SCOPE_COVERAGE)
    is_full = np.array([len(ids) > 0 for ids in rows.token_ids])
    rank = math.ceil((is_full.sum() + 1) * coverage)
    if rank > is_full.sum():
        needed = math.ceil(coverage / (1 - coverage))
        told = f"{is_full.sum()} held-out rows, and a scope that covers {coverage:g} needs {needed}"
        if "scope_coverage" in aims:
            raise SettingsError(f"there are {told}. Add rows, or lower --scope-coverage.")
        say(f"no text will be out of scope: there are {told}")
        return None
    counts = count_words(learned, len(learned.words))
    digits = _count_nats(counts, counts.sum())
    information = "".join(DIGITS[digit] for digit in digits)
    open_scope = Scope(coverage, information, (0, 0), (1, 0, 1), math.inf)
    features = np.stack(_read_features(rows, learned, open_scope), axis=1)[is_full]
    center = features.mean(axis=0)
    spread = np.cov(features.T) + MIN_SPREAD**2 * np.eye(2)
    inverse = np.linalg.inv(spread)
    precision = [round(float(inverse[place]), DECIMALS) for place in ((0, 0), (0, 1), (1, 1))]
    scope = Scope(coverage, information, center.round(DECIMALS).tolist(), precision, math.inf)
    distances = np.sort(measure_distances(scope, rows, learned)[is_full])
    scope.max_distance = math.ceil(float(distances[rank - 1]) * 10**DECIMALS) / 10**DECIMALS
    return scope


def _read_features(
    rows: Encoded, learned: Encoded | None, scope: Scope
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return of each row the mean information of its words, and the logarithm of how many it has;
    both shape (rows,), 0 of an empty row."""
    lengths = np.array([len(ids) for ids in rows.token_ids])
    flat = np.fromiter((id_ for ids in rows.token_ids for id_ in ids), np.int64, lengths.sum())
    texts = np.repeat(np.arange(len(lengths)), lengths)
    if rows.offsets is None or learned is None:
        digits = np.array([DIGITS.index(digit) for digit in scope.information])[flat]
    else:
        vocab_size = len(scope.information)
        counts = count_words(learned, vocab_size)
        _, places, own = np.unique(
            texts * vocab_size + flat, return_inverse=True, return_counts=True
        )
        others = np.maximum(counts[flat] - own[places], 0)
        digits = _count_nats(others, counts.sum())
    sums = np.bincount(texts, weights=digits, minlength=len(lengths))
    sizes = np.maximum(lengths, 1)
    return sums / sizes, np.log(sizes)


def _count_nats(counts: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Return the information of words that stand so often among so many, in whole nats."""
    nats = np.log((total + UNSEEN) / np.maximum(counts, UNSEEN))
    return np.clip(np.rint(nats), 0, MAX_NATS).astype(np.int64)


def _round_down(number: float) -> float:
    rounded: float = math.floor(number * 10**DECIMALS) / 10**DECIMALS
    return rounded
