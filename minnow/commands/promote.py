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
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the model.")]
Version = Annotated[
    int, typer.Argument(metavar="VERSION", help="Number of the version.", min=1, max=999_999_999)
]
Alias = Annotated[
    str, option("--alias", "ALIAS", "Alias that shall mean it; live answers where none is named.")
]
Models = Annotated[str | None, option("--models", "REPOSITORY", REPOSITORY, FROM_VARIABLE)]


def promote(name: Name, version: Version, alias: Alias = "live", models: Models = None) -> None:
    """Let a version of a model answer.

    It is read and checked first. Functions and servers follow within MINNOW_MODELS_REFRESH_S
    seconds, 30 by default. Going back is the same command.
    """
    from handler.repository.publish import promote_version
    from handler.settings import read_trust

    store = open_repository(models)
    promote_version(store, name, version, alias, read_trust())
    print(f"model {name}: {alias} is version {version}, in {store.place}")
