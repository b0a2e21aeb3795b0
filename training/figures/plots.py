"""The plots of a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from training.figures.confusions import most_confused

DRAWN_LABELS = 30  # more names would overlap
NAME_LENGTH = 30  # characters of a label that are drawn
NUMBERED_CELLS = 20  # above this many labels the numbers in the matrix would overlap


def plot_history(history: Sequence[Mapping[str, float]], score_name: str, path: Path) -> None:
    """Draw the losses and the development rows' score over the epochs to a PNG."""
    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    losses.plot(epochs, [row["loss"] for row in history], "o-", label="training")
    losses.plot(epochs, [row["dev_loss"] for row in history], "o-", label="development")
    losses.set(xlabel="epoch", title="loss", ylim=(0, None))
    losses.legend()
    scores.plot(epochs, [row[f"dev_{score_name}"] for row in history], "o-", color="tab:orange")
    scores.set(xlabel="epoch", title=f"{score_name} on development rows")
    for axis in (losses, scores):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
    save(figure, path)


def plot_confusion(figures: Mapping[str, Any], path: Path) -> None:
    """Draw the confusion matrix to a PNG; shade is the share of the true label's rows."""
    names, counts = figures["labels"], np.array(figures["confusion_matrix"])
    title = ""
    if len(names) > DRAWN_LABELS:
        title = f"the {DRAWN_LABELS} most confused of {len(names)} labels"
        kept = most_confused(counts.tolist(), DRAWN_LABELS)
        names, counts = [names[label] for label in kept], counts[np.ix_(kept, kept)]
    names = [name if len(name) <= NAME_LENGTH else f"{name[:NAME_LENGTH]}…" for name in names]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(12.0, 3.0 + 0.6 * len(names))
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axis, label="share of the true label's rows", shrink=0.8)
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel="predicted label", ylabel="true label", title=title)
    if len(names) <= NUMBERED_CELLS:
        for (row, column), share in np.ndenumerate(shares):
            color = "white" if share > 0.5 else "black"
            axis.text(column, row, str(counts[row, column]), ha="center", va="center", color=color)
    save(figure, path)


def plot_precision_recall(figures: Mapping[str, Any], path: Path) -> None:
    """Draw the precision of each label at each recall to a PNG; a dot is where its answers are."""
    curves, classes = figures["precision_recall"], figures["classes"]
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axis = figure.subplots()
    for name, curve in curves.items():
        found = classes[name]
        shown = name if len(name) <= NAME_LENGTH else f"{name[:NAME_LENGTH]}…"
        label = f"{shown} ({found['average_precision']:.3f}, {found['rows']:,} rows)"
        (line,) = axis.step(curve["recall"], curve["precision"], where="pre", label=label)
        if found["precision"]:  # else it is never answered
            axis.plot(found["recall"], found["precision"], "o", color=line.get_color())
    num_labels = len(figures["labels"])
    title = f"the {len(curves)} worst of {num_labels} labels" if len(curves) < num_labels else ""
    axis.set(xlabel="recall", ylabel="precision", title=title, xlim=(0, 1.02), ylim=(0, 1.02))
    axis.grid(alpha=0.3)
    axis.legend(title="label (average precision)\ndot: the answers", bbox_to_anchor=(1, 1))
    save(figure, path)


def plot_numbers(figures: Mapping[str, Any], path: Path) -> None:
    """Draw predicted numbers over true ones to a PNG; on the line both are the same."""
    true, told = np.array(figures["points"]).T
    different = np.unique(true)
    jitter = np.zeros(len(true))
    if 1 < len(different) <= DRAWN_LABELS:  # or many would be one point
        room = 0.3 * np.diff(different).min()
        jitter = np.random.default_rng(0).uniform(-room, room, len(true))
    figure = Figure(figsize=(6, 6), layout="constrained")
    axis = figure.subplots()
    ends = [min(true.min(), told.min()), max(true.max(), told.max())]
    axis.plot(ends, ends, color="black", linewidth=1, label="predicted = true")
    axis.scatter(true + jitter, told, s=12, alpha=0.35, linewidths=0)
    axis.set(xlabel="true number", ylabel="predicted number")
    axis.grid(alpha=0.3)
    axis.legend()
    save(figure, path)


def plot_risk_coverage(figures: Mapping[str, Any], path: Path) -> None:
    """Draw the accuracy of the most certain rows by their share of all rows to a PNG, and what is
    answered and promised."""
    shares, accuracies = zip(*figures["risk_coverage"], strict=True)
    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axis = figure.subplots()
    axis.plot(shares, accuracies, label=f"AURC {figures['aurc']:.4f}")
    if "answered_accuracy" in figures:
        chosen = figures["answered"], figures["answered_accuracy"]
        axis.plot(
            *chosen,
            "o",
            color="tab:orange",
            label="answered: {:.1%}, right: {:.2%}".format(*chosen),
        )
    if "promised_accuracy" in figures:
        promised = figures["promised_accuracy"]
        axis.axhline(
            promised, color="black", linewidth=1, linestyle=":", label=f"promised: {promised:.2%}"
        )
    axis.set(xlabel="share of the rows that is answered", ylabel="accuracy of the answers")
    axis.set(xlim=(0, 1), title="the most certain rows first")
    axis.xaxis.set_major_formatter(PercentFormatter(1))
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.grid(alpha=0.3)
    axis.legend(loc="lower left")
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG."""
    FigureCanvasAgg(figure).print_png(str(path))  # type: ignore[no-untyped-call]


def plot_trade_offs(
    points: Sequence[tuple[float, float, float]],
    is_chosen: Sequence[bool],
    steps: Sequence[int],
    metric: str,
    is_lower_better: bool,
    path: Path,
) -> None:
    """Draw what models are worth by their size and by their time to a PNG, with the Pareto front:
    those than which none is both better and smaller, or quicker.

    Args:
        points: Megabytes, milliseconds and the metric of each model.
        is_chosen: Of each model.
        steps: How much is known of each; the more, the darker.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    shades = [0.35 + 0.65 * step / max(1, *steps) for step in steps]
    for axis, column, unit in zip(figure.subplots(1, 2), (0, 1), ("MB", "ms"), strict=True):
        costs, values = [point[column] for point in points], [point[2] for point in points]
        axis.scatter(costs, values, s=24, c="tab:blue", alpha=shades or None)
        front = find_front(costs, [-value if is_lower_better else value for value in values])
        axis.step(
            [costs[one] for one in front],
            [values[one] for one in front],
            where="post",
            color="tab:orange",
            linewidth=1,
            label="Pareto front",
        )
        for one, _ in enumerate(points):
            if is_chosen[one]:
                axis.plot(costs[one], values[one], "*", color="tab:red", ms=14, label="chosen")
        axis.set(xscale="log", xlabel=f"{unit} (int8 bundle)", ylabel=metric)
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3, which="both")
        axis.legend()
    save(figure, path)


def find_front(costs: Sequence[float], values: Sequence[float]) -> list[int]:
    """Return which models no other beats in both, the cheapest first: [1, 2, 3], [5, 4, 6] -> 0, 2.

    Args:
        costs: Of each model, less is better.
        values: Of each model, more is better.
    """
    front: list[int] = []
    for one in sorted(range(len(costs)), key=lambda index: (costs[index], -values[index])):
        if not front or values[one] > values[front[-1]]:
            front.append(one)
    return front
