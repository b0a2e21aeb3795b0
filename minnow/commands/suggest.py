"""`minnow suggest`: unlabelled rows in, those that are worth a label out."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minnow.errors import CommandError
from minnow.options import (
    Delimiter,
    Encoding,
    JoinSurplus,
    Json,
    LabelColumn,
    LabelColumns,
    NormalizeLabels,
    QuietReading,
    Quoting,
    ReplaceTable,
    TableOut,
    TextColumn,
    Texts,
    option,
    split_names,
)

if TYPE_CHECKING:
    from training.curation.suggest import Suggestions

PANEL = "Tools"
EXAMPLES = (
    "minnow suggest new.csv --labelled hand.csv --out next.csv",
    "minnow suggest new.jsonl --model bundles/reviews --count 50 --out next.jsonl",
)
REQUIRED = ("scipy", "sklearn")

Labelled = Annotated[
    Path | None,
    option("--labelled", "FILE", "Rows that have labels, as minnow train reads them.", "none"),
]
LabelledTextColumn = Annotated[
    str | None,
    option(
        "--labelled-text-column",
        "NAME",
        "Column or field of the text in --labelled, where it has another name there.",
        "that of --text-column",
    ),
]
Model = Annotated[
    Path | None,
    option(
        "--model",
        "MODEL",
        "Folder of the run or of the bundle that says the probabilities.",
        "a linear model of --labelled",
    ),
]
Count = Annotated[int, option("--count", "N", "Rows to suggest.", min=1, max=5_000)]
Seed = Annotated[int, option("--seed", "N", "Seed of what is drawn.", min=0, max=2**31)]


def suggest(
    texts: Texts,
    out: TableOut,
    labelled: Labelled = None,
    model: Model = None,
    count: Count = 100,
    text_column: TextColumn = "text",
    labelled_text_column: LabelledTextColumn = None,
    label_column: LabelColumn = "label",
    label_columns: LabelColumns = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    quoting: Quoting = None,
    join_surplus: JoinSurplus = False,
    normalize_labels: NormalizeLabels = False,
    seed: Seed = 0,
    force: ReplaceTable = False,
    quiet: QuietReading = False,
    json_output: Json = False,
) -> None:
    """Choose rows that are worth a label.

    These are texts of which a model is unsure, and which are unlike each other and what is labelled
    already. The model is a linear one, fitted to the rows of --labelled in seconds, or that of
    --model. The table has all columns of TEXTS and an empty one for the label.

    Rows of --labelled without a label are passed over, so one file may hold both kinds of rows.
    """
    from minnow.extras import require

    require(*REQUIRED)
    from handler.rows.options import ReadOptions
    from training.curation.suggest import Plan, suggest_file
    from training.labelling.files import Source
    from training.progress import quiet as hush
    from training.rows.columns import Columns

    if labelled is None and model is None:
        raise typer.BadParameter("wanted --labelled FILE, or --model MODEL, or both")
    if labelled is None and labelled_text_column is not None:
        raise typer.BadParameter("--labelled-text-column names a column of --labelled: give both")
    more: dict[str, Any] = {}
    if model is not None:
        from minnow.commands.evaluate import load_model

        task, more["predict"], _ = load_model(model)
        if "labels" not in task.describe():
            raise CommandError(f"{model}: its task is {task.kind}, wanted a model of labels")
        more["margins"] = task.margins
    options = ReadOptions(delimiter, encoding, quoting, join_surplus)
    names = (labelled_text_column or text_column, label_column, None, options)
    columns = Columns(*names, normalize_labels, split_names(label_columns))
    plan = Plan(count, labelled, columns, seed=seed, **more)
    with hush(quiet):
        suggestions = suggest_file(Source(texts, text_column, options), out, plan, force)
    if json_output:
        print(json.dumps(dataclasses.asdict(suggestions)))
        return
    print(format_suggestions(suggestions))
    if not quiet:
        into = labelled.name if labelled else "your labelled rows"
        print(f"next: fill the labels of {out}, add its rows to {into}, train", file=sys.stderr)


def format_suggestions(suggestions: Suggestions) -> str:
    """Return one line for people, without any text of the rows."""
    counts = f"{suggestions.suggested:,} of {suggestions.rows:,} rows"
    if suggestions.known:
        counts += f", {suggestions.known:,} nearly labelled ones or parts of them"
    if suggestions.unreadable:
        counts += f", {suggestions.unreadable:,} without a text that can be read"
    return f"{suggestions.output}\t{counts}"
