"""The plot of the learning curves: a panel a set."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from benchmarks.few.models import MODELS
from benchmarks.few.results import select, standard_error

COLUMNS = 3
# Equal drawings are equal files: no date, no random ids.
FIXED = {"svg.hashsalt": "few"}


def plot_cells(cells: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw accuracy over rows, mean and standard error, to an SVG; nothing without cells."""
    names = list(dict.fromkeys(cell["set"] for cell in cells))
    if not names:
        return
    num_rows = math.ceil(len(names) / COLUMNS)
    figure = Figure(figsize=(11, 3.4 * num_rows + 0.6), layout="constrained")
    axes = figure.subplots(num_rows, COLUMNS, squeeze=False).flat
    shown = {}
    for axis, name in zip(axes, names, strict=False):
        shown |= draw_set(axis, [cell for cell in cells if cell["set"] == name])
        axis.set_title(name, fontsize=10)
    for axis in list(axes)[len(names) :]:
        axis.set_axis_off()
    ordered = [title for title, _ in MODELS.values() if title in shown]
    figure.legend([shown[one] for one in ordered], ordered, loc="outside lower center", ncols=4)
    figure.supylabel("accuracy on test rows, %, over training rows", fontsize=10)
    partial = path.with_name(f".{path.name}.partial")
    with matplotlib.rc_context(FIXED):
        FigureCanvasSVG(figure).print_svg(str(partial), metadata={"Date": None})
    partial.replace(path)


def draw_set(axis: Axes, cells: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Draw one set's curves; return title -> what stands in the legend."""
    shown = {}
    sizes = list(dict.fromkeys(cell["size"] for cell in cells))
    rows = {size: next(c["train_rows"] for c in cells if c["size"] == size) for size in sizes}
    for number, (model, (title, _)) in enumerate(MODELS.items()):
        parts = [part for size in sizes if (part := select(cells, size, model))]
        if not parts:
            continue
        values = [[100 * cell["accuracy"] for cell in part] for part in parts]
        is_ours = model.startswith("minnow")
        shown[title] = axis.errorbar(
            [rows[part[0]["size"]] for part in parts],
            [statistics.mean(part) for part in values],
            [standard_error(part) or 0 for part in values],
            marker="o" if is_ours else ".",
            linewidth=2.2 if is_ours else 1.1,
            capsize=2,
            color=f"C{number}",
        )
    axis.set_xscale("log")
    labels = [
        f"{rows[size]:,}" if size.isdigit() else f"{rows[size]:,}\n({size})" for size in sizes
    ]
    axis.set_xticks([rows[size] for size in sizes], labels, fontsize=8)
    axis.xaxis.set_minor_locator(NullLocator())
    axis.tick_params(axis="y", labelsize=8)
    axis.grid(alpha=0.3)
    return shown
