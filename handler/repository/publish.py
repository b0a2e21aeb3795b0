"""Putting bundles into a repository, and saying which of them answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from handler.errors import ArtefactError, DeliveryError
from handler.inference.bundle import Bundle, MissingArtefactError, check_bundle, read_regular
from handler.inference.checks import parse_json
from handler.inference.classifier import Classifier, load_classifier, open_classifier
from handler.inference.manifest import MANIFEST, MAX_BYTES, MODEL, TOKENIZER, check_name
from handler.inference.trust import ANY, MAX_SIGNATURE_BYTES, SIGNATURE, Trust
from handler.repository.aliases import (
    ALIASES,
    TRIALS,
    Alias,
    check_alias,
    read_aliases,
    write_alias,
    write_trials,
)
from handler.repository.store import Store

MOST_BYTES = {**MAX_BYTES, SIGNATURE: MAX_SIGNATURE_BYTES}
FILES = (MODEL, TOKENIZER, SIGNATURE, MANIFEST)  # in the order in which they are written


class Pushed(NamedTuple):
    """A bundle in the repository: the model's name, the number it got, its manifest's sha256."""

    name: str
    version: int
    sha256: str


def push_bundle(
    store: Store, folder: Path, name: str = "", alias: str = "", trust: Trust = ANY
) -> Pushed:
    """Add the bundle in `folder`, which must serve here, as the next version of a model.

    Args:
        name: Of the model; empty: as the bundle's manifest says.
        alias: Set to the new version afterwards; empty: none.
        trust: Which bundles may serve.

    Raises:
        ArtefactError: The bundle must not serve, or a name cannot be one.
        DeliveryError: The repository cannot be reached; a number may be taken, no version is there.
    """
    if alias:
        check_alias(alias)
    classifier = load_classifier(folder, trust=trust)
    name = check_name("name", name or classifier.manifest.name)
    files = {
        file: read_regular(folder / file, MOST_BYTES[file])
        for file in FILES
        if file != SIGNATURE or (folder / file).exists()
    }
    # What was read is what goes: the folder may have changed since it was loaded.
    bundle = check_bundle(folder, partial(_read_pushed, folder, files), trust)
    version = store.add_version(name, files)
    if alias:
        promote_version(store, name, version, alias, trust)
    return Pushed(name, version, bundle.sha256)


def _read_pushed(folder: Path, files: Mapping[str, bytes], file: str, most: int) -> bytes:
    if file not in files:
        raise MissingArtefactError(f"{folder / file}: no such file.")
    return files[file]


def promote_version(store: Store, name: str, version: int, alias: str, trust: Trust = ANY) -> None:
    """Let an alias of a model mean a version, which is loaded here first.

    Args:
        trust: Which bundles may serve.

    Raises:
        MissingArtefactError: There is no such version.
        ArtefactError: The version must not serve.
    """
    _check_version(store, name, version, alias, trust)
    _change(store, name, lambda content: write_alias(content, alias, version))


def try_version(
    store: Store,
    name: str,
    version: int,
    alias: str,
    shares: Mapping[str, float],
    trust: Trust = ANY,
) -> None:
    """Let a version, which is loaded here first, be tried beside the one that an alias means.

    Args:
        shares: Of the requests, by kind: "canary" answers them, "shadow" is compared with answers.
        trust: Which bundles may serve.

    Raises:
        MissingArtefactError: There is no such version.
        ArtefactError: The version must not serve, or has nothing to be compared with: the alias
            means none, this one, or one of another task.
    """
    tried = _check_version(store, name, version, alias, trust)
    found = store.read_aliases(name)
    meant = read_aliases(found.content if found else b"").get(alias)
    if meant is not None and meant.version != version:
        kind = read_version(store, name, meant.version).manifest.task.kind
        if kind != tried.task.kind:
            raise ArtefactError(
                f"{store.place}: the task of model {name}, version {version}, is "
                f"{tried.task.kind}, that of {alias} is {kind}: they cannot be compared."
            )
    _change(store, name, lambda content: write_trials(content, alias, version, shares))


def _check_version(store: Store, name: str, version: int, alias: str, trust: Trust) -> Classifier:
    """Return a version, loaded and checked."""
    check_name("name", name)
    check_alias(alias)
    try:
        return open_classifier(read_version(store, name, version, trust))
    except MissingArtefactError as error:
        raise MissingArtefactError(
            f"{store.place}: model {name} has no version {version}. `minnow models` lists them."
        ) from error


def _change(store: Store, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change the aliases of a model; what is wrong with the file names it."""

    def change_named(content: bytes) -> bytes:
        try:
            read_aliases(content)
        except ArtefactError as error:
            raise ArtefactError(
                f"{store.place}: {ALIASES} of model {name}: {error} Mend it or remove it, then "
                "promote again."
            ) from error
        try:
            return change(content)
        except ArtefactError as error:
            raise ArtefactError(f"{store.place}: model {name}: {error}") from error

    store.change_aliases(name, change_named)


def read_version(store: Store, name: str, version: int, trust: Trust = ANY) -> Bundle:
    """Return a version's bundle, under the name and number that the repository gives it.

    Its manifest may say another name and version: those that it was exported with.

    Raises:
        MissingArtefactError: It has no manifest: it was never pushed, or not to the end.
        ArtefactError: It must not serve.
    """
    bundle = check_bundle(
        store.locate(name, version),
        lambda file, most: store.read_file(name, version, file, most),
        trust,
    )
    return bundle._replace(manifest=bundle.manifest._replace(name=name, version=str(version)))


def list_versions(store: Store) -> Iterator[dict[str, Any]]:
    """Yield every version of every model, as `minnow models --json` tells it."""
    for name in store.list_models():
        problem = ""
        named: dict[int, dict[str, Any]] = {}
        try:
            found = store.read_aliases(name)
            named = _name_versions(read_aliases(found.content if found else b""))
        except ArtefactError as error:
            problem = str(error)
        for version in store.list_versions(name):
            told = named.pop(version, {"aliases": []})
            yield {"name": name, "version": version, **told, **_describe(store, name, version)}
        for version, told in named.items():
            yield {"name": name, "version": version, **told, "problem": "there is no such version"}
        if problem:
            yield {"name": name, "version": 0, "aliases": [], "problem": problem}


def _name_versions(aliases: Mapping[str, Alias]) -> dict[int, dict[str, Any]]:
    """Return by version which aliases mean it, and beside which ones it is tried, if any."""
    named: dict[int, dict[str, Any]] = {}
    for alias, meant in sorted(aliases.items()):
        named.setdefault(meant.version, {"aliases": []})["aliases"].append(alias)
        for kind in TRIALS:
            trial = getattr(meant, kind)
            if trial is not None:
                tried = named.setdefault(trial.version, {"aliases": []}).setdefault("tried", [])
                tried.append({"alias": alias, "as": kind, "share": trial.share})
    return named


def _describe(store: Store, name: str, version: int) -> dict[str, Any]:
    """Return what a version's manifest says, unchecked but for its form, or what is wrong."""
    import hashlib

    try:
        content = store.read_file(name, version, MANIFEST, MAX_BYTES[MANIFEST])
        manifest = parse_json(content)
        return {
            "sha256": hashlib.sha256(content).hexdigest(),
            "exported_as": f"{manifest['name']} {manifest['version']}",
            "metrics": dict(manifest["metrics"]),
            "size_bytes": sum(file["size_bytes"] for file in manifest["files"].values()),
        }
    except MissingArtefactError:
        return {"problem": "not whole: a push was killed, or goes on"}
    except (ArtefactError, DeliveryError) as error:
        return {"problem": str(error)}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {"problem": "its manifest is none"}
