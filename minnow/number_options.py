"""Options of `minnow train` for numbers."""

from __future__ import annotations

from typing import Annotated

import typer

from minnow.options import flag, option, read_share

LOSS = (
    "Of numbers, which errors training makes least: squared (the answer is the mean), absolute "
    "(the median) or huber (between them, for a few numbers that are far out)."
)


def complete_loss() -> list[str]:
    """Return the losses of numbers."""
    from training.fitting.losses import LOSSES

    return list(LOSSES)


def read_loss(name: str | None) -> str | None:
    """Return a loss that there is."""
    if name is not None and name not in (losses := complete_loss()):
        raise typer.BadParameter(f"{name!r} is no loss, wanted {' or '.join(losses)}")
    return name


Loss = Annotated[
    str | None,
    option(
        "--loss",
        "NAME",
        LOSS,
        "squared",
        autocompletion=complete_loss,
        callback=read_loss,
    ),
]
Coverage = Annotated[
    float | None,
    option(
        "--coverage",
        "SHARE",
        "Of numbers, share of the texts whose interval holds the truth.",
        "0.9",
        parser=read_share,
    ),
]
NoClip = Annotated[
    bool, flag("--no-clip", "Let numbers be below or above all that were learned from.")
]
