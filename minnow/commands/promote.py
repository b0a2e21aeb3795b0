"""`minnow promote`: which version of a model answers."""

from __future__ import annotations

from typing import Annotated

import typer

from minnow.options import option
from minnow.repository import FROM_VARIABLE, REPOSITORY, open_repository

PANEL = "Repository"
EXAMPLES = (
    "minnow promote reviews 3 --models s3://bucket/models/",
    "minnow promote reviews 2",
    "minnow promote reviews 4 --alias candidate",
    "minnow promote reviews 4 --canary 5% --shadow 100%",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the model.")]
Version = Annotated[
    int, typer.Argument(metavar="VERSION", help="Number of the version.", min=1, max=999_999_999)
]
Alias = Annotated[
    str, option("--alias", "ALIAS", "Alias that shall mean it; live answers where none is named.")
]
TRIED = "Try a version beside the one that answers"


def read_part(text: str) -> float:
    """Return a share above 0: "5%" or "0.05" -> 0.05."""
    number, is_percent = text.removesuffix("%"), text.endswith("%")
    try:
        share = float(number) / (100 if is_percent else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise typer.BadParameter(f"{text!r} is no share of the requests, wanted 5% or 0.05")
    return share


Canary = Annotated[
    float | None,
    option(
        "--canary",
        "SHARE",
        "Let the version answer this share of the requests for the alias, such as 5%, in place of "
        "the version that it means and that goes on answering the others.",
        "none",
        parser=read_part,
        rich_help_panel=TRIED,
    ),
]
Shadow = Annotated[
    float | None,
    option(
        "--shadow",
        "SHARE",
        "Let the version run this share of the requests too, once they are answered, and log how "
        "far both agree.",
        "none",
        parser=read_part,
        rich_help_panel=TRIED,
    ),
]
Models = Annotated[str | None, option("--models", "REPOSITORY", REPOSITORY, FROM_VARIABLE)]


def promote(
    name: Name,
    version: Version,
    alias: Alias = "live",
    canary: Canary = None,
    shadow: Shadow = None,
    models: Models = None,
) -> None:
    """Let a version of a model answer, or try it beside the one that answers.

    It is read and checked first. Functions and servers follow within MINNOW_MODELS_REFRESH_S
    seconds, 30 by default. Going back is the same command.

    With --canary or --shadow the alias stays what it is. A promotion without them ends both,
    whichever version it names; minnow compare says how the two differ.
    """
    from handler.repository.publish import promote_version, try_version
    from handler.settings import read_trust

    store, trust = open_repository(models), read_trust()
    shares = {"canary": canary, "shadow": shadow}
    given = {kind: share for kind, share in shares.items() if share is not None}
    if not given:
        promote_version(store, name, version, alias, trust)
        print(f"model {name}: {alias} is version {version}, in {store.place}")
        return
    try_version(store, name, version, alias, given, trust)
    tried = " and ".join(f"{kind} for {100 * share:g} %" for kind, share in given.items())
    print(f"model {name}: version {version} is tried beside {alias}: {tried}, in {store.place}")
