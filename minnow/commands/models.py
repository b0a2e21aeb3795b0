"""`minnow models`: what is in a repository of models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from minnow.options import Json
from minnow.repository import FROM_VARIABLE, REPOSITORY, open_repository

PANEL = "Repository"
EXAMPLES = ("minnow models models/", "minnow models s3://bucket/models/ --json")

SHOWN_METRICS = 3
SHOWN_DIGITS = 12  # of a hash; --json has it whole
Repository = Annotated[
    str | None,
    typer.Argument(metavar="REPOSITORY", help=REPOSITORY, show_default=FROM_VARIABLE),
]


def models(repository: Repository = None, json_output: Json = False) -> None:
    """List the models of a repository.

    Each version has its aliases and beside which ones it is tried, its size, hash and metrics, or
    what is wrong with it.
    """
    from handler.repository.publish import list_versions

    store = open_repository(repository)
    found = list(list_versions(store))
    if json_output:
        print(json.dumps({"repository": store.place, "versions": found}, ensure_ascii=False))
        return
    if not found:
        print(f"no models in {store.place}; add one: minnow push BUNDLE {store.place}")
    for version in found:
        print("\t".join(_describe(version)))


def _describe(version: Mapping[str, Any]) -> list[str]:
    names = list(version["aliases"])
    for tried in version.get("tried", ()):
        names.append(f"{tried['alias']} {tried['as']} {100 * tried['share']:g} %")
    columns = [version["name"], str(version["version"]), ", ".join(names) or "-"]
    if problem := version.get("problem"):
        return [*columns, problem]
    measured = version["metrics"].get("bundle", version["metrics"])  # of `minnow export`
    metrics = [f"{name} {one:.4g}" for name, one in measured.items() if isinstance(one, float)]
    size = f"{version['size_bytes'] / 1e6:.2f} MB"
    return [*columns, size, version["sha256"][:SHOWN_DIGITS], ", ".join(metrics[:SHOWN_METRICS])]
