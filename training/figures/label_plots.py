"""The plots of several labels: what each is worth, and whether probabilities are true."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from training.figures.plots import DRAWN_LABELS, NAME_LENGTH, save


def plot_labels(figures: Mapping[str, Any], path: Path) -> None:
    """Draw F1, precision and recall of each label to a PNG, the best above; of many the worst."""
    rows = sorted(figures["classes"].items(), key=lambda pair: pair[1]["f1"] or 0.0)[:DRAWN_LABELS]
    names = [name if len(name) <= NAME_LENGTH else f"{name[:NAME_LENGTH]}…" for name, _ in rows]
    figure = Figure(figsize=(9, 1.5 + 0.28 * len(rows)), layout="constrained")
    axis = figure.subplots()
    axis.barh(names, [row["f1"] or 0.0 for _, row in rows], color="tab:blue", alpha=0.4, label="F1")
    for name, mark in (("precision", "o"), ("recall", "x")):
        found = [math.nan if row[name] is None else row[name] for _, row in rows]
        axis.plot(found, names, mark, label=name)
    for place, (_, row) in enumerate(rows):
        axis.text(1.01, place, f"{row['rows']:,}", va="center", fontsize="small")
    hidden = len(figures["classes"]) - len(rows)
    title = f"the {len(rows)} lowest of {len(rows) + hidden} labels" if hidden else "labels"
    axis.set(xlim=(0, 1.1), title=f"{title}, with their rows")
    axis.legend(loc="lower right")
    axis.grid(alpha=0.3, axis="x")
    save(figure, path)


def plot_reliability(figures: Mapping[str, Any], path: Path) -> None:
    """Draw to a PNG how often answers of each probability are right, of all labels together."""
    bins = figures["reliability"]
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="tab:gray", linewidth=1, label="perfect")
    axis.plot([b["probability"] for b in bins], [b["share"] for b in bins], "o-", label="found")
    axis.set(xlabel="probability that is said", ylabel="share that has the label")
    axis.set(xlim=(0, 1), ylim=(0, 1), title="calibration, all labels")
    axis.legend()
    axis.grid(alpha=0.3)
    save(figure, path)
