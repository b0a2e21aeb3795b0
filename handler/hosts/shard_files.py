"""Small files beside outputs, in a folder or a bucket alike."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from handler.errors import DeliveryError
from handler.files import write_json
from handler.hosts.file_job import open_input
from handler.objects.source import ObjectGone

FOLDER = "_shards"  # Spark, Hive and Athena pass over names that begin so
CHUNK_BYTES = 1 << 20


def measure(place: str) -> dict[str, Any] | None:
    """Return `bytes` and `sha256` of a file or object; None: it is not there."""
    opened = _open(place)
    if opened is None:
        return None
    file, size, _ = opened
    with file:
        digest = hashlib.sha256()
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}


def read_json(place: str) -> dict[str, Any] | None:
    """Return an object of JSON, empty where another thing is in the file; None: it is not there."""
    opened = _open(place)
    if opened is None:
        return None
    with opened[0] as file:
        try:
            found = json.loads(file.read())
        except ValueError:
            return {}
    return found if isinstance(found, dict) else {}


def _open(place: str) -> tuple[BinaryIO, int, str] | None:
    """Return what `open_input` does; None: there is no such file or object."""
    try:
        return open_input(place)
    except FileNotFoundError:
        return None
    except DeliveryError as error:
        if isinstance(error.__cause__, ObjectGone):
            return None
        raise


def write_json_at(place: str, document: Any) -> None:
    """Write an object of JSON, which stands there as a whole or not at all."""
    if "://" not in place:
        write_json(Path(place), document)
        return
    bucket, key = split_place(place)
    content = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    with _asking(place) as s3:
        s3.put_object(Bucket=bucket, Key=key, Body=content.encode())


def list_records(out: str) -> list[str]:
    """Return the names of the records of shards, sorted."""
    if "://" not in out:
        found = [path.name for path in Path(out, FOLDER).glob("*-of-*.json")]
    else:
        found = list_keys(f"{out}/{FOLDER}/")
    return sorted(name for name in found if "-of-" in name)


def list_keys(place: str) -> list[str]:
    """Return the keys below a place that ends with a slash, without what it begins with."""
    bucket, prefix = split_place(place)
    with _asking(place) as s3:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        entries = [entry for page in pages for entry in page.get("Contents", [])]
    return [str(entry["Key"]).removeprefix(prefix) for entry in entries]


@contextmanager
def _asking(place: str) -> Iterator[Any]:
    """Yield a client of S3, whose errors become ours."""
    from handler.aws import error_code, make_client

    try:
        yield make_client("s3")
    except Exception as error:  # of the client, and of its own reading of addresses and settings
        raise DeliveryError(f"{place}: S3 refused: {error_code(error)}") from error


def split_place(place: str) -> tuple[str, str]:
    """Return bucket and key: s3://a/b/c -> a, b/c."""
    bucket, _, key = place.removeprefix("s3://").partition("/")
    return bucket, key


def base_name(name: str) -> str:
    """Return what stands behind the last slash."""
    return name.rsplit("/", 1)[-1]


def remove_file(place: str) -> None:
    """Remove a file or object; nothing where there is none."""
    if "://" in place:
        bucket, key = split_place(place)
        with _asking(place) as s3:
            s3.delete_object(Bucket=bucket, Key=key)
    else:
        Path(place).unlink(missing_ok=True)
