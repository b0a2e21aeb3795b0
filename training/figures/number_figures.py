"""Figures of numbers: how far answers are from the truth, and whether their order is the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from handler.inference.tasks import Regression
from training.figures.metrics import show_figure

MAX_POINTS = 1000  # of a plot

Numbers = NDArray[np.float64]


def measure_numbers(numbers: Numbers, outputs: Numbers, task: Regression) -> dict[str, Any]:
    """Return figures of the answers, in the unit of the numbers.

    Args:
        numbers: The truth, shape (rows,).
        outputs: Shape (rows, 1).
    """
    told = outputs[:, 0]
    figures: dict[str, Any] = measure_errors(numbers, told)
    if task.interval is not None:
        ends = np.array([task.cells(row)[1:] for row in outputs.tolist()])
        is_inside = (ends[:, 0] <= numbers) & (numbers <= ends[:, 1])
        figures |= {
            "coverage": float(is_inside.mean()),
            "promised_coverage": task.interval.coverage,
            "interval_width": float((ends[:, 1] - ends[:, 0]).mean()),
        }
    order = np.argsort(numbers, kind="stable")
    shown = order[np.unique(np.linspace(0, len(order) - 1, MAX_POINTS).round().astype(int))]
    points = np.stack([numbers[shown], told[shown]], axis=1)
    return figures | {"points": [[float(f"{x:.5g}") for x in point] for point in points.tolist()]}


def measure_errors(numbers: Numbers, told: Numbers) -> dict[str, Any]:
    """Return figures of answers: `mae`, `rmse`, `r2`, `spearman`, and those of one for all texts.

    R² and Spearman's correlation are None where the truth, or the answer, is one for all rows.

    Args:
        numbers, told: Truth and answers, shape (rows,).
    """
    errors = told - numbers
    variance = float(numbers.var())
    return {
        "rows": len(numbers),
        "mae": float(np.abs(errors).mean()),
        "rmse": float((errors**2).mean() ** 0.5),
        "r2": 1 - float((errors**2).mean()) / variance if variance else None,
        "spearman": correlate_ranks(numbers, told),
        "median_mae": float(np.abs(numbers - np.median(numbers)).mean()),
        "mean_rmse": variance**0.5,
    }


def correlate_ranks(left: Numbers, right: Numbers) -> float | None:
    """Return Spearman's rank correlation, -1 to 1; equal numbers share the mean of their ranks."""
    ranks = [rankdata(numbers) for numbers in (left, right)]
    deviations = [rank - rank.mean() for rank in ranks]
    scale = float(np.prod([np.sqrt(part @ part) for part in deviations]))
    return float(deviations[0] @ deviations[1]) / scale if scale else None


def format_numbers(figures: Mapping[str, Any]) -> str:
    """Return a line for each figure.

    Args:
        figures: As `RegressionObjective.evaluate` gives them.
    """
    lines = format_errors(figures)
    if "coverage" in figures:
        promised = f"{100 * figures['promised_coverage']:g} %"
        lines += [
            f"interval coverage   {figures['coverage']:.4f}  ({promised} was promised)",
            f"interval width      {figures['interval_width']:.4g}  (mean)",
        ]
    lines.append(
        f"skill               {figures['skill']:.4f}  (1 less the mean absolute error in standard "
        "deviations of the labels learned from)"
    )
    if "weighted_skill" in figures:
        lines += [
            f"weighted skill      {figures['weighted_skill']:.4f}  (by the weights of the rows; "
            "each row counts once above)",
            f"weighted loss       {figures['weighted_loss']:.4f}",
        ]
    return "\n".join(lines)


def format_errors(figures: Mapping[str, Any]) -> list[str]:
    """Return a line for each figure of `measure_errors`."""
    r2, spearman = (show_figure(figures[name]) for name in ("r2", "spearman"))
    return [
        f"rows                {figures['rows']}",
        f"mean absolute error {figures['mae']:.4g}  (one answer for all, the median: "
        f"{figures['median_mae']:.4g})",
        f"root mean square    {figures['rmse']:.4g}  (one answer for all, the mean: "
        f"{figures['mean_rmse']:.4g})",
        f"R²                  {r2}",
        f"Spearman's rho      {spearman}",
    ]
