"""The pages of a run folder that are for people: history, plots, report."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from training.metrics import format_evaluation

NUMBERED_CELLS = 20  # above this many labels the numbers in the matrix would overlap


def write_report(folder: Path, metadata: dict[str, Any], history: list[dict[str, float]]) -> None:
    """Write `history.csv`, two plots and the `report.md` that shows them into `folder`."""
    with (folder / "history.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
    shown = "test" if "test" in metadata["metrics"] else "dev"
    plot_history(history, folder / "learning_curves.png")
    plot_confusion(metadata["metrics"][shown], folder / "confusion_matrix.png")
    (folder / "report.md").write_text(format_report(metadata, history), encoding="utf-8")


def format_report(metadata: dict[str, Any], history: list[dict[str, float]]) -> str:
    """Return the report as Markdown."""
    best = min(history, key=lambda row: row["dev_loss"])
    lines = [f"# Training report: recipe `{metadata['recipe']}`", ""]
    for role, data in metadata["data"].items():
        lines.append(f"- {role}: {data['rows']:,} rows (sha256 `{data['sha256'][:12]}`)")
    lines += [
        f"- vocabulary: {metadata['vocab_size']:,} tokens; "
        f"at most {metadata['max_length']} tokens of a text are read",
        f"- epochs: {len(history)}, best: {best['epoch']:.0f} by development loss; "
        f"{sum(row['seconds'] for row in history):.0f} s",
        "",
    ]
    for name, title in (("test", "Test rows"), ("dev", "Development rows")):
        if name in metadata["metrics"]:
            lines += [f"## {title}", "", "```", format_evaluation(metadata["metrics"][name])]
            lines += ["```", ""]
    lines += ["![Learning curves](learning_curves.png)", ""]
    lines += ["![Confusion matrix](confusion_matrix.png)", "", "## Settings", ""]
    lines += [f"- {name}: {value}" for name, value in metadata["settings"].items()]
    return "\n".join(lines) + "\n"


def plot_history(history: list[dict[str, float]], path: Path) -> None:
    """Draw loss and accuracy over the epochs to a PNG."""
    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    losses, accuracy = figure.subplots(1, 2)
    losses.plot(epochs, [row["loss"] for row in history], "o-", label="training")
    losses.plot(epochs, [row["dev_loss"] for row in history], "o-", label="development")
    losses.set(xlabel="epoch", title="log loss", ylim=(0, None))
    losses.legend()
    accuracy.plot(epochs, [row["dev_accuracy"] for row in history], "o-", color="tab:orange")
    accuracy.set(xlabel="epoch", title="accuracy on development rows")
    for axis in (losses, accuracy):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
    _save(figure, path)


def plot_confusion(figures: dict[str, Any], path: Path) -> None:
    """Draw the confusion matrix to a PNG; shade is the share of the true label's rows."""
    names = figures["labels"]
    counts = np.array(figures["confusion_matrix"])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(12.0, 3.0 + 0.6 * len(names))
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axis, label="share of the true label's rows", shrink=0.8)
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel="predicted label", ylabel="true label")
    if len(names) <= NUMBERED_CELLS:
        for (row, column), share in np.ndenumerate(shares):
            color = "white" if share > 0.5 else "black"
            axis.text(column, row, str(counts[row, column]), ha="center", va="center", color=color)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure).print_png(str(path))  # type: ignore[no-untyped-call]
