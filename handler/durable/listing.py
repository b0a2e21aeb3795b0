"""What stands below a prefix, a page at a time, and whether a result stands."""

from __future__ import annotations

import json
from typing import Any

from handler.aws import error_code
from handler.errors import DeliveryError
from handler.events.work import ObjectRef
from handler.objects.admission import name_marker

PAGE_OBJECTS = 100
# Of the keys as JSON: a checkpoint has room for 256 KB, and each stands in it twice when scored.
PAGE_BYTES = 50_000


def list_objects(client: Any, bucket: str, prefix: str, after: str, most: int) -> dict[str, Any]:
    """Return objects by name, without folders and markers of other programs.

    Args:
        client: boto3's S3 client.
        after: A key: those behind it.
        most: Objects.

    Returns:
        `{"objects": [{"key", "etag"}, ...], "after": key to go on from, "more": bool}`

    Raises:
        DeliveryError: The bucket does not answer.
    """
    found: list[dict[str, str]] = []
    size, most, more = 0, min(most, PAGE_OBJECTS), True
    while more and len(found) < most:
        try:
            reply = client.list_objects_v2(
                Bucket=bucket, Prefix=prefix, StartAfter=after, MaxKeys=PAGE_OBJECTS
            )
        except Exception as error:
            raise DeliveryError(f"list_objects_v2 failed: {error_code(error)}") from error
        entries = reply.get("Contents", [])
        more = bool(reply.get("IsTruncated"))
        for entry in entries:
            one = {"key": entry["Key"], "etag": entry["ETag"].strip('"')}
            size += 0 if name_marker(entry["Key"]) else len(json.dumps(one))
            if len(found) == most or (found and size > PAGE_BYTES):
                return {"objects": found, "after": after, "more": True}
            after = entry["Key"]
            if not name_marker(after):
                found.append(one)
    return {"objects": found, "after": after, "more": more}


def stands(client: Any, result: ObjectRef, job: str) -> bool:
    """Say whether the result of a job stands.

    Raises:
        DeliveryError: The bucket does not answer.
    """
    try:
        head = client.head_object(Bucket=result.bucket, Key=result.key)
    except Exception as error:
        if error_code(error) in ("404", "NoSuchKey"):
            return False
        raise DeliveryError(f"head_object failed: {error_code(error)}") from error
    return bool(head["Metadata"].get("minnow-job") == job)
