"""`minnow feedback`: what people said of results in, how right the model was out, and rows."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minnow.options import Json, ReplaceTable, flag, option

if TYPE_CHECKING:
    from training.feedback.command import Findings

PANEL = "Tools"
EXAMPLES = (
    "minnow feedback s3://bucket/feedback/ --results s3://bucket/events/",
    "minnow feedback said/ --results told/ --texts sent.jsonl --out feedback.jsonl",
)
BIASED = (
    "Who gives feedback is no random sample of all texts: of all of them the model may be right "
    "more often, or less."
)

Feedback = Annotated[
    list[str],
    typer.Argument(
        metavar="FEEDBACK...",
        help="Feedback as the service keeps it: files or folders of JSON, or s3://BUCKET/PREFIX/.",
    ),
]
Results = Annotated[
    list[str] | None,
    option(
        "--results",
        "PLACE",
        "Results as the service sends them, likewise; may be given several times.",
        "what the feedback itself says was answered",
    ),
]
SentTexts = Annotated[
    list[str] | None,
    option(
        "--texts",
        "PLACE",
        "The texts by their ids: JSON as it was sent, texts for review, or a table with ids.",
        "none",
    ),
]
Out = Annotated[
    Path | None,
    option(
        "--out",
        "FILE",
        "Rows for minnow train --add: .jsonl, .csv or .tsv, also with .gz or .zst.",
        "none",
    ),
]
IdColumn = Annotated[str, option("--id-column", "NAME", "Column or field of the id in --texts.")]
SentTextColumn = Annotated[
    str, option("--text-column", "NAME", "Column or field of the text in --texts.")
]
Quiet = Annotated[bool, flag("--quiet", "Leave out what comes next.")]


def feedback(
    feedback: Feedback,
    results: Results = None,
    texts: SentTexts = None,
    out: Out = None,
    id_column: IdColumn = "id",
    text_column: SentTextColumn = "text",
    force: ReplaceTable = False,
    quiet: Quiet = False,
    json_output: Json = False,
) -> None:
    """Tell how right a model was in production, and make rows of it.

    Feedback is joined with results by result_id. Of each model and version the figures say how
    many of its answers were right, with the interval in which the truth lies 95 times in 100. What
    was said twice counts once; of different things the last one counts.

    With --texts, --out has a row for each text that feedback speaks of, whether the model was right
    or wrong: `minnow train DATA --add FILE` learns from them.
    """
    from training.feedback.command import Plan, collect_feedback

    if (out is None) != (not texts):
        raise typer.BadParameter(
            "--out needs --texts, where the texts are, and --texts needs --out"
        )
    plan = Plan(feedback, results or (), texts or (), out, id_column, text_column, force)
    findings = collect_feedback(plan)
    if json_output:
        print(json.dumps(findings.describe(), ensure_ascii=False))
        return
    print(format_findings(findings))
    if findings.output and not quiet:
        print(f"next: minnow train DATA --add {findings.output} --out RUN", file=sys.stderr)


def format_findings(findings: Findings) -> str:
    """Return what was found for people, without any text."""
    from training.feedback.figures import format_figures

    lines: list[str] = []
    for figures in findings.models:
        lines += format_figures(figures)
    counts = (
        (findings.repeated, "say again what was said"),
        (findings.contradicted, "texts of which different things were said: the last one counts"),
        (findings.disagreeing, "say another answer than the result, which counts"),
        (findings.unfit, "have a label of another kind than the answer, and are left out"),
    )
    lines.append(f"{findings.feedback:,} feedback read")
    lines += [f"{count:>8,}  {what}" for count, what in counts if count]
    if findings.unknown:
        more = ", …" if findings.unknown > len(findings.unknown_ids) else ""
        lines.append(
            f"{findings.unknown:>8,}  of unknown results ({', '.join(findings.unknown_ids)}{more})"
        )
    lines.append(BIASED)
    if findings.output:
        told = f"{findings.output}\t{findings.rows:,} rows"
        told += f", {findings.without_text:,} without a text" if findings.without_text else ""
        if findings.ambiguous:
            told += f", {findings.ambiguous:,} ids of two texts left out"
        lines.append(told)
    return "\n".join(lines)
