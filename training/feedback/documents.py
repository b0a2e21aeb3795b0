"""JSON documents as the sinks leave them: files, folders of them, and prefixes of a bucket.

A queue's or a bus's messages that were saved, and a table's export, have their envelopes taken off.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from handler.attributes import from_attribute
from handler.errors import DeliveryError, InvalidInput
from handler.rows.formats import decompress, detect_format, read_whole
from training.errors import DataError

THREADS = 16  # objects of a bucket that are fetched at a time: each is mostly waited for
AHEAD = 256  # objects that lie in memory
WANTED = ".jsonl, .ndjson or .json, also with .gz or .zst"


class Found(NamedTuple):
    """One document, and where it stands, for errors."""

    document: dict[str, Any]
    place: str


def read_documents(place: str) -> Iterator[Found]:
    """Yield the JSON objects of a file, a folder or `s3://BUCKET/PREFIX`, in the order of names.

    Raises:
        DataError: There is no such place, no file of JSON in it, or one holds something else.
        DeliveryError: The bucket does not answer.
    """
    is_empty = True
    for name, content in _read_contents(place):
        is_empty = False
        for number, value in enumerate(_parse(name, content), start=1):
            for item in _list_items(value):
                where = f"{name}: document {number}"
                if not isinstance(item, dict):
                    raise DataError(f"{where} is no JSON object. Leave the file out.")
                yield Found(_open_envelopes(item, where), where)
    if is_empty:
        raise DataError(f"{place}: no file of JSON there, wanted names that end in {WANTED}.")


def is_json(name: str) -> bool:
    """Say whether a file's name says that it holds JSON."""
    try:
        return detect_format(name).kind == "jsonl"
    except InvalidInput:
        return False


def _read_contents(place: str) -> Iterator[tuple[str, bytes]]:
    if place.startswith("s3://"):
        yield from _read_bucket(place)
        return
    path = Path(place)
    if not path.exists():
        raise DataError(f"{place}: no such file or folder.")
    paths = sorted(path.rglob("*")) if path.is_dir() else [path]
    for file in paths:
        if path.is_dir() and (not file.is_file() or not is_json(file.name)):
            continue
        if not is_json(file.name):
            raise DataError(f"{file}: its name says no JSON, wanted one that ends in {WANTED}.")
        with file.open("rb") as stream:
            yield str(file), _unpack(str(file), stream)


def _read_bucket(place: str) -> Iterator[tuple[str, bytes]]:
    from handler.aws import error_code, make_client

    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    try:
        client = make_client("s3")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    except Exception as error:  # of the client, and of its own reading of addresses and settings
        raise DeliveryError(f"{place}: cannot be listed: {error_code(error)}") from error
    keys = sorted(key for key in keys if is_json(key))
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(keys), AHEAD):
            yield from pool.map(partial(_fetch, client, bucket), keys[start : start + AHEAD])


def _fetch(client: Any, bucket: str, key: str) -> tuple[str, bytes]:
    from handler.events.work import ObjectRef
    from handler.objects.source import open_object

    name = f"s3://{bucket}/{key}"
    try:
        file, _ = open_object(client, ObjectRef(bucket, key))
        return name, _unpack(name, file)  # type: ignore[arg-type]
    except DeliveryError as error:
        raise DeliveryError(f"{name}: {error}") from error


def _unpack(name: str, stream: BinaryIO) -> bytes:
    try:
        return read_whole(decompress(stream, detect_format(name).compression))
    except InvalidInput as error:
        raise DataError(f"{name}: {error}.") from error


def _parse(name: str, content: bytes) -> Iterator[Any]:
    """Yield JSON values that follow each other, with lines between or nothing, as Firehose does."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: is not UTF-8 at byte {error.start}.") from None
    decoder = json.JSONDecoder()
    place = _skip_blanks(text, 0)
    while place < len(text):
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            line = text.count("\n", 0, place) + 1
            raise DataError(f"{name}: line {line} is no JSON. Mend or remove it.") from None
        yield value
        place = _skip_blanks(text, place)


def _skip_blanks(text: str, place: int) -> int:
    while place < len(text) and text[place] in " \t\r\n":
        place += 1
    return place


def check_unicode(text: str, place: str) -> None:
    """Raise DataError for half a surrogate pair, which JSON can hold and no file of text can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DataError(f"{place} holds a lone surrogate, wanted Unicode. Mend it.") from None


def _list_items(value: Any) -> list[Any]:
    """Return what an array holds, or the answer of SQS in which messages were received."""
    if isinstance(value, dict) and isinstance(value.get("Messages"), list):
        value = value["Messages"]
    return value if isinstance(value, list) else [value]


def _open_envelopes(document: dict[str, Any], place: str) -> dict[str, Any]:
    """Return what a saved event, message or item holds, also one in the other, as a queue has what
    a bus sent it; anything else as it is."""
    try:
        while (inner := _open_envelope(document)) is not None:
            document = inner
    except (InvalidInput, ValueError, TypeError, AttributeError):
        raise DataError(f"{place}: its Item is none of a table's export. Remove it.") from None
    return document


def _open_envelope(document: dict[str, Any]) -> dict[str, Any] | None:
    """Return what an envelope holds; None for what is none."""
    if isinstance(document.get("detail"), dict) and "detail-type" in document:
        return dict(document["detail"])
    if isinstance(document.get("Item"), dict):  # of a table's export
        return {name: _read_attribute(value) for name, value in document["Item"].items()}
    for name in ("Body", "body"):
        if isinstance(document.get(name), str) and "result_id" not in document:
            try:
                inner = json.loads(document[name])
            except ValueError:
                continue
            if isinstance(inner, dict):
                return inner
    return None


def _read_attribute(attribute: Any) -> Any:
    """Return an attribute's plain value, numbers as such."""
    kind: str = ""
    value: Any = None
    if isinstance(attribute, dict):
        kind, value = next(iter(attribute.items()), (kind, value))
    if kind == "N":
        return json.loads(value)
    if kind == "L":
        return [_read_attribute(entry) for entry in value]
    if kind == "M":
        return {name: _read_attribute(entry) for name, entry in value.items()}
    return from_attribute(attribute)
