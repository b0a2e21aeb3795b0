"""What a bundle is worth, and what it must keep: size, score on the development rows, speed.

The score is the figure that counts for the task: the accuracy of single labels.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.inference.classifier import Classifier
from training.tasks import Objective

WHOLE = "whole"  # name of the trial that prunes nothing
# Precision of a point -> how it is exported.
PRECISIONS: dict[str, dict[str, Any]] = {
    "float32": {"precision": "float32"},
    "int8": {"precision": "int8", "embedding_bits": 8},
    "int8, 4-bit table": {"precision": "int8", "embedding_bits": 4},
}
LATENCY_ROUNDS = 200
WARM_UP_ROUNDS = 20


@dataclass(frozen=True)
class Budget:
    """What the bundle must keep.

    Args:
        max_size_bytes: Of `model.onnx` and the tokenizer's file.
        max_drop: Points of the score on the development rows below the run's own Keras model.
        max_latency_ms: p50 of one text at a time on this machine, one thread; None: any.
        max_trials: Pruned models to fine-tune before the search gives up.
        min_speedup: Times faster than the unpruned float32 graph, by CPU time, in turns; None: any.
    """

    max_size_bytes: int
    max_drop: float
    max_latency_ms: float | None = None
    max_trials: int = 6
    min_speedup: float | None = None


@dataclass(frozen=True)
class Point:
    """One bundle that was tried.

    Args:
        trial: "whole", or the pruning plan's name.
        score: On the development rows; of single labels the accuracy, 0 to 1.
        drop: Points below the run's Keras model.
        drop_error: Standard error of the drop, from the rows on which this bundle and the unpruned
            float32 graph do not score the same; points.
        log_loss: The loss on the development rows; of labels the log loss.
        latency_ms, cpu_ms: p50 of one text at a time, by the clock and of the thread's CPU.
        times_faster: The unpruned float32 graph's p50 of CPU time, measured in turns with this
            one's, over it.
        error: Why there is no bundle; the other figures are then 0.
    """

    trial: str
    precision: str
    size_bytes: int = 0
    score: float = 0.0
    drop: float = 0.0
    drop_error: float = 0.0
    log_loss: float = 0.0
    latency_ms: float = 0.0
    cpu_ms: float = 0.0
    times_faster: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class SearchResult:
    """What the search found; `chosen` keeps the budget if `is_met`, else it is the nearest.

    Args:
        folder: Of the trials.
        num_rows: Development rows that every point was measured on.
        objective: What the points' score and loss are.
        is_cross_validated: The run has learned from those rows.
    """

    chosen: Point
    is_met: bool
    points: list[Point]
    folder: Path
    num_rows: int
    objective: Objective
    is_cross_validated: bool = False


def keeps(point: Point, budget: Budget) -> bool:
    """Say whether the point is a bundle and keeps all of the budget."""
    return not point.error and _excess(point, budget) == 0


def find_best(points: Sequence[Point], budget: Budget) -> Point | None:
    """Return the point of the lowest log loss among those that keep the budget, if any does.

    By log loss and not by score, which a few hundred rows give to half a point only.
    """
    kept = [point for point in points if keeps(point, budget)]
    return min(kept, key=lambda point: (point.log_loss, point.size_bytes), default=None)


def find_nearest(points: Sequence[Point], budget: Budget) -> Point:
    """Return the point that misses the budget by least; a point of the score counts as the whole
    size or latency missed once more.
    """
    return min(
        (point for point in points if not point.error), key=lambda point: _excess(point, budget)
    )


def is_quick(point: Point, budget: Budget) -> bool:
    """Say whether the point keeps what `budget` says of speed, whatever its size and accuracy."""
    return _excess_time(point, budget) == 0


def _excess(point: Point, budget: Budget) -> float:
    size = max(0.0, point.size_bytes / budget.max_size_bytes - 1)
    # 1e-9: a drop of 0.3 points is a difference of two floats.
    return size + max(0.0, point.drop - budget.max_drop - 1e-9) + _excess_time(point, budget)


def _excess_time(point: Point, budget: Budget) -> float:
    excess = 0.0
    if budget.max_latency_ms is not None:
        excess += max(0.0, point.latency_ms / budget.max_latency_ms - 1)
    if budget.min_speedup is not None:
        excess += max(0.0, budget.min_speedup / max(point.times_faster, 1e-9) - 1)
    return excess


def measure_scores(
    outputs: NDArray[np.floating[Any]],
    baseline: NDArray[np.floating[Any]],
    targets: NDArray[np.floating[Any]],
    objectives: tuple[Objective, Objective],
    weights: NDArray[np.floating[Any]] | None = None,
) -> tuple[float, float, float]:
    """Return score, log loss and `drop_error` of a point beside the unpruned `baseline`.

    The loss is by the rows' weights, as it is in training; in the score every row counts once.

    The rows that the two do not score the same decide between them (of right and wrong answers:
    McNemar 1947); they also say how far the difference may be luck.

    Args:
        outputs, baseline, targets: Floats, shape (rows, num_outputs).
        objectives: Of the point and of the baseline.
        weights: Shape (rows,), what each row counts; None: all the same.
    """
    objective, whole = objectives
    scores = objective.row_scores(outputs, targets)
    gains = scores - whole.row_scores(baseline, targets)
    drop_error = 100 * gains.std() / len(gains) ** 0.5
    log_loss = objective.log_loss(outputs, targets, weights)
    return float(scores.mean()), log_loss, float(drop_error)


def measure_latency(
    classifiers: Sequence[Classifier], texts: Sequence[str]
) -> list[tuple[float, float]]:
    """Return p50 of (wall, CPU of the thread) in milliseconds of each, in turns on the same texts.

    Tokens to outputs, one text at a time, one thread.
    """
    times: list[list[tuple[float, float]]] = [[] for _ in classifiers]
    rounds = [texts[index % len(texts)] for index in range(WARM_UP_ROUNDS + LATENCY_ROUNDS)]
    batches = [
        [one.feed([encoding.row]) for encoding in one.encode_texts(rounds)] for one in classifiers
    ]
    for index in range(len(rounds)):
        for number, classifier in enumerate(classifiers):
            wall, cpu = time.perf_counter(), time.thread_time()
            classifier.session.run(None, batches[number][index])
            elapsed = (time.perf_counter() - wall, time.thread_time() - cpu)
            if index >= WARM_UP_ROUNDS:
                times[number].append((1000 * elapsed[0], 1000 * elapsed[1]))
    medians = []
    for rows in times:
        walls, cpus = zip(*rows, strict=True)
        medians.append((statistics.median(walls), statistics.median(cpus)))
    return medians


def format_point(point: Point, objective: Objective) -> str:
    """Return the point as a line for people."""
    if point.error:
        return f"{point.trial}, {point.precision}: none ({point.error})"
    score, loss = objective.score_name, objective.loss_name
    return (
        f"{point.trial}, {point.precision}: {point.size_bytes / 1e6:.3f} MB, {score} "
        f"{point.score:.4f} (drop {point.drop:.2f} ± {point.drop_error:.2f}), {loss} "
        f"{point.log_loss:.4f}, p50 {point.latency_ms:.3f} ms, {point.times_faster:.1f} times "
        "faster"
    )


def say(text: str) -> None:
    """Tell the user how far the search is."""
    print(text, file=sys.stderr, flush=True)


def read_points(path: Path) -> dict[tuple[str, str], Point]:
    """Return the recorded points by trial and precision; none where the file cannot be read."""
    if not path.exists():
        return {}
    try:
        points = [Point(**row) for row in json.loads(path.read_text("utf-8"))]
    except (TypeError, ValueError):
        say(f"{path}: cannot be read, the trials are measured again")
        return {}
    return {(point.trial, point.precision): point for point in points}
