"""The pages of a run folder that are for people: history, plots, report."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.plots import plot_history
from training.tasks import Objective


def write_report(
    folder: Path,
    metadata: Mapping[str, Any],
    history: Sequence[Mapping[str, float]],
    objective: Objective,
) -> None:
    """Write `history.csv`, the plots and the `report.md` that shows them into `folder`.

    Args:
        history: What each epoch gave, as `training.fit.fit` returns it.
    """
    with (folder / "history.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
    shown = "test" if "test" in metadata["metrics"] else "dev"
    plot_history(history, objective.score_name, folder / "learning_curves.png")
    plots = {"Learning curves": "learning_curves.png"}
    plots |= objective.write_plots(metadata["metrics"][shown], folder)
    report = format_report(metadata, history, objective, plots)
    (folder / "report.md").write_text(report, encoding="utf-8")


def format_report(
    metadata: Mapping[str, Any],
    history: Sequence[Mapping[str, float]],
    objective: Objective,
    plots: Mapping[str, str],
) -> str:
    """Return the report as Markdown; `plots` are title -> file name."""
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
            figures = objective.format_evaluation(metadata["metrics"][name])
            lines += [f"## {title}", "", "```", figures, "```", ""]
    for title, file_name in plots.items():
        lines += [f"![{title}]({file_name})", ""]
    lines += ["## Settings", ""]
    lines += [f"- {name}: {value}" for name, value in metadata["settings"].items()]
    lines += ["", "## Constants of this version", ""]
    lines += [f"- {name}: {value}" for name, value in metadata["constants"].items()]
    return "\n".join(lines) + "\n"
