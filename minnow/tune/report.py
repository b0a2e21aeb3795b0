"""`tune.md` and the plot beside it: what was tried, what was chosen and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handler.files import replacing
from minnow.tune.scores import LOWER, standard_error
from minnow.tune.standing import Budget, Standing
from minnow.tune.table import HEADS, format_standing
from training.figures.plots import plot_trade_offs

REPORT, PLOT = "tune.md", "tune.png"
BUNDLE = "bundle"  # folder of the measured bundle, beside the report
ABOUT = (
    "A trial fits a candidate to some rows and measures it on a fold that it did not learn from: "
    "on the first fold the int8 bundle, on others the Keras model. ± is the standard error "
    "(jackknife over 20 parts of the rows). Better by: than the default on the same rows. ms is "
    "the median time of a processor for one text, without splitting it into tokens."
)


@dataclass(frozen=True)
class Outcome:
    """All that a report tells.

    Args:
        chosen: As the journal has it: the choices and why.
        result: Of the winner's bundle on the test rows, as `run_final` gives it.
        command: With which the winner is fitted by hand.
        test_is_part: The test rows were a part of the data.
    """

    standings: Sequence[Standing]
    metric: str
    budget: Budget
    chosen: dict[str, Any]
    result: dict[str, Any]
    command: str
    test_is_part: bool
    seconds: float
    num_trials: int


def write_report(folder: Path, outcome: Outcome) -> None:
    """Write `tune.md` and `tune.png` into `folder`."""
    points = [one for one in outcome.standings if one.size_bytes and not one.problem]
    with replacing(folder / PLOT) as temporary:
        plot_trade_offs(
            [(one.size_bytes / 1e6, one.latency_ms, one.value) for one in points],
            [one.name == outcome.chosen["name"] for one in points],
            [max(0, one.step) for one in points],
            outcome.metric,
            outcome.metric in LOWER,
            temporary,
        )
    with replacing(folder / REPORT) as temporary:
        temporary.write_text(format_report(outcome), encoding="utf-8")


def format_report(outcome: Outcome) -> str:
    """Return the report as Markdown."""
    return "\n".join(
        [
            "# Tuning",
            "",
            f"Chosen: **{outcome.chosen['name']}**. {outcome.chosen['why']}",
            "",
            format_result(outcome),
            "",
            "The winner is fitted again by hand by",
            "",
            "```",
            outcome.command,
            "```",
            *_tell_pruned(outcome),
            "",
            "## What was tried",
            "",
            *_list_candidates(outcome),
            "",
            f"![{outcome.metric} over size and time]({PLOT})",
            "",
        ]
    )


def _tell_pruned(outcome: Outcome) -> list[str]:
    """Return which of the folders keeps the budget, if the winner had to be pruned."""
    if not outcome.result.get("pruned"):
        return []
    return [
        "",
        f"It was pruned to keep the budget: use the bundle in `{BUNDLE}`. The run is the model "
        "before, whose bundle would be over it.",
    ]


def format_result(outcome: Outcome) -> str:
    """Return what the winner is worth on rows that no choice saw, in one or two sentences."""
    result = outcome.result
    error = standard_error(result["without"])
    pruned = ", pruned to keep the budget," if result.get("pruned") else ""
    whose = "held out before anything was tried" if outcome.test_is_part else "of --test"
    return (
        f"Its int8 bundle{pruned} has {outcome.metric} {result['value']:.4f} ± {error:.4f} on "
        f"{result['rows']:,} rows {whose}, which no choice saw; it has "
        f"{result['size_bytes'] / 1e6:.3f} MB and takes {result['latency_ms']:.3f} ms for a text."
    )


def describe_choice(
    chosen: Standing, default: Standing | None, expected: float | None, num_compared: int
) -> str:
    """Return why a candidate was chosen, in a sentence or two.

    Args:
        expected: What it is expected to gain, less than it gained: the best of several is better
            by luck too. None: it may be no better than the default.
        num_compared: Candidates that were compared with the default.
    """
    if chosen.step < 0:
        return "No other candidate could be compared with it."
    folds = "1 fold" if chosen.num_folds == 1 else f"{chosen.num_folds} folds"
    where = f"fitted to {chosen.rows:,} rows, on {folds}"
    others = "1 other" if num_compared == 1 else f"{num_compared} others"
    if chosen.is_default:
        return f"Of {others} none is better by more than luck explains ({where})."
    if default is not None and default.is_over:
        return f"The default does not keep the budget; of what does, this was the best ({where})."
    told = "" if chosen.gain is None else f"{chosen.gain:+.4f} ± {chosen.gain_error:.4f}"
    if expected is None:
        beside = f"; beside the default {told} on the same rows" if told else ""
        return f"It was the best that could be fitted in the time ({where}{beside})."
    return (
        f"It was better than the default by {told.removeprefix('+')} on the same rows ({where}); "
        f"{expected:.4f} of it is expected to stay: the best of {num_compared} is also lucky."
    )


def _list_candidates(outcome: Outcome) -> list[str]:
    heads = [outcome.metric if head == "score" else head for head in HEADS]
    budget = [
        text
        for text in (
            f"{outcome.budget[0] / 1e6:g} MB" if outcome.budget[0] else "",
            f"{outcome.budget[1]:g} ms" if outcome.budget[1] else "",
        )
        if text
    ]
    within = f", within {' and '.join(budget)}" if budget else ""
    lines = [
        f"Candidates: {len(outcome.standings)}, in {outcome.num_trials} trials and "
        f"{outcome.seconds / 60:.1f} minutes{within}. {ABOUT}",
        "",
        f"| {' | '.join([*heads, 'better by'])} |",
        f"|{'---|' * (len(heads) + 1)}",
    ]
    for rank, one in enumerate(outcome.standings, start=1):
        cells = format_standing(one, rank)
        gain = "" if one.gain is None else f"{one.gain:+.4f} ± {one.gain_error:.4f}"
        name = f"**{one.name}**" if one.name == outcome.chosen["name"] else one.name
        lines.append(f"| {' | '.join([cells[0], name, *cells[2:], gain])} |")
    return lines
