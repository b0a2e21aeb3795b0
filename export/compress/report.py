"""The pages that a search leaves: `compression.md` and its plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from export.compress.points import WHOLE, Budget, Point, SearchResult

COLORS = {"float32": "tab:gray", "int8": "tab:blue", "int8, 4-bit table": "tab:orange"}


CROSS_VALIDATED = (
    "The model has learned from these rows too: there are too few to spare any. So the figures "
    "begin with what models said of them that were fitted without them (cross-validation; of a "
    "smaller model its own), and move as far as a bundle's outputs differ from its Keras model's."
)


def write_report(result: SearchResult, budget: Budget) -> None:
    """Write `compression.md` and `compression.png` into the folder of the trials."""
    plot_points(result, budget, result.folder / "compression.png")
    (result.folder / "compression.md").write_text(format_report(result, budget), "utf-8")


def find_front(points: Sequence[Point]) -> list[Point]:
    """Return the points that none beats in size and score at once, smallest first."""
    tried = sorted(
        (point for point in points if not point.error), key=lambda p: (p.size_bytes, -p.score)
    )
    front: list[Point] = []
    for point in tried:
        if not front or point.score > front[-1].score:
            front.append(point)
    return front


def format_report(result: SearchResult, budget: Budget) -> str:
    """Return the report as Markdown."""
    latency = f", p50 at most {budget.max_latency_ms} ms" if budget.max_latency_ms else ""
    if budget.min_speedup:
        latency += f", at least {budget.min_speedup:g} times faster than unpruned float32"
    verdict = "kept by" if result.is_met else "NOT met; nearest:"
    chosen, score_name = result.chosen, result.objective.score_name
    loss_name = result.objective.loss_name
    lines = [
        "# Compression report",
        "",
        f"Budget: at most {budget.max_size_bytes / 1e6:g} MB (model and tokenizer) and "
        f"{budget.max_drop:g} points of {score_name} below the Keras model{latency}: {verdict} "
        f"**{chosen.trial}, {chosen.precision}**.",
        "",
        f"{score_name.capitalize()} and {loss_name} are measured on {result.num_rows} development "
        "rows; *drop* is in points, ± its standard error, from the rows that this bundle and the "
        "unpruned float32 graph do not score the same. Of the bundles that keep the budget, the "
        f"one with the lowest {loss_name} is chosen. Latency: this machine, one text at a time, "
        "one thread; *faster*: how many times, by CPU time, than the unpruned float32 graph, in "
        "turns. `*` marks the Pareto front of size and score, `<-` the choice.",
        "",
        f"| trial | precision | MB | {score_name} | drop | {loss_name} | p50 ms | CPU ms "
        "| faster | |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    if result.is_cross_validated:
        lines[6:6] = [CROSS_VALIDATED, ""]
    front = find_front(result.points)
    for point in result.points:
        if point.error:
            lines.append(f"| {point.trial} | {point.precision} | | | | | | | | {point.error} |")
            continue
        marks = [
            mark for mark, is_set in (("*", point in front), ("<-", point == chosen)) if is_set
        ]
        lines.append(
            f"| {point.trial} | {point.precision} | {point.size_bytes / 1e6:.3f} | "
            f"{point.score:.4f} | {point.drop:.2f} ± {point.drop_error:.2f} | "
            f"{point.log_loss:.4f} | {point.latency_ms:.3f} | "
            f"{point.cpu_ms:.3f} | {point.times_faster:.1f} | {' '.join(marks)} |"
        )
    lines += ["", "![Size, accuracy and latency of every point](compression.png)", ""]
    return "\n".join(lines)


def plot_points(result: SearchResult, budget: Budget, path: Path) -> None:
    """Draw the score over size and over p50 latency to a PNG, the Pareto front as a line."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    sizes, latencies = figure.subplots(1, 2, sharey=True)
    points = [point for point in result.points if not point.error]
    front = find_front(points)
    sizes.plot(
        [point.size_bytes / 1e6 for point in front],
        [100 * point.score for point in front],
        "-",
        color="lightgray",
        zorder=0,
        label="Pareto front (black edge)",
    )
    for point in points:
        for axis, x in ((sizes, point.size_bytes / 1e6), (latencies, point.latency_ms)):
            _draw(axis, point, x, is_front=point in front, is_chosen=point == result.chosen)
    sizes.axvline(budget.max_size_bytes / 1e6, ls=":", color="tab:red")
    floor = 100 * points[0].score + points[0].drop - budget.max_drop
    for axis in (sizes, latencies):
        axis.axhline(floor, ls=":", color="tab:red", label="budget")
        axis.grid(alpha=0.3)
        axis.set_xscale("log")
        _set_ticks(axis)
    if budget.max_latency_ms is not None:
        latencies.axvline(budget.max_latency_ms, ls=":", color="tab:red")
    sizes.set(
        xlabel="MB, model and tokenizer",
        ylabel=f"{result.objective.score_name} on development rows, %",
    )
    latencies.set(xlabel="p50 of one text, ms")
    handles, labels = sizes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), loc="outside lower center", ncols=4)
    FigureCanvasAgg(figure).print_png(str(path))  # type: ignore[no-untyped-call]


def _draw(axis: Axes, point: Point, x: float, is_front: bool, is_chosen: bool) -> None:
    is_whole = point.trial == WHOLE
    marker, y = "o" if is_whole else "^", 100 * point.score
    label = point.precision if is_whole else f"pruned, {point.precision}"
    axis.plot([x], [y], marker, color=COLORS[point.precision], markersize=7, label=label)
    if is_front:
        axis.plot([x], [y], marker, ms=7, mfc="none", color="black")
    if is_chosen:
        axis.plot([x], [y], "o", ms=15, mfc="none", color="tab:red")


def _set_ticks(axis: Axes) -> None:
    """Label a logarithmic axis as densely as it stays legible."""
    low, high = axis.get_xlim()
    axis.set_xlim(low / 1.1, high * 1.1)
    subs = (1, 2, 3, 5, 7) if high / low < 30 else (1, 2, 5)
    axis.xaxis.set_major_locator(LogLocator(subs=subs))
    axis.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axis.xaxis.set_minor_locator(NullLocator())
