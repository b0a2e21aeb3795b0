"""From which probability on a text has a label: chosen for each label on rows out of fold.

A label of twenty rows has the best threshold of these twenty by luck. So what rows say is mixed
with what the probabilities themselves expect, which are calibrated: as if `PRIOR_ROWS` rows more
had the label that it takes for likely. Where a label has many rows, they alone decide.

F1 is flat around its best threshold: each is moved a little towards the one that is best for all
labels together, which costs the single F1 next to nothing. A precision that is promised is kept for
each label as `training/answers/promises.py` has it.

Measured on GoEmotions' development rows (28 labels, of 6 to 880 rows in a half), the linear half
calibrated and thresholds chosen on one half, figures of the other, mean of 8 to 12 halves:

    prior of 0, 10, 40 rows, infinity: macro F1 47.9, 47.8, 47.6, 45.4; micro 54.2, 54.2, 54.3, 54.1
    moved by 0, 0.15, 0.3, 0.5, 1:     macro F1 47.9, 47.8, 47.2, 45.6, 42.8;
                                       micro F1 54.3, 55.0, 55.4, 55.7, 55.7

Of two bundles of the whole recipe a share of 0.2, 0.3, 0.4 gives micro F1 55.9, 56.3, 56.6 and
macro F1 47.8, 47.5, 47.4 on halves of the development rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.answers.cuts import LEAST, PRIOR_ROWS, Cuts, Floats
from training.answers.odds import log_odds
from training.answers.promises import CONFIDENCE, describe_needed, keep_promise
from training.figures.metrics import divide

COMMON_SHARE = 0.3  # of the way, in log odds, to the threshold of all labels together
DECIMALS = 6
HALF = 0.5  # from this target on a row counts as one that has the label
SHOWN = 5  # labels that are named, of those that are never given
NEVER = 1.0  # the threshold of a label that is given only where float32 is certain of it


def best_f1(
    probabilities: Floats, targets: Floats, weights: Floats, prior_rows: float = PRIOR_ROWS
) -> float:
    """Return the threshold of one label at which its F1 is highest.

    Args:
        probabilities, targets: Floats, shape (rows,); a target is 0, 1 or between.
        weights: Floats, shape (rows,): how often each row counts.
    """
    cuts = Cuts(probabilities, targets, weights)
    right = cuts.expect(prior_rows)
    f1 = 2 * right / np.maximum(cuts.rows + right[-1], 1e-12)
    return cuts.threshold(int(f1.argmax()))


def maximize_f1(outputs: Floats, targets: Floats, weights: Floats) -> list[float]:
    """Return the threshold of each label by which F1 is about highest.

    Args:
        outputs: Calibrated probabilities, floats, shape (rows, labels).
        targets: 0, 1 or between, shape (rows, labels).
        weights: Shape (rows,): how often each row counts.
    """
    repeated = np.repeat(weights, outputs.shape[1])
    common = best_f1(outputs.ravel(), targets.ravel(), repeated)
    return [
        _move(best_f1(outputs[:, label], targets[:, label], weights), common)
        for label in range(outputs.shape[1])
    ]


def keep_precisions(
    labels: Sequence[str], outputs: Floats, targets: Floats, weights: Floats, precision: float
) -> tuple[list[float], dict[str, Any]]:
    """Return the threshold of each label that keeps a precision, `NEVER` where none does, and what
    is to be said of them.

    The arguments are those of `maximize_f1`.
    """
    aims = {"min_precision": precision}
    found = [
        keep_promise(outputs[:, label], targets[:, label], weights, aims)
        for label in range(len(labels))
    ]
    thresholds = [promise.threshold if promise.is_kept else NEVER for promise in found]
    given = outputs >= np.array(thresholds)
    right = weights @ (given * targets)
    told = {
        **aims,
        "confidence": CONFIDENCE,
        "rows": len(outputs),
        "labels": len(labels),
        "precision": divide(right.sum(), (weights @ given).sum()),
        "recall": divide(right.sum(), (weights @ targets).sum()),
        "never": {
            label: {"rows": promise.label_rows, "needed": promise.needed}
            for label, promise in zip(labels, found, strict=True)
            if not promise.is_kept
        },
        "is_reached": any(promise.is_kept for promise in found),
    }
    return thresholds, told


def _move(threshold: float, common: float) -> float:
    """Return a threshold moved towards the common one."""
    own, other = log_odds(np.array([threshold, common]))
    moved = 1 / (1 + np.exp((COMMON_SHARE - 1) * own - COMMON_SHARE * other))
    return max(round(float(moved), DECIMALS), LEAST)


def describe_precisions(told: Mapping[str, Any]) -> str:
    """Return one line about what `keep_precisions` told, for people."""
    never = told["never"]
    kept = f"a precision of {told['min_precision']:g}"
    rows = f"{told['rows']:,} rows that were not learned from"
    lines = []
    if told["is_reached"] and told["precision"] is not None:
        lines.append(
            f"labels are given from the lowest probability on that keeps {kept}, nine times in "
            f"ten: {told['precision']:.3f} of those given are right, {told['recall']:.3f} of all "
            f"are found, on {rows}"
        )
    if never:
        shown = [
            f"{label!r} ({about['rows']:,} rows: {describe_needed(about['needed'])})"
            for label, about in list(never.items())[:SHOWN]
        ]
        more = f" and {len(never) - SHOWN:,} more" if len(never) > SHOWN else ""
        lines.append(
            f"{len(never):,} of {told['labels']:,} labels are never given, as no threshold of them "
            f"keeps it on {rows}: {', '.join(shown)}{more}"
        )
    if not told["is_reached"]:
        lines.append(
            f"so no label keeps {kept}: promise less, or give labels by the highest F1, by minnow "
            "export RUN --decide macro-f1, without training again"
        )
    return "; ".join(lines)
