"""Arguments and options that several commands have, and how one is declared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def option(name: str, metavar: str, help_text: str, default: str | bool = True, **more: Any) -> Any:
    """Return an option.

    Args:
        name: As it is typed.
        metavar: Stands for its value in help.
        help_text: One sentence.
        default: What help says of it where the default of the parameter is None.
        more: Passed on to `typer.Option`.
    """
    return typer.Option(name, metavar=metavar, help=help_text, show_default=default, **more)


def flag(name: str, help_text: str, **more: Any) -> Any:
    """Return an option without a value."""
    return typer.Option(name, help=help_text, show_default="off", **more)


def read_share(text: str) -> float:
    """Return a number from 0 to 1: "0.25" -> 0.25."""
    try:
        share = float(text)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise typer.BadParameter(f"{text!r} is no share, wanted a number from 0 to 1")
    return share


def split_names(text: str | None) -> tuple[str, ...]:
    """Return names with commas between, each once: "pos, neg" -> ("pos", "neg")."""
    names = [name.strip() for name in (text or "").split(",") if text is not None]
    if text is not None and (len(names) < 2 or len({*names}) < len(names) or not all(names)):
        raise typer.BadParameter(
            f"{text!r}: wanted two different names or more, commas between, such as pos,neg"
        )
    return tuple(names)


def read_separator(text: str | None) -> str | None:
    """Return what stands between labels: something."""
    if text == "":
        raise typer.BadParameter("it is empty, wanted what stands between labels, such as |")
    return text


SHIPPED = "the film reviews model that comes with Minnow"
DATA = (
    "Labelled texts: CSV, TSV, JSON, Parquet (also .gz, .zst), .xlsx or fastText's .txt, or a "
    "folder with a subfolder for each label."
)
BUNDLE = "Folder of the bundle."
TEXT_COLUMN = "Column or field of the text: a name, data.text inside JSON, title,body to join two."

Data = Annotated[Path, typer.Argument(metavar="DATA", help=DATA)]
Texts = Annotated[
    Path,
    typer.Argument(
        metavar="TEXTS", help="Texts: CSV, TSV, JSON, .txt, Parquet (also .gz, .zst) or .xlsx."
    ),
]
TableOut = Annotated[
    Path,
    option("--out", "FILE", "Table to write: .csv, .tsv or .jsonl, also with .gz or .zst."),
]
ReplaceTable = Annotated[bool, flag("--force", "Replace a table that stands already.")]
QuietReading = Annotated[bool, flag("--quiet", "Tell neither what was read nor progress.")]
TextColumn = Annotated[str, option("--text-column", "NAME", TEXT_COLUMN)]
LabelColumn = Annotated[
    str, option("--label-column", "NAME", "Column or field that holds the label.")
]
GroupColumn = Annotated[
    str | None,
    option(
        "--group-column",
        "NAME",
        "Column whose equal rows stay on one side of the split, such as a film's id.",
        "every row for itself",
    ),
]
WeightColumn = Annotated[
    str | None,
    option(
        "--weight-column",
        "NAME",
        "Column of what each row counts in training, a number above 0.",
        "all the same",
    ),
]
LabelColumns = Annotated[
    str | None,
    option(
        "--label-columns",
        "NAME,NAME",
        "Columns named as the labels that hold their probabilities, in place of --label-column.",
        "one column",
    ),
]
LabelSeparator = Annotated[
    str | None,
    option(
        "--label-separator",
        "TEXT",
        "What stands between the labels of a cell, where a text can have several, such as |.",
        "found where it is a list",
        callback=read_separator,
    ),
]
Delimiter = Annotated[
    str | None,
    option(
        "--delimiter",
        "CHARACTER",
        "Character between fields, or comma, semicolon, tab, pipe.",
        "found",
    ),
]
Encoding = Annotated[
    str | None, option("--encoding", "NAME", "Encoding of the files, such as utf-16.", "found")
]
Quoting = Annotated[
    str | None,
    option(
        "--quoting",
        "KIND",
        "Kind of quoting: standard, or none, where a quote is a character like any other.",
        "found",
    ),
]
JoinSurplus = Annotated[
    bool, flag("--join-surplus", "Take surplus fields as text, where there are two columns.")
]
NormalizeLabels = Annotated[
    bool, flag("--normalize-labels", "Merge labels that differ by case or number form alone.")
]
BundleArgument = Annotated[
    Path | None, typer.Argument(metavar="BUNDLE", help=BUNDLE, show_default=SHIPPED)
]
BundleOption = Annotated[Path | None, option("--bundle", "BUNDLE", BUNDLE, SHIPPED)]
RememberedTextColumn = Annotated[
    str | None,
    option("--text-column", "NAME", "Column or field that holds the text.", "the training's"),
]
RememberedLabelColumn = Annotated[
    str | None,
    option("--label-column", "NAME", "Column or field that holds the label.", "the training's"),
]
Json = Annotated[bool, flag("--json", "Print one JSON object in place of text.")]
DECISIONS = "Which label is the answer, in place of the most probable one"
ThresholdLabel = Annotated[
    str | None,
    option(
        "--threshold-label",
        "LABEL",
        "The answer is LABEL wherever its probability is over a threshold, found by rows that were "
        "not learned from.",
        "none",
        rich_help_panel=DECISIONS,
    ),
]
MinPrecision = Annotated[
    float | None,
    option(
        "--min-precision",
        "SHARE",
        "Precision that the threshold keeps nine times in ten, by as many rows as there are; the "
        "lowest one is taken. Of several labels each has its own.",
        "none",
        parser=read_share,
        rich_help_panel=DECISIONS,
    ),
]
MinRecall = Annotated[
    float | None,
    option(
        "--min-recall",
        "SHARE",
        "Recall that the threshold keeps nine times in ten, by as many rows as there are; the "
        "highest one is taken.",
        "none",
        parser=read_share,
        rich_help_panel=DECISIONS,
    ),
]
Decide = Annotated[
    str | None,
    option(
        "--decide",
        "WAY",
        "How: most-probable; least-cost, by the class weights; macro-f1, where that is highest (of "
        "several labels the only one).",
        "least-cost with class weights",
        rich_help_panel=DECISIONS,
    ),
]


# Options of `train`, some of them of `export` too, that say what answers shall reach.
AIMS = (
    *("threshold_label", "min_precision", "min_recall", "decide"),
    *("loss", "coverage"),
    *("abstain_accuracy", "scope_coverage", "label_sets"),
)


def read_aims(context: typer.Context) -> dict[str, Any]:
    """Return what answers shall reach, by name, of what the user gave; a flag that stands is
    True."""
    values = {name: context.params.get(name) for name in AIMS}
    return {
        name: value for name, value in values.items() if value is not None and value is not False
    }
