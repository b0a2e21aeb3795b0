"""`NAME/aliases.json`: which version of a model answers under which name.

    {"format_version": 1, "aliases": {"live": {"version": 3, "previous": 2,
      "canary": {"version": 4, "share": 0.05}, "shadow": {"version": 4, "share": 1}}}}

A file for each model, so that who promotes one waits for nobody who promotes another, what is
broken in one touches no other, and a right can be given for one alone. `previous` is what the alias
meant before: a process that starts while `version` cannot serve answers by it. A `canary` answers
some of the requests in its place; a `shadow` answers nobody, and is compared with what did. Fields
of an alias that this build does not know stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from handler.errors import ArtefactError
from handler.inference.checks import array, number, one_of, parse_json, record, refuse, show, whole
from handler.inference.manifest import check_name

ALIASES = "aliases.json"
FORMAT_VERSION = 1
MAX_BYTES = 64 << 10
MAX_ALIASES = 100
MAX_VERSION = 999_999_999


CANARY, SHADOW = TRIALS = ("canary", "shadow")


class Trial(NamedTuple):
    """A version that is tried beside the one that an alias means.

    Args:
        share: Of the requests, above 0 and at most 1.
    """

    version: int
    share: float


class Alias(NamedTuple):
    """What a name of a version means now, and what it meant before; 0: nothing.

    Args:
        canary: Answers some of the requests; None: there is none.
        shadow: Is compared with what answered; None: there is none.
    """

    version: int
    previous: int = 0
    canary: Trial | None = None
    shadow: Trial | None = None


def is_version(text: str) -> bool:
    """Say whether `text` is a version's number: "3", not "03", "-1" or "³"."""
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_VERSION))
    return is_number and not text.startswith("0")


def check_alias(name: str) -> str:
    """Return `name` if it can be an alias: it stands in addresses where a version's number can."""
    check_name("alias", name)
    if name.isdigit():
        raise ArtefactError(f"the alias is {show(name)}, wanted a name that is no number.")
    return name


def read_aliases(content: bytes) -> dict[str, Alias]:
    """Return the aliases in a file's content; none of a file that is empty or not there.

    Raises:
        ArtefactError: It is not what `write_alias` writes.
    """
    entries = _parse(content)["aliases"]
    return {
        name: Alias(
            one["version"], one.get("previous", 0), *(_make_trial(one.get(kind)) for kind in TRIALS)
        )
        for name, one in entries.items()
    }


def _make_trial(entry: Mapping[str, Any] | None) -> Trial | None:
    return Trial(entry["version"], float(entry["share"])) if entry is not None else None


def write_alias(content: bytes, alias: str, version: int) -> bytes:
    """Return the file's content with one alias that means another version, beside which none is
    tried.

    Args:
        content: Of the file as it is; empty: there is none yet.
    """
    document = _parse(content)
    entry = document["aliases"].setdefault(check_alias(alias), {})
    if entry.get("version", version) != version:
        entry["previous"] = entry["version"]
    entry["version"] = version
    for kind in TRIALS:
        entry.pop(kind, None)
    return _dump(document)


def write_trials(content: bytes, alias: str, version: int, shares: Mapping[str, float]) -> bytes:
    """Return the file's content with a version that is tried beside the one that an alias means.

    Args:
        content: Of the file as it is; empty: there is none yet.
        shares: By kind, "canary" and "shadow"; a kind that is not in it stays as it is.

    Raises:
        ArtefactError: The alias means no version, or this one.
    """
    document = _parse(content)
    entry = document["aliases"].get(check_alias(alias))
    if entry is None:
        raise ArtefactError(
            f"no version is {alias} yet, beside which another one could be tried. Promote one first"
        )
    if entry["version"] == version:
        raise ArtefactError(f"version {version} is {alias} itself. Try another one beside it")
    for kind, share in shares.items():
        _read_share(share, kind)
        entry[kind] = {**entry.get(kind, {}), "version": version, "share": share}
    return _dump(document)


def _dump(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()


def _parse(content: bytes) -> dict[str, Any]:
    if not content:
        return {"format_version": FORMAT_VERSION, "aliases": {}}
    document: dict[str, Any] = _read_document(parse_json(content), "")
    return document


def _read_entries(value: Any, field: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or len(value) > MAX_ALIASES:
        refuse(field, value, f"an object of at most {MAX_ALIASES} aliases")
    array(lambda name, _: check_alias(name), MAX_ALIASES)(list(value), field)
    for name, entry in value.items():
        _read_entry(entry, f"{field}.{name}")
    return value


def _read_entry(value: Any, field: str) -> None:
    if not isinstance(value, dict):
        refuse(field, value, "an object with the field version")
    known = {name: value[name] for name in ("version", "previous", *TRIALS) if name in value}
    trials = dict.fromkeys(TRIALS, _read_trial)
    record({"version": _read_version}, {"previous": _read_version, **trials})(known, field)


def _read_trial(value: Any, field: str) -> None:
    if not isinstance(value, dict):
        refuse(field, value, "an object with the fields version and share")
    known = {name: value[name] for name in ("version", "share") if name in value}
    record({"version": _read_version, "share": _read_share})(known, field)


def _read_share(value: Any, field: str) -> float:
    share = number(value, field)
    if not 0 < share <= 1:
        refuse(field, value, "a share of the requests, above 0 and at most 1")
    return share


_read_version = whole(1, MAX_VERSION)
_read_document = record({"format_version": one_of(FORMAT_VERSION), "aliases": _read_entries})
