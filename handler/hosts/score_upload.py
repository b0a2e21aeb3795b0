"""A finished scoring to S3, which goes on where a killed process has left off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from handler.errors import DeliveryError, InvalidInput
from handler.files import write_json
from handler.hosts.score_state import Work
from handler.objects.upload import Upload, UploadGone, part_bytes, remove_object


def send_result(work: Work) -> None:
    """Send the rejected rows, then the result; S3 puts each there as a whole."""
    from handler.aws import make_client

    client = make_client("s3")
    bucket, _, key = work.output.removeprefix("s3://").partition("/")
    try:
        if work.rejected.exists() and work.rejected.stat().st_size:
            _send(client, bucket, f"{key}.rejected", work.rejected, work.upload)
            work.rejected.unlink()
        elif work.rejected.exists() and not remove_object(client, bucket, f"{key}.rejected"):
            # One of an earlier result would mislead: an empty one takes its place.
            client.put_object(Bucket=bucket, Key=f"{key}.rejected", Body=b"")
        _send(client, bucket, key, work.rows, work.upload)
    except OSError:  # of the disk, which says itself what it is
        raise
    except UploadGone:
        work.upload.unlink(missing_ok=True)
        raise DeliveryError(
            f"{work.output}: its upload was ended by another: run the command again"
        ) from None
    except Exception as error:  # of the client, and of its own reading of addresses and settings
        raise DeliveryError(f"{work.output}: cannot be written: {error}") from error


def _send(client: Any, bucket: str, key: str, path: Path, state: Path) -> None:
    """Send a file in parts; `state` tells after each how far it is."""
    upload = _resume(client, bucket, key, state)
    if not upload.upload_id and path.stat().st_size >= part_bytes(1):
        upload.open()
        _save(upload, state)
    with path.open("rb") as file:
        file.seek(sum(part_bytes(number + 1) for number in range(len(upload.etags))))
        while content := file.read(part_bytes(len(upload.etags) + 1)):
            num_sent = len(upload.etags)
            upload.append(content)
            if len(upload.etags) > num_sent:
                _save(upload, state)
        upload.finish()
    state.unlink(missing_ok=True)


def _resume(client: Any, bucket: str, key: str, state: Path) -> Upload:
    """Return the upload that a killed process has begun, or a new one."""
    upload = Upload(client, bucket, key, {}, "")
    try:
        document = json.loads(state.read_text(encoding="utf-8"))
        if document["key"] == key:
            upload.resume(document["upload"])
            return upload
    except (FileNotFoundError, ValueError, KeyError, TypeError, InvalidInput, UploadGone):
        pass  # nothing begun, or completed already: what is the same is sent once more
    return Upload(client, bucket, key, {}, "")


def _save(upload: Upload, state: Path) -> None:
    sent = {"upload_id": upload.upload_id, "etags": upload.etags, "tail": ""}
    write_json(state, {"key": upload.key, "upload": sent})
