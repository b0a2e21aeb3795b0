"""Reading a bundle: the folder that `minnow export` writes and the handler serves.

    model.onnx         token_ids int32 (batch, length) -> outputs float32 (batch, columns)
    tokenizer.json.gz  Hugging Face `tokenizers`, the words told apart: `unpack_tokenizer`
    manifest.json      what the two are, and how to know that they are still that

`docs/artefacts.md` documents the format, field by field.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from handler.errors import ArtefactError
from handler.inference.tasks import Task, read_task

FORMAT_VERSION = 3
MANIFEST = "manifest.json"
MODEL = "model.onnx"
RUN_METADATA = "metadata.json"  # what a run has in place of the manifest
TOKENIZER = "tokenizer.json.gz"
GZIP = 31  # zlib's `wbits` for a gzip header; the gzip module is one more import
PRECISIONS = ("int8", "float32")
NO_LETTER = ord("0")  # stands for 0 in `shared`
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # one segment of a path, unescaped


class Golden(NamedTuple):
    """A text whose outputs are known: the last check before a bundle serves."""

    text: str
    outputs: tuple[float, ...]
    atol: float


@dataclass(frozen=True)
class Card:
    """What people should know of a model, in the words of whoever made it; all may be empty."""

    summary: str = ""
    data: str = ""
    terms: str = ""
    intended_use: str = ""
    known_failures: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()  # texts to try


@dataclass(frozen=True)
class Manifest:
    """The bundle's description; `task` says what the columns of the outputs mean."""

    name: str
    version: str
    task: Task
    max_length: int
    pad_id: int
    unknown_id: int
    precision: str
    golden: Golden
    sha256: Mapping[str, str]
    metrics: Mapping[str, Any]
    provenance: Mapping[str, Any]
    card: Card = Card()

    @property
    def columns(self) -> Mapping[str, str]:
        """What a column of the training held -> its name: `text`, `label`; empty if unknown."""
        columns = self.provenance.get("columns")
        return columns if isinstance(columns, dict) else {}


@dataclass(frozen=True)
class Bundle:
    """A verified bundle in memory: the bytes whose hashes were checked are the bytes that serve."""

    folder: Path
    manifest: Manifest
    model: bytes
    tokenizer: bytes


def read_bundle(folder: Path) -> Bundle:
    """Return the bundle in `folder`, every file checked against the manifest's sha256.

    Raises:
        ArtefactError: A file is missing, changed or unreadable, or the format is not ours.
    """
    manifest_path = folder / MANIFEST
    if folder.is_file():
        raise ArtefactError(f"{folder}: is a file, wanted the folder of a bundle.")
    if not manifest_path.exists() and (folder / RUN_METADATA).exists():
        raise ArtefactError(
            f"{folder}: is a run, wanted a bundle. Make one of it: minnow export {folder} --out "
            "BUNDLE"
        )
    try:
        document = json.loads(_read(manifest_path))
    except ValueError as error:
        raise ArtefactError(f"{manifest_path}: not JSON. Export the model again.") from error
    manifest = parse_manifest(document, manifest_path)
    files = {
        name: _read_checked(folder / name, manifest.sha256[name]) for name in (MODEL, TOKENIZER)
    }
    return Bundle(folder, manifest, files[MODEL], files[TOKENIZER])


def unpack_tokenizer(content: bytes) -> tuple[dict[str, Any], dict[str, int]]:
    """Return (`tokenizer.json` with added tokens only, word -> id) of the file in a bundle.

    Each word is stored as how many letters it shares with the word before it, and its ending:
    {"shared": "0442", "endings": "film s ed t"} -> film, films, filmed, fit
    """
    document = json.loads(zlib.decompress(content, GZIP))
    shared, endings = document["words"]["shared"], document["words"]["endings"]
    word, words = "", []
    for letters, ending in zip(shared.encode("ascii"), endings.split(" "), strict=True):
        word = word[: letters - NO_LETTER] + ending
        words.append(word)
    return document["tokenizer"], dict(zip(words, range(len(words)), strict=True))


def check_name(field: str, value: object) -> None:
    """Raise ArtefactError unless `value`, a model's name or version, can stand in an address."""
    if not isinstance(value, str) or not SAFE_NAME.fullmatch(value):
        shown = repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:60]}…"
        raise ArtefactError(
            f"the model's {field} is {shown}, wanted letters from a to z, digits, '.', '_' and "
            "'-', at most 128, the first a letter or digit: it is part of addresses such as "
            "/v2/models/NAME/versions/VERSION."
        )


def parse_manifest(document: Any, path: Path) -> Manifest:
    """Return the manifest in a parsed `manifest.json`; `path` names it in errors."""
    found = document.get("format_version") if isinstance(document, dict) else None
    if found != FORMAT_VERSION:
        raise ArtefactError(
            f"{path}: format_version is {found}, this build reads {FORMAT_VERSION}. "
            "Export the model again with this version of Minnow: minnow export RUN --out BUNDLE"
        )
    try:
        golden = document["golden"]
        for field in ("name", "version"):
            check_name(field, document[field])
        return Manifest(
            name=document["name"],
            version=document["version"],
            task=read_task(document["task"]),
            max_length=document["max_length"],
            pad_id=document["pad_id"],
            unknown_id=document["unknown_id"],
            precision=_check_precision(document["precision"]),
            golden=Golden(golden["text"], tuple(golden["outputs"]), golden["atol"]),
            sha256={name: document["files"][name]["sha256"] for name in (MODEL, TOKENIZER)},
            metrics=document["metrics"],
            provenance=document["provenance"],
            card=parse_card(document.get("card", {}), path),
        )
    except ArtefactError as error:
        raise ArtefactError(f"{path}: {error} Export the model again.") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtefactError(
            f"{path}: field {error} is missing or of the wrong type. Export the model again."
        ) from error


def _check_precision(precision: object) -> str:
    if precision not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise ArtefactError(f"precision is {precision!r}, this build knows {known}.")
    return str(precision)


def parse_card(document: Any, path: Path) -> Card:
    """Return the card of a manifest, or of a file of its own; unknown fields do not matter."""
    known = {field.name: field.default for field in fields(Card)}
    if not isinstance(document, dict):
        raise ArtefactError(f"{path}: card wants an object of {', '.join(sorted(known))}.")
    given = {name: value for name, value in document.items() if name in known}
    card: dict[str, Any] = {}
    for name, value in given.items():
        is_list = isinstance(known[name], tuple)
        texts = value if is_list and isinstance(value, list) else [value]
        if not all(isinstance(text, str) for text in texts) or is_list != isinstance(value, list):
            wanted = "an array of texts" if is_list else "a text"
            raise ArtefactError(f"{path}: the card's {name} is not {wanted}.")
        card[name] = tuple(value) if is_list else value
    return Card(**card)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ArtefactError(
            f"{path}: no such file. A bundle is made by: minnow export RUN --out BUNDLE"
        ) from error
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read ({error.strerror}).") from error


def _read_checked(path: Path, wanted: str) -> bytes:
    content = _read(path)
    found = hashlib.sha256(content).hexdigest()
    if found != wanted:
        raise ArtefactError(
            f"{path}: sha256 is {found}, the manifest says {wanted}. "
            "The file was changed after the export: copy the bundle again, or export it again."
        )
    return content
