"""A precision or a recall that is promised: which threshold keeps it, and how many rows that takes.

A share of rows says the less, the fewer rows there are: of eight rows that are all right the next
ones may be right three times in four. So a promise is kept where the lower bound of the share is as
high as it: the exact one of the binomial distribution (Clopper & Pearson, Biometrika 1934), below
which the truth is in one of ten cases. Rows of different weights count as (sum of weights)² / sum
of squares rows (Kish 1965).

Precision takes the lowest threshold whose bound holds, and so the most recall; recall the highest.
`docs/tasks.md` tells what was measured.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.answers.cuts import Cuts, Floats
from training.errors import SettingsError
from training.rows.label_sets import names_of

CONFIDENCE = 0.9
AIMS = ("min_precision", "min_recall")
TRIED_CUTS = 200  # among which the nearest is looked for where none keeps a promise
MOST_ROWS = 10_000_000  # beyond that nobody has rows: a share is then no higher than the promise


class Promise(NamedTuple):
    """A threshold, and what rows say of it.

    Args:
        threshold: Above 0, at most 1.
        precision, recall: On the rows, 0 to 1.
        bound: Of the one that was promised: it is this at least, in nine of ten cases.
        is_kept: Whether that is as high as the promise; else the threshold is the nearest one.
        label_rows: Rows of the label.
        needed: Rows of the label that would keep the promise, were the share the same; None where
            it is kept, and where none would, as the share is not above it.
    """

    threshold: float
    precision: float
    recall: float
    bound: float
    is_kept: bool
    label_rows: int
    needed: int | None


def keep_promise(
    probabilities: Floats, shares: Floats, weights: Floats, aims: Mapping[str, Any]
) -> Promise:
    """Return the lowest threshold that keeps a precision, or the highest that keeps a recall.

    Args:
        probabilities: Of the label, floats, shape (rows,).
        shares: How far each row has the label, 0 to 1, shape (rows,).
        weights: What each row counts, shape (rows,).
        aims: `min_precision` or `min_recall`, above 0, at most 1.
    """
    cuts = Cuts(probabilities, shares, weights)
    total, squares = cuts.of_label
    precision, recall = cuts.right / cuts.rows, cuts.right / max(total, 1e-12)
    label_rows = int((shares >= 0.5).sum())
    if "min_precision" in aims:
        wanted, found = float(aims["min_precision"]), precision
        sizes = cuts.rows**2 / cuts.squares
    else:
        wanted, found = float(aims["min_recall"]), recall
        sizes = np.full(len(recall), total**2 / max(squares, 1e-12))
    kept = np.flatnonzero(are_kept(found, sizes, wanted))
    if len(kept):
        place = int(kept[-1] if "min_precision" in aims else kept[0])
    else:
        some = np.unique(np.geomspace(1, len(found), TRIED_CUTS).astype(int)) - 1
        place = int(some[bound_share(found[some], sizes[some]).argmax()])
    # Of a precision the rows above the threshold count, and those of the label with them.
    each = label_rows / max(float(sizes[place]), 1e-12) if "min_precision" in aims else 1.0
    rows = None if len(kept) else count_rows(float(found[place]), wanted)
    needed = None if rows is None else math.ceil(rows * each)
    return Promise(
        cuts.threshold(place),
        float(precision[place]),
        float(recall[place]),
        float(bound_share(found[place], sizes[place])),
        bool(len(kept)),
        label_rows,
        needed,
    )


def are_kept(shares: Floats, sizes: Floats, wanted: float) -> NDArray[np.bool_]:
    """Return whether the lower bound of each share of so many rows is as high as wanted: so many
    right ones, or more, come in a tenth of all cases at most where only the promise is true.

    All are of one shape.
    """
    from scipy.special import betainc

    is_kept = shares > wanted  # the bound is lower
    size, right = sizes[is_kept], shares[is_kept] * sizes[is_kept]
    is_kept[is_kept] = betainc(right, size - right + 1, wanted) <= 1 - CONFIDENCE
    return is_kept


def bound_share(shares: Floats | float, sizes: Floats | float) -> NDArray[np.float64]:
    """Return the lower bound of what share is right where such shares of so many rows are.

    All are floats of one shape; sizes are counts, which need not be whole.
    """
    from scipy.stats import beta

    counts = np.asarray(sizes, np.float64)
    right = np.clip(shares, 0, 1) * counts
    bounds = beta.ppf(1 - CONFIDENCE, np.maximum(right, 1e-12), counts - right + 1)
    return np.where(right > 1e-9, bounds, 0.0)


def count_rows(share: float, wanted: float) -> int | None:
    """Return the fewest rows that keep a promise where such a share of them is right, 22 of 0.9
    where all are; None where the share is not above it."""
    if share <= wanted:
        return None
    low, high = 0, 1
    while bound_share(share, high) < wanted:
        low, high = high, 2 * high
        if high > MOST_ROWS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        is_enough = bound_share(share, middle) >= wanted
        low, high = (low, middle) if is_enough else (middle, high)
    return high


def describe_needed(needed: int | None, of_what: str = "") -> str:
    """Return what would keep a promise, for people; `of_what` names the rows."""
    if needed is None:
        return "it takes a better model, not more rows alone"
    return f"about {needed:,}{of_what} would do if as large a share is right"


def check_share(aims: Mapping[str, Any], name: str) -> None:
    """Raise SettingsError for a promise that is none; it need not be among the aims."""
    value = aims.get(name, 0.5)
    if not 0 < value < 1:  # nor NaN
        raise SettingsError(
            f"--{name.replace('_', '-')} is {value:g}, wanted a number between 0 and 1: no number "
            "of rows promises that all answers are right or found."
        )


def check_enough(aims: Mapping[str, Any], labels: Iterable[str]) -> None:
    """Raise SettingsError, before training, for a promise that so few rows cannot keep even if all
    answers are right.

    Args:
        labels: Of all rows that may tell thresholds, each one label or a set of them.
    """
    for name in AIMS:
        if name not in aims:
            continue
        wanted, flag = aims[name], f"--{name.replace('_', '-')}"
        least = count_rows(1.0, wanted) or MOST_ROWS
        counts = Counter(part for label in labels for part in names_of(label))
        label = aims.get("threshold_label")
        most = counts[label] if label is not None else max(counts.values(), default=0)
        if most < least:
            of_what = f"rows of {label!r}" if label is not None else "rows of any label"
            raise SettingsError(
                f"{flag} {wanted:g} needs {least:,} {of_what} or more even if every answer is "
                f"right, and there are {most:,}. Add rows, or promise less."
            )
