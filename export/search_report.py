"""The pages that a search leaves: `compression.md` and its plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from export.search import WHOLE, Budget, Point, Result

COLORS = {"float32": "tab:gray", "int8": "tab:blue", "int8, 4-bit table": "tab:orange"}


def write_report(result: Result, budget: Budget) -> None:
    """Write `compression.md` and `compression.png` into the folder of the trials."""
    plot_points(result, budget, result.folder / "compression.png")
    (result.folder / "compression.md").write_text(format_report(result, budget), "utf-8")


def find_front(points: Sequence[Point]) -> list[Point]:
    """Return the points that none beats in size and accuracy at once, smallest first."""
    tried = sorted(
        (point for point in points if not point.error), key=lambda p: (p.size_bytes, -p.accuracy)
    )
    front: list[Point] = []
    for point in tried:
        if not front or point.accuracy > front[-1].accuracy:
            front.append(point)
    return front


def format_report(result: Result, budget: Budget) -> str:
    """Return the report as Markdown."""
    latency = f", p50 at most {budget.max_latency_ms} ms" if budget.max_latency_ms else ""
    if budget.min_speedup:
        latency += f", at least {budget.min_speedup:g} times faster than unpruned float32"
    verdict = "kept by" if result.is_met else "NOT met; nearest:"
    chosen = result.chosen
    lines = [
        "# Compression report",
        "",
        f"Budget: at most {budget.max_size_bytes / 1e6:g} MB (model and tokenizer) and "
        f"{budget.max_drop:g} points of accuracy below the Keras model{latency}: {verdict} "
        f"**{chosen.trial}, {chosen.precision}**.",
        "",
        "Accuracy is measured on the development rows; latency on this machine, one text at a "
        "time, one thread; *times faster* is CPU time against the unpruned float32 graph, in "
        "turns. "
        "`*` marks the Pareto front of size and accuracy, `<-` the choice.",
        "",
        "| trial | precision | MB | accuracy | drop | p50 ms | CPU ms | times faster | |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    front = find_front(result.points)
    for point in result.points:
        if point.error:
            lines.append(f"| {point.trial} | {point.precision} | | | | | | | {point.error} |")
            continue
        marks = [
            mark for mark, is_set in (("*", point in front), ("<-", point == chosen)) if is_set
        ]
        lines.append(
            f"| {point.trial} | {point.precision} | {point.size_bytes / 1e6:.3f} | "
            f"{point.accuracy:.4f} | {point.drop:.2f} | {point.latency_ms:.3f} | "
            f"{point.cpu_ms:.3f} | {point.times_faster:.1f} | {' '.join(marks)} |"
        )
    lines += ["", "![Size, accuracy and latency of every point](compression.png)", ""]
    return "\n".join(lines)


def plot_points(result: Result, budget: Budget, path: Path) -> None:
    """Draw accuracy over size and over p50 latency to a PNG, the Pareto front as a line."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    sizes, latencies = figure.subplots(1, 2, sharey=True)
    points = [point for point in result.points if not point.error]
    front = find_front(points)
    sizes.plot(
        [point.size_bytes / 1e6 for point in front],
        [100 * point.accuracy for point in front],
        "-",
        color="lightgray",
        zorder=0,
        label="Pareto front (black edge)",
    )
    for point in points:
        for axis, x in ((sizes, point.size_bytes / 1e6), (latencies, point.latency_ms)):
            _draw(axis, point, x, is_front=point in front, is_chosen=point == result.chosen)
    sizes.axvline(budget.max_size_bytes / 1e6, ls=":", color="tab:red")
    floor = 100 * points[0].accuracy + points[0].drop - budget.max_drop
    for axis in (sizes, latencies):
        axis.axhline(floor, ls=":", color="tab:red", label="budget")
        axis.grid(alpha=0.3)
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        axis.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        axis.xaxis.set_minor_formatter(NullFormatter())
    if budget.max_latency_ms is not None:
        latencies.axvline(budget.max_latency_ms, ls=":", color="tab:red")
    sizes.set(xlabel="MB, model and tokenizer", ylabel="accuracy on development rows, %")
    latencies.set(xlabel="p50 of one text, ms")
    handles, labels = sizes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    sizes.legend(unique.values(), unique.keys(), fontsize="small")
    FigureCanvasAgg(figure).print_png(str(path))  # type: ignore[no-untyped-call]


def _draw(axis: Axes, point: Point, x: float, is_front: bool, is_chosen: bool) -> None:
    is_whole = point.trial == WHOLE
    axis.plot(
        [x],
        [100 * point.accuracy],
        "o" if is_whole else "^",
        color=COLORS[point.precision],
        markeredgecolor="black" if is_front else COLORS[point.precision],
        markersize=7,
        label=point.precision if is_whole else f"pruned, {point.precision}",
    )
    if is_chosen:
        axis.plot([x], [100 * point.accuracy], "o", ms=15, mfc="none", color="tab:red")
