"""The pages of a run folder that are for people: history, plots, report."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.figures.mistakes import Mistake, escape_cell, format_mistakes, name_mistakes
from training.figures.plots import plot_history
from training.figures.selective_figures import format_evaluation, write_plots
from training.rows.data import Part
from training.rows.label_sets import names_of
from training.rows.survey import Survey
from training.tasks import Objective


@dataclass(frozen=True)
class Findings:
    """What a report tells of the rows.

    Args:
        parts: Use -> its rows.
        mistakes: The most confident ones of the last part.
    """

    survey: Survey
    parts: Mapping[str, Part]
    mistakes: Sequence[Mistake]


def format_survey(findings: Findings, has_labels: bool) -> list[str]:
    """Return what was read as Markdown: a list, and a table of labels by use."""
    survey = findings.survey
    lines = [f"- {line}" for line in survey.lines]
    lines += [f"- **warning**: {warning}" for warning in survey.warnings]
    lines += [f"- the token that tells the label: `{survey.token}`"] if survey.token else []
    if not has_labels:
        return [*lines, ""]
    counts = {
        name: Counter(one for label in part.labels for one in names_of(label))
        for name, part in findings.parts.items()
    }
    lines += ["", f"| label | {' | '.join(counts)} |", f"|---|{'---|' * len(counts)}"]
    for label in sorted(set().union(*counts.values())):
        numbers = " | ".join(f"{count[label]:,}" for count in counts.values())
        lines.append(f"| {escape_cell(label)} | {numbers} |")
    return [*lines, ""]


CROSS_VALIDATED = (
    "These rows were learned from in the end: there are too few to spare any. The figures are "
    "those of models that were fitted without them (cross-validation)."
)


def write_report(
    folder: Path,
    metadata: Mapping[str, Any],
    history: Sequence[Mapping[str, float]],
    objective: Objective,
    findings: Findings,
) -> list[str]:
    """Write `history.csv`, the plots and the `report.md` that shows them into `folder`.

    Returns the names of the files.

    Args:
        history: What each epoch gave, as `training.fitting.fit.fit` returns it; empty where nothing
            was trained in epochs.
    """
    plots = _write_history(folder, history, objective) if history else {}
    shown = "test" if "test" in metadata["metrics"] else "dev"
    plots |= objective.write_plots(metadata["metrics"][shown], folder)
    plots |= write_plots(metadata["metrics"][shown], folder)
    report = format_report(metadata, history, objective, plots, findings)
    (folder / "report.md").write_text(report, encoding="utf-8")
    return ["history.csv"] * bool(history) + ["report.md", *plots.values()]


def _write_history(
    folder: Path, history: Sequence[Mapping[str, float]], objective: Objective
) -> dict[str, str]:
    """Write the epochs as a file and as a plot; return title -> name of the plot."""
    with (folder / "history.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
    plot_history(history, objective.score_name, folder / "learning_curves.png")
    return {"Learning curves": "learning_curves.png"}


def format_report(
    metadata: Mapping[str, Any],
    history: Sequence[Mapping[str, float]],
    objective: Objective,
    plots: Mapping[str, str],
    findings: Findings,
) -> str:
    """Return the report as Markdown; `plots` are title -> file name."""
    lines = _describe_run(metadata, history)
    lines += ["## What was read", ""]
    lines += format_survey(findings, "labels" in objective.task.describe())
    for name, title in (("test", "Test rows"), ("dev", "Development rows")):
        if name in metadata["metrics"]:
            figures = format_evaluation(objective, metadata["metrics"][name])
            lines += [f"## {title}", ""]
            if name == "dev" and metadata.get("cross_validated"):
                lines += [CROSS_VALIDATED, ""]
            lines += ["```", figures, "```", ""]
    if settled := objective.describe_settled(metadata.get("settled", {})):
        lines += ["## How answers are chosen", "", f"{escape_cell(settled)}.", ""]
    if findings.mistakes:
        lines += [f"## {name_mistakes(objective).capitalize()}", ""]
        has_labels = "labels" in objective.task.describe()
        lines += [*format_mistakes(findings.mistakes, has_labels), ""]
    for title, file_name in plots.items():
        if not file_name.endswith(".png"):
            lines += [f"[{title}]({file_name})", ""]
            continue
        lines += [f"![{title}]({file_name})", ""]
    lines += ["## Settings", ""]
    lines += [f"- {name}: {value}" for name, value in metadata["settings"].items()]
    lines += ["", "## Constants of this version", ""]
    lines += [f"- {name}: {value}" for name, value in metadata["constants"].items()]
    return "\n".join(lines) + "\n"


def find_kept(patience: int, history: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """Return the epoch whose weights `training.fitting.fit.fit` keeps."""
    if "gain" in history[0]:
        return max(history, key=lambda row: row["gain"])
    return min(history, key=lambda row: row["dev_loss"]) if patience else history[-1]


def _describe_run(metadata: Mapping[str, Any], history: Sequence[Mapping[str, float]]) -> list[str]:
    lines = [f"# Training report: recipe `{metadata['recipe']}`", ""]
    for role, data in metadata["data"].items():
        if "rows" in data:
            lines.append(f"- {role}: {data['rows']:,} rows (sha256 `{data['sha256'][:12]}`)")
        else:
            lines.append(f"- {role.replace('_', ' ')}: `{data['path']}`")
    lines += [
        f"- vocabulary: {metadata['vocab_size']:,} tokens; "
        f"at most {metadata['max_length']} tokens of a text are read",
        *_describe_epochs(metadata, history),
        *_describe_exit(metadata.get("early_exit")),
        "",
    ]
    return lines


def _describe_epochs(
    metadata: Mapping[str, Any], history: Sequence[Mapping[str, float]]
) -> list[str]:
    if not history:
        return ["- epochs: none; the model is a linear one, as nothing more pays with these rows"]
    kept = find_kept(metadata["settings"]["patience"], history)
    why = "the lowest development loss" if metadata["settings"]["patience"] else "the last"
    if "gain" in kept:
        why = "the greatest gain beside the linear half"
    return [
        f"- epochs: {len(history)}, kept: {kept['epoch']:.0f}, {why}; "
        f"{sum(row['seconds'] for row in history):.0f} s",
        "- the epochs are those of what gradient descent trains; the figures below are the "
        "finished model's",
    ]


def _describe_exit(found: Mapping[str, Any] | None) -> list[str]:
    """Return what the report says of an early exit, nothing of a model without one."""
    if found is None:
        return []
    if found["threshold"] is None:
        return ["- early exit: none; the development rows do not show that answers would stay"]
    return [
        f"- early exit: {found['dev_share']:.1%} of the development rows, where the phrases' "
        f"answer leads by a logit of {found['threshold']:.2f} or more"
    ]
