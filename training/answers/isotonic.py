"""A curve from a logit to a number: straight between knots, never falling, flat beyond both ends.

A model that is fitted by squared errors tells how high a number is; the curve tells which number
that is. Where targets stand in two heaps, as stars do, the mean of rows is a number that none of
them has: of reviews with a logit between 1 to 4 stars and 7 to 10 the median is in a heap. Fitted
to rows that the model was not fitted to, it is the isotonic regression of their means or medians
(Barlow et al., "Statistical Inference under Order Restrictions", 1972).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from training.fitting.losses import center, measure_loss
from training.tasks import Floats

NUM_KNOTS = 21
ROWS_PER_KNOT = 60
# Share of the loss of held-out rows, and standard errors, for which the straight line is left.
MIN_GAIN, NUM_ERRORS = 0.005, 2.0
# Times the slope of the line, at most: what int8 moves a logit by, the curve moves its answer by.
MAX_SLOPE = 2.5
SLOPE = 0.002  # of the range, by which the curve rises at least: equal answers have no order
NUM_FOLDS = 5
CONSTANTS = {
    "curve_knots": NUM_KNOTS,
    "curve_rows_per_knot": ROWS_PER_KNOT,
    "curve_min_gain": MIN_GAIN,
    "curve_min_errors": NUM_ERRORS,
    "curve_slope": SLOPE,
    "curve_max_slope": MAX_SLOPE,
}


class Curve(NamedTuple):
    """Knots: float64, shape (NUM_KNOTS,), `logits` ascending, `values` not falling."""

    logits: NDArray[np.float64]
    values: NDArray[np.float64]

    def __call__(self, logits: Floats) -> NDArray[np.float64]:
        """Return the values at logits of any shape."""
        return np.asarray(np.interp(logits, self.logits, self.values))


def draw_line(lowest: float, highest: float, mean: float, scale: float) -> Curve:
    """Return the straight line mean + scale * logit between two values."""
    values = np.linspace(lowest, highest, NUM_KNOTS)
    return Curve((values - mean) / scale, values)


def fit_curve(
    logits: Floats, targets: Floats, line: Curve, loss: str, weights: Floats | None = None
) -> Curve:
    """Return the curve at which the loss of rows is least, or the line where it is no worse.

    Args:
        logits: Of rows that the model was not fitted to, shape (rows,).
        targets: Numbers, shape (rows,).
        line: From the lowest value that there may be to the highest.
        loss: A name in `training/fitting/losses.py`.
        weights: Shape (rows,), what each row counts; None: all the same.
    """
    logits, targets = np.asarray(logits, np.float64), np.asarray(targets, np.float64)
    counts_as = np.ones(len(logits)) if weights is None else np.asarray(weights, np.float64)
    if len(logits) < 4 * ROWS_PER_KNOT:
        return line
    halves = np.random.default_rng(0).permutation(len(logits)) % 2
    told = np.empty(len(logits))
    for half in (0, 1):
        seen, unseen = halves != half, halves == half
        curve = _draw_curve(logits[seen], targets[seen], line, loss, counts_as[seen])
        told[unseen] = curve(logits[unseen])
    scale = float(np.average(np.abs(targets - np.median(targets)), weights=counts_as)) or 1.0
    bent, straight = (
        counts_as * measure_loss((values - targets) / scale, loss)
        for values in (told, line(logits))
    )
    gains = straight - bent
    least = max(
        MIN_GAIN * float(straight.mean()), NUM_ERRORS * float(gains.std()) / len(gains) ** 0.5
    )
    if gains.mean() < least:
        return line
    return _draw_curve(logits, targets, line, loss, counts_as)


def tell_out_of_folds(
    logits: Floats, targets: Floats, line: Curve, loss: str, weights: Floats | None = None
) -> NDArray[np.float64]:
    """Return what curves say of each row that were fitted without its fold, shape (rows,).

    A curve knows the rows that it was fitted to a little too well: of 800 an interval of 90 % that
    is found by its own errors holds 87 %.

    Args:
        logits, targets, line, loss, weights: As in `fit_curve`.
    """
    told = np.empty(len(logits))
    folds = np.random.default_rng(1).permutation(len(logits)) % NUM_FOLDS
    for fold in range(min(NUM_FOLDS, len(logits))):
        inside = folds != fold
        counts_as = None if weights is None else weights[inside]
        curve = fit_curve(logits[inside], targets[inside], line, loss, counts_as)
        told[~inside] = curve(logits[~inside])
    return told


def _draw_curve(
    logits: Floats, targets: Floats, line: Curve, loss: str, counts_as: Floats
) -> Curve:
    """Return the curve through the center of each of a few parts of the rows, sorted by logit."""
    order = np.argsort(logits, kind="stable")
    parts = np.array_split(order, min(NUM_KNOTS - 2, len(order) // ROWS_PER_KNOT))
    places = np.array([np.average(logits[part], weights=counts_as[part]) for part in parts])
    # Beyond the first and the last part as steep as the line, to the ends of what was seen.
    places = np.concatenate([[logits[order[0]]], places, [logits[order[-1]]]])
    centers = np.array([center(targets[part], loss, counts_as[part]) for part in parts])
    first = centers[0] + line(places[0]) - line(places[1])
    last = centers[-1] + line(places[-1]) - line(places[-2])
    lowest, highest = line.values[0], line.values[-1]
    values = np.clip(np.concatenate([[first], centers, [last]]), lowest, highest)
    heavy = np.array([counts_as[part].sum() for part in parts])
    heavy = np.concatenate([[ROWS_PER_KNOT / 4], heavy, [ROWS_PER_KNOT / 4]])
    room = (0, NUM_KNOTS - len(values))
    places = _separate(np.pad(places, room, "edge"))
    scale = float((highest - lowest) / (line.logits[-1] - line.logits[0]))
    steepest = MAX_SLOPE * scale * np.diff(places)
    values = _fit_rising(np.pad(values, room, "edge"), np.pad(heavy, room, "edge"), steepest)
    values = np.clip(values, lowest, highest)
    share = (places - places[0]) / (places[-1] - places[0])
    return Curve(places, (1 - SLOPE) * values + SLOPE * (lowest + share * (highest - lowest)))


def _fit_rising(
    values: NDArray[np.float64], weights: NDArray[np.float64], most: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the values nearest to the given ones, by weighted squares, of which each is as large
    as the one before, and at most so much larger.

    Args:
        values, weights: Shape (knots,).
        most: Shape (knots - 1,).
    """
    steps = np.tri(len(values)) * np.sqrt(weights)[:, None]
    bounds = np.concatenate([[-np.inf], np.zeros(len(most))]), np.concatenate([[np.inf], most])
    found = lsq_linear(steps, values * np.sqrt(weights), bounds, method="bvls")
    return np.asarray(np.cumsum(found.x))


def _separate(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the places, each a little above the one before: a text that stands often has one."""
    least = 1e-4 * max(1.0, float(np.abs(places).max()))
    return np.asarray(np.maximum.accumulate(places) + least * np.arange(len(places)))
