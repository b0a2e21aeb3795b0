"""The plots of a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from training.confusions import most_confused

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


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG."""
    FigureCanvasAgg(figure).print_png(str(path))  # type: ignore[no-untyped-call]
