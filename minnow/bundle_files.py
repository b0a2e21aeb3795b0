"""Where a bundle's files come from: a folder, a bucket, or the bytes at hand.

Each function returns what `handler.inference.bundle.check_bundle` reads a file by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path


def open_place(place: str) -> Callable[[str, int], bytes]:
    """Return what reads a bundle's file by name, up to so many bytes."""
    if "://" not in place:
        from handler.inference.bundle import open_folder

        return open_folder(Path(place))
    from handler.event_settings import parse_target
    from handler.repository.bucket import BucketStore

    return BucketStore(parse_target(place, ("s3",), "bundle")).read_object


def carried(files: Mapping[str, bytes]) -> Callable[[str, int], bytes]:
    """Return what reads a bundle's file out of those at hand."""
    from handler.inference.bundle import MissingArtefactError

    def read(name: str, most: int) -> bytes:
        if name not in files:
            raise MissingArtefactError(f"{name}: the scorer was made of a bundle without it")
        return files[name]

    return read


def recording(
    read: Callable[[str, int], bytes], files: dict[str, bytes]
) -> Callable[[str, int], bytes]:
    """Return `read`, whose results come into `files` too; with the first also the signature, which
    another process may ask for."""
    from handler.inference.bundle import MissingArtefactError
    from handler.inference.trust import MAX_SIGNATURE_BYTES, SIGNATURE

    def record(name: str, most: int) -> bytes:
        if not files:
            with suppress(MissingArtefactError):
                files[SIGNATURE] = read(SIGNATURE, MAX_SIGNATURE_BYTES)
        files[name] = read(name, most)
        return files[name]

    return record
