"""Which objects are scored, and how they are packed: no markers, none of our own results.

Folders made in S3's console, and what Hadoop, Spark and EMR leave beside their files, come with
events like any object's. They are passed over, and the reply says so.
"""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from typing import Any

from handler.errors import InvalidInput
from handler.event_settings import EventSettings, Target
from handler.events.work import ObjectRef
from handler.objects.source import open_object
from handler.rows.formats import Format, detect_format

logger = logging.getLogger("minnow")
# `_committed_...` and `_started_...` are Databricks'; `..._$folder$` is EMR's.
MARKER_NAME = re.compile(r"_SUCCESS|_FAILED|_(committed|started)_\w+|.+_\$folder\$|\.DS_Store")
RESULT_NAME = re.compile(r"[0-9a-f]{32}(-review)?\.json")  # what `handler/sinks/s3.py` writes
ENCODINGS = {"gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}
PLAIN = ("", "identity", "aws-chunked")  # the last is how it was sent, not how it lies there


def name_marker(key: str) -> str:
    """Return what a key is, if an object of that name never holds texts; else nothing."""
    if key.endswith("/"):
        return "a folder"
    if MARKER_NAME.fullmatch(key.rsplit("/", 1)[-1]):
        return "a marker of another program"
    return ""


def find_format(reference: ObjectRef, client: Any) -> Format | None:
    """Return the format that the key says; None for an empty object whose name says none.

    Raises:
        InvalidInput: The name says none, and the object has bytes.
        ObjectChanged: It is no longer the one of the event.
        ObjectGone: There is none any more.
        DeliveryError: It cannot be read.
    """
    try:
        return detect_format(reference.key)
    except InvalidInput:
        file, _ = open_object(client, reference)
        if file.size == 0:
            return None
        raise


def pass_over(what: str) -> dict[str, Any]:
    """Return the answer for an object without texts; the log says so too."""
    logger.info("an object was passed over: %s", what)
    return {"status": "passed over", "reason": what}


def refuse_own_result(reference: ObjectRef, settings: EventSettings) -> None:
    """Raise InvalidInput for an object that is a result: it would trigger the function again."""
    output = settings.object_results
    if output is not None and _lies_below(reference, output):
        raise InvalidInput(
            f"the object lies below s3://{output.name}/{output.path}, where results go: scoring it "
            "would trigger the function by its own result. Use another bucket, or a prefix in the "
            "bucket's notification that results do not have"
        )
    for sent in (settings.results, settings.review, settings.feedback):
        if sent is None or sent.scheme != "s3" or not _lies_below(reference, sent):
            continue
        if RESULT_NAME.fullmatch(reference.key.removeprefix(sent.path)):
            raise InvalidInput(
                f"the object is a result of ours, below s3://{sent.name}/{sent.path}: leave "
                "that prefix out of the bucket's notification"
            )


def unpack_format(file_format: Format, content_encoding: str) -> Format:
    """Return the format with the compression that the object's Content-Encoding says.

    Raises:
        InvalidInput: It is none that can be read, or more than one.
    """
    names = [name.strip().lower() for name in content_encoding.split(",")]
    names = [name for name in names if name not in PLAIN]
    if not names:
        return file_format
    compression = ENCODINGS.get(names[0], "") if len(names) == 1 else ""
    if compression and compression == file_format.compression:
        return file_format  # said twice, by the name too
    if not compression or file_format.compression or file_format.kind == "parquet":
        raise InvalidInput(
            "the object's Content-Encoding cannot be read: wanted gzip or zstd, once, and none for "
            "Parquet, which is compressed within"
        )
    return replace(file_format, compression=compression)


def _lies_below(reference: ObjectRef, target: Target) -> bool:
    return reference.bucket == target.name and reference.key.startswith(target.path)
