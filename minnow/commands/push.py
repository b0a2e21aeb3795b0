"""`minnow push`: a bundle into a repository of models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from minnow.options import BUNDLE, Json, option
from minnow.repository import FROM_VARIABLE, REPOSITORY, open_repository

PANEL = "Repository"
EXAMPLES = (
    "minnow push bundles/reviews models/",
    "minnow push bundles/next s3://bucket/models/ --alias candidate",
)

Bundle = Annotated[Path, typer.Argument(metavar="BUNDLE", help=BUNDLE)]
Repository = Annotated[
    str | None,
    typer.Argument(metavar="REPOSITORY", help=REPOSITORY, show_default=FROM_VARIABLE),
]
Name = Annotated[str, option("--name", "NAME", "Name of the model.", "the bundle's")]
Alias = Annotated[
    str, option("--alias", "ALIAS", "Alias that the new version gets, such as candidate.", "none")
]


def push(
    bundle: Bundle,
    repository: Repository = None,
    name: Name = "",
    alias: Alias = "",
    json_output: Json = False,
) -> None:
    """Add a bundle to a repository of models.

    It becomes the next version of its model, once it was checked. Versions are numbered 1, 2, 3 and
    never change; which one answers is said by `minnow promote`.
    """
    from handler.repository.publish import push_bundle
    from handler.settings import read_trust

    store = open_repository(repository)
    pushed = push_bundle(store, bundle, name, alias, read_trust())
    if json_output:
        print(json.dumps({**pushed._asdict(), "alias": alias, "repository": store.place}))
        return
    as_what = f", alias {alias}" if alias else ""
    print(f"model {pushed.name}, version {pushed.version}{as_what}, in {store.place}")
    if alias != "live":
        print(f"next: minnow promote {pushed.name} {pushed.version} --models {store.place}")
