"""Reading a bundle: the folder that `minnow export` writes and the handler serves.

    model.onnx         token_ids int32 (batch, length) -> outputs float32 (batch, columns)
    tokenizer.json.gz  words, what each character is, the name of the rules: `unpack_tokenizer`
    manifest.json      what the two are, and how to know that they are still that
    signature.json     who made it, where it was signed: `handler/inference/trust.py`

`docs/artefacts.md` documents the format, field by field.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from handler.errors import ArtefactError
from handler.inference.checks import parse_json
from handler.inference.graph import check_graph
from handler.inference.manifest import (
    MANIFEST,
    MAX_BYTES,
    MODEL,
    TOKENIZER,
    File,
    Manifest,
    parse_manifest,
)
from handler.inference.tokenizer import Tokenizer
from handler.inference.tokenizer_file import unpack_tokenizer
from handler.inference.trust import ANY, MAX_SIGNATURE_BYTES, SIGNATURE, Trust, check_trust

RUN_METADATA = "metadata.json"  # what a run has in place of the manifest
EXPORT_AGAIN = "Export the model again: minnow export RUN --out BUNDLE"
# A named pipe that nobody writes to would be waited for.
FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class MissingArtefactError(ArtefactError):
    """A file of a bundle that is not there."""


class Bundle(NamedTuple):
    """A verified bundle in memory: the bytes that were checked are the bytes that serve.

    Args:
        sha256: Of `manifest.json`, which holds the hashes of the others: of the whole bundle.
        size_bytes: Of graph and tokenizer as they stand in their files.
    """

    folder: Path
    manifest: Manifest
    sha256: str
    model: bytes
    tokenizer: Tokenizer
    size_bytes: int


def read_bundle(folder: Path, trust: Trust = ANY) -> Bundle:
    """Return the bundle in `folder`, every file checked as far as can be without running it.

    Args:
        trust: Which bundles may serve.

    Raises:
        ArtefactError: A file is missing, changed, unreadable or not ours; names file and cure.
    """
    return check_bundle(folder, open_folder(folder), trust)


def open_folder(folder: Path) -> Callable[[str, int], bytes]:
    """Return what `check_bundle` reads the files of `folder` by.

    Raises:
        ArtefactError: It is a file, or a run.
    """
    if os.path.isfile(folder):
        raise ArtefactError(f"{folder}: is a file, wanted the folder of a bundle.")
    if not os.path.lexists(folder / MANIFEST) and os.path.exists(folder / RUN_METADATA):
        raise ArtefactError(
            f"{folder}: is a run, wanted a bundle. Make one of it: minnow export {folder} --out "
            "BUNDLE"
        )
    return lambda name, most: read_regular(folder / name, most)


def check_bundle(folder: Path, read: Callable[[str, int], bytes], trust: Trust = ANY) -> Bundle:
    """Return the bundle whose files `read` returns, every file checked as `read_bundle` does.

    Args:
        folder: What errors call the place.
        read: Takes a file's name and the bytes that it may have; raises MissingArtefactError.
        trust: As of `read_bundle`.
    """
    path = folder / MANIFEST
    content = read(MANIFEST, MAX_BYTES[MANIFEST])
    sha256 = hashlib.sha256(content).hexdigest()
    _check_trust(folder, sha256, read, trust)
    with naming(path):
        manifest = parse_manifest(parse_json(content))
    files = {
        name: _check_file(folder / name, read(name, MAX_BYTES[name]), file)
        for name, file in manifest.files.items()
    }
    with naming(folder / MODEL):
        check_graph(files[MODEL])
    with naming(folder / TOKENIZER):
        tokenizer = unpack_tokenizer(files[TOKENIZER], manifest)
    size_bytes = sum(map(len, files.values()))
    return Bundle(folder, manifest, sha256, files[MODEL], tokenizer, size_bytes)


def _check_trust(
    folder: Path, sha256: str, read: Callable[[str, int], bytes], trust: Trust
) -> None:
    """Raise ArtefactError unless the bundle of that manifest may serve."""
    path, signature = folder / MANIFEST, None
    if trust.keys or trust.requires_signature:
        with suppress(MissingArtefactError):
            signature = read(SIGNATURE, MAX_SIGNATURE_BYTES)
            path = folder / SIGNATURE
    try:
        check_trust(sha256, signature, trust)
    except ArtefactError as error:
        raise ArtefactError(f"{path}: {error}") from error


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an ArtefactError the name of the file that it is about, and the cure."""
    try:
        yield
    except ArtefactError as error:
        raise ArtefactError(f"{path}: {error} {EXPORT_AGAIN}") from error


def read_regular(path: Path, most: int) -> bytes:
    """Return the content of a regular file, or of one that a link leads to.

    Args:
        most: Bytes that it may have.

    Raises:
        MissingArtefactError: There is no such file.
        ArtefactError: It is larger, anything but a regular file, or grows meanwhile.
    """
    try:
        _check_regular(path, os.stat(path), most)  # opening a device may do something
        descriptor = os.open(path, FLAGS)
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            _check_regular(path, found, most)
            content = file.read(found.st_size + 1)
    except FileNotFoundError as error:
        raise MissingArtefactError(
            f"{path}: no such file. A bundle is made by: minnow export RUN --out BUNDLE"
        ) from error
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise ArtefactError("the bundle's path holds a null character.") from error
    if len(content) != found.st_size:
        raise ArtefactError(f"{path}: has another size while it is read. Copy the bundle again.")
    return content


def _check_regular(path: Path, found: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ArtefactError(
            f"{path}: is no regular file ({stat.filemode(found.st_mode)}). Copy the bundle again."
        )
    if not 0 < found.st_size <= most:
        raise ArtefactError(
            f"{path}: has {found.st_size} bytes, wanted 1 to {most}. Copy the bundle again, or "
            "export a smaller model: minnow export RUN --out BUNDLE --max-size SIZE"
        )


def _check_file(path: Path, content: bytes, wanted: File) -> bytes:
    found = File(hashlib.sha256(content).hexdigest(), len(content))
    if found.sha256 != wanted.sha256:
        raise ArtefactError(
            f"{path}: sha256 is {found.sha256}, the manifest says {wanted.sha256}. "
            "The file was changed after the export: copy the bundle again, or export it again."
        )
    if found.size_bytes != wanted.size_bytes:
        raise ArtefactError(
            f"{path}: has {found.size_bytes} bytes, the manifest says {wanted.size_bytes}. "
            f"{EXPORT_AGAIN}"
        )
    return content
