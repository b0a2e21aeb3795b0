"""Options of answers that may be withheld, which `train` and `export` have."""

from __future__ import annotations

from typing import Annotated

import typer

from minnow.options import flag, option

SELECTIVE = "I don't know: answers that may be withheld"


def read_aim(text: str) -> float:
    """Return a number between 0 and 1: "0.98" -> 0.98."""
    try:
        share = float(text)
    except ValueError:
        share = 0
    if not 0 < share < 1:
        raise typer.BadParameter(
            f"{text!r}: wanted a number between 0 and 1, neither of them, such as 0.98"
        )
    return share


AbstainAccuracy = Annotated[
    float | None,
    option(
        "--abstain-accuracy",
        "SHARE",
        "Answer only so certain texts that this share of the answers is right.",
        "every text is answered",
        parser=read_aim,
        rich_help_panel=SELECTIVE,
    ),
]
ScopeCoverage = Annotated[
    float | None,
    option(
        "--scope-coverage",
        "SHARE",
        "Answer only texts like the training's: this share of such texts is in scope.",
        "0.99 with --abstain-accuracy, else any text is",
        parser=read_aim,
        rich_help_panel=SELECTIVE,
    ),
]
LabelSets = Annotated[
    bool,
    flag(
        "--label-sets",
        'Let requests ask for the labels that hold the true one so often: "coverage": 0.9.',
        rich_help_panel=SELECTIVE,
    ),
]
