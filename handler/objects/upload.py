"""An object written in parts by any number of processes: it completes or does not exist.

Bytes are cut into parts of fixed sizes. What is left below a part when time is up is put aside as
an object of its own, named by its hash; upload id, the parts' etags and that name are the state
that the next process needs. The etags are the state's own, not asked of S3: where two processes
carry on the same upload and their bytes differ, S3 refuses to complete it, instead of joining
parts that do not fit.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from typing import Any

from handler.aws import error_code
from handler.errors import DeliveryError, InvalidInput

PART_BYTES = 8 << 20  # S3's least is 5 MiB
GONE = ("NoSuchUpload", "InvalidPart", "InvalidPartOrder", "PreconditionFailed", "NoSuchKey", "412")


class UploadGone(Exception):
    """The upload was completed or ended by another process, its parts are another's, or what it
    replaces is no longer there."""


class Upload:
    """Collects bytes and sends a part whenever one is full.

    Args:
        client: boto3's S3 client.
        bucket: Where the object goes.
        key: Its name.
        metadata: Its user metadata.
        tails: Prefix below which a tail is put aside.
        content_encoding: Its header of that name; empty: none.
        replaces: Etag of the object that stands there, and that alone is replaced; empty: any, or
            none.
    """

    def __init__(
        self,
        client: Any,
        bucket: str,
        key: str,
        metadata: Mapping[str, str],
        tails: str,
        content_encoding: str = "",
        replaces: str = "",
    ) -> None:
        self.client = client
        self.bucket = bucket
        self.key = key
        self.headers: dict[str, Any] = {"Metadata": dict(metadata)}
        if content_encoding:
            self.headers["ContentEncoding"] = content_encoding
        self.condition = {"IfMatch": f'"{replaces}"'} if replaces else {}
        self.tails = tails
        self.upload_id = ""
        self.etags: list[str] = []
        self.buffer = bytearray()

    def resume(self, state: object) -> None:
        """Take up where `suspend` left off.

        Raises:
            InvalidInput: Not a state that `suspend` returned.
            UploadGone: The upload or its tail is not there any more, or its parts are another's.
        """
        self.upload_id, self.etags, tail = _read_state(state)
        if self.upload_id and self._list_etags()[: len(self.etags)] != self.etags:
            raise UploadGone
        if not tail:
            return
        try:
            body = self.client.get_object(Bucket=self.bucket, Key=f"{self.tails}{tail}")["Body"]
            self.buffer = bytearray(body.read())
        except Exception as error:
            if error_code(error) in ("NoSuchKey", "404"):
                raise UploadGone from error
            raise DeliveryError(f"a tail cannot be read: {error_code(error)}") from error
        if hashlib.sha256(self.buffer).hexdigest() != tail:
            raise UploadGone

    def open(self) -> None:
        """Begin the parts, before the first is full."""
        reply = self._call(
            "create_multipart_upload", Bucket=self.bucket, Key=self.key, **self.headers
        )
        self.upload_id = reply["UploadId"]

    def append(self, content: bytes) -> None:
        """Add bytes; send the parts that are full."""
        self.buffer += content
        while len(self.buffer) >= (size := part_bytes(len(self.etags) + 1)):
            self._send_part(bytes(self.buffer[:size]))
            del self.buffer[:size]

    def suspend(self) -> dict[str, Any]:
        """Put the tail aside and return the state, ready for JSON."""
        tail = hashlib.sha256(self.buffer).hexdigest() if self.buffer else ""
        if tail:
            self._call(
                "put_object",
                Bucket=self.bucket,
                Key=f"{self.tails}{tail}",
                Body=bytes(self.buffer),
            )
        return {"upload_id": self.upload_id, "etags": self.etags, "tail": tail}

    def finish(self) -> None:
        """Make the object; a small one needs no parts.

        Raises:
            UploadGone: Another process was here.
        """
        if not self.upload_id:
            self._call(
                "put_object",
                Bucket=self.bucket,
                Key=self.key,
                Body=bytes(self.buffer),
                **self.headers,
                **self.condition,
            )
            return
        if self.buffer:
            self._send_part(bytes(self.buffer))
            self.buffer.clear()
        parts = [
            {"PartNumber": number, "ETag": f'"{etag}"'} for number, etag in enumerate(self.etags, 1)
        ]
        self._call(
            "complete_multipart_upload",
            Bucket=self.bucket,
            Key=self.key,
            UploadId=self.upload_id,
            MultipartUpload={"Parts": parts},
            **self.condition,
        )

    def abort(self) -> None:
        """End the upload; one that is gone already is no error."""
        if self.upload_id:
            try:
                self._call(
                    "abort_multipart_upload",
                    Bucket=self.bucket,
                    Key=self.key,
                    UploadId=self.upload_id,
                )
            except UploadGone:
                pass

    def _list_etags(self) -> list[str]:
        etags: list[str] = []
        marker = 0
        while True:
            reply = self._call(
                "list_parts",
                Bucket=self.bucket,
                Key=self.key,
                UploadId=self.upload_id,
                PartNumberMarker=marker,
            )
            etags += [part["ETag"].strip('"') for part in reply.get("Parts", [])]
            if not reply.get("IsTruncated"):
                return etags
            marker = reply["NextPartNumberMarker"]

    def _send_part(self, content: bytes) -> None:
        if not self.upload_id:
            self.open()
        reply = self._call(
            "upload_part",
            Bucket=self.bucket,
            Key=self.key,
            UploadId=self.upload_id,
            PartNumber=len(self.etags) + 1,
            Body=content,
        )
        self.etags.append(reply["ETag"].strip('"'))

    def _call(self, operation: str, **arguments: Any) -> Any:
        try:
            return getattr(self.client, operation)(**arguments)
        except Exception as error:
            code = error_code(error)
            if code in GONE:
                raise UploadGone from error
            raise DeliveryError(f"{operation} failed: {code}") from error


class UploadFile(io.RawIOBase):
    """An upload as a file to be written, for pyarrow."""

    def __init__(self, upload: Upload) -> None:
        self.upload = upload

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self.upload.append(bytes(content))
        return len(content)


def remove_object(client: Any, bucket: str, key: str) -> bool:
    """Remove an object, if one stands there; return False where the role may not delete.

    It looks first: in a bucket with versions each deletion leaves a marker, even one of nothing.

    Raises:
        DeliveryError: The deletion failed for a reason that may pass.
    """
    try:
        client.head_object(Bucket=bucket, Key=key)
    except Exception as error:
        if error_code(error) in ("404", "NoSuchKey"):
            return True
    try:
        client.delete_object(Bucket=bucket, Key=key)
    except Exception as error:
        if error_code(error) == "AccessDenied":
            return False
        raise DeliveryError(f"delete_object failed: {error_code(error)}") from error
    return True


def part_bytes(number: int) -> int:
    """Return the size of part `number`: it doubles every 2,000 parts, so that the 10,000 that S3
    allows hold 496 GB, while no more than 128 MiB are ever held."""
    return PART_BYTES << (number // 2000)


def _read_state(state: object) -> tuple[str, list[str], str]:
    if isinstance(state, dict):
        upload_id, etags, tail = (state.get(name) for name in ("upload_id", "etags", "tail"))
        if (
            isinstance(upload_id, str)
            and isinstance(tail, str)
            and isinstance(etags, list)
            and all(isinstance(etag, str) for etag in etags)
        ):
            return upload_id, list(etags), tail
    raise InvalidInput("the continuation holds no state of an upload", field="upload")
