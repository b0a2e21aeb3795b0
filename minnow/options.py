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


SHIPPED = "the film reviews model that comes with Minnow"
DATA = (
    "Labelled texts: CSV, TSV, JSON Lines or Parquet (also .gz, .zst), or a folder with a "
    "subfolder for each label."
)
BUNDLE = "Folder of the bundle."

Data = Annotated[Path, typer.Argument(metavar="DATA", help=DATA)]
TextColumn = Annotated[str, option("--text-column", "NAME", "Column or field that holds the text.")]
LabelColumn = Annotated[
    str, option("--label-column", "NAME", "Column or field that holds the label.")
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
