"""A repository in a bucket of S3, below a prefix.

Nobody holds a lock: a number belongs to who writes its first file, a change of the aliases counts
if the file is still the one that was read (conditional writes, `If-None-Match` and `If-Match`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from handler.aws import ATTEMPTS, READ_TIMEOUT_S, error_code, make_client
from handler.deadline import Deadline, TimedClient
from handler.errors import ArtefactError, DeliveryError
from handler.event_settings import Target
from handler.inference.bundle import MissingArtefactError
from handler.repository.aliases import ALIASES, MAX_BYTES, is_version
from handler.repository.store import Found, can_be_model

TRIES = 100  # to take a number, or the aliases, that others take at the same time
NOT_THERE = ("NoSuchKey", "404")
IS_TAKEN = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")
UNCHANGED = ("304", "NotModified")
EMPTY = ("InvalidRange", "416")  # of a file without a byte


class Patience(NamedTuple):
    """How long a call may take, in seconds, and how often it is tried.

    Args:
        call_s: With its retries.
        file_s: Of a bundle's file, which may be large.
        attempts: Of one call.
        connect_s, read_s: Until something comes.
    """

    call_s: float
    file_s: float
    attempts: int
    connect_s: float
    read_s: float


# Whoever waits for a model waits for several calls; whoever pushes one may have a slow line.
SERVING = Patience(8, 30, 2, 1.5, 3)
PUBLISHING = Patience(60, 3600, ATTEMPTS, 3, READ_TIMEOUT_S)


class BucketStore:
    """The repository below a prefix of a bucket.

    Args:
        target: Of `s3://BUCKET/PREFIX/`.
        patience: Of whoever uses it.
    """

    def __init__(self, target: Target, patience: Patience = PUBLISHING) -> None:
        self.place = f"s3://{target.name}/{target.path}"
        self._bucket = target.name
        self._prefix = target.path
        self._patience = patience
        self._client: Any = None
        self._process = 0
        self._connecting = threading.Lock()  # two clients made at once spoil boto3's session

    def list_models(self) -> list[str]:
        return sorted(name for name in self._list("") if can_be_model(name))

    def list_versions(self, name: str) -> list[int]:
        return sorted(int(number) for number in self._list(f"{name}/") if is_version(number))

    def read_file(self, name: str, version: int, file: str, most: int) -> bytes:
        return self.read_object(f"{name}/{version}/{file}", most)

    def read_object(self, key: str, most: int) -> bytes:
        """Return an object below the prefix; raises what `read_file` raises."""
        found = self._get(key, most)
        if found is None or not found.etag:
            raise MissingArtefactError(
                f"{self.place}{key}: no such object. `minnow models` lists what there is"
            )
        return found.content

    def read_aliases(self, name: str, etag: str = "") -> Found | None:
        return self._get(f"{name}/{ALIASES}", MAX_BYTES, etag)

    def add_version(self, name: str, files: Mapping[str, bytes]) -> int:
        (first, content), *others = files.items()
        number = max(self.list_versions(name), default=0)
        for _ in range(TRIES):
            number += 1
            if self._put(f"{name}/{number}/{first}", content):
                for file, content in others:
                    self._put_own(f"{name}/{number}/{file}", content)
                return number
        raise DeliveryError(f"{self.place}: others push without end; try again later")

    def change_aliases(self, name: str, change: Callable[[bytes], bytes]) -> None:
        key = f"{name}/{ALIASES}"
        for _ in range(TRIES):
            found = self.read_aliases(name) or Found(b"", "")
            content = change(found.content)
            if content == found.content or self._put(key, content, found.etag):
                return
        raise DeliveryError(f"{self.place}{key}: others change it without end; try again later")

    def locate(self, name: str, version: int) -> Path:
        return Path(name, str(version))

    def forget_connections(self) -> None:
        self._client = None

    def _list(self, prefix: str) -> Iterator[str]:
        """Yield the names of the folders directly below a prefix."""
        where: dict[str, str] = {"Prefix": self._prefix + prefix, "Delimiter": "/"}
        while True:
            reply = self._call("list_objects_v2", **where)
            for entry in reply.get("CommonPrefixes", []):
                yield entry["Prefix"].removeprefix(where["Prefix"]).rstrip("/")
            if not reply.get("IsTruncated"):
                return
            where["ContinuationToken"] = reply["NextContinuationToken"]

    def _get(self, key: str, most: int, etag: str = "") -> Found | None:
        """Return an object; empty, without etag, where there is none; None: it has `etag`."""
        condition = {"IfNoneMatch": etag} if etag else {}
        try:
            reply = self._call(
                "get_object", Key=self._prefix + key, Range=f"bytes=0-{most}", **condition
            )
        except _Refused as refused:
            if refused.code in UNCHANGED:
                return None
            if refused.code in NOT_THERE:
                return Found(b"", "")
            if refused.code in EMPTY:
                raise ArtefactError(f"{self.place}{key}: is empty.") from None
            raise
        content = reply["Body"].read()
        if len(content) > most:
            raise ArtefactError(f"{self.place}{key}: has more than {most} bytes, the limit.")
        return Found(content, reply["ETag"])

    def _put(self, key: str, content: bytes, etag: str = "") -> bool:
        """Write an object that is not there yet, or has `etag` still; False: that is not so."""
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        try:
            self._call("put_object", Key=self._prefix + key, Body=content, **condition)
        except _Refused as refused:
            if refused.code in IS_TAKEN or (etag and refused.code in NOT_THERE):
                return False
            raise
        return True

    def _put_own(self, key: str, content: bytes) -> None:
        """Write an object below a number that is ours: what stands there was written by a try
        whose answer was lost."""
        if not self._put(key, content):
            found = self._get(key, len(content))
            if found is None or found.content != content:
                raise DeliveryError(f"{self.place}{key}: somebody else has written it. Push again")

    def _call(self, operation: str, **arguments: Any) -> Any:
        patience = self._patience
        is_file = "Key" in arguments and not arguments["Key"].endswith(ALIASES)
        try:
            # Before the clock starts: where many processes begin at once, a client takes seconds to
            # make, and they are none of the service's.
            client = self._connect()
            clock = _make_clock(patience.file_s if is_file else patience.call_s)
            method = getattr(TimedClient(client, Deadline(clock, margin_ms=0)), operation)
            return method(Bucket=self._bucket, **arguments)
        except DeliveryError as error:  # the time is up, or the answer broke off
            self.forget_connections()
            raise DeliveryError(f"{self.place}: no answer to {operation} in time") from error
        except Exception as error:
            code = error_code(error)
            raise _Refused(
                f"{self.place}: {operation} of {arguments.get('Key', 'its folders')} failed: "
                f"{code}",
                code,
            ) from error

    def _connect(self) -> Any:
        with self._connecting:
            client = self._client
            if client is None or self._process != os.getpid():  # a fork shares no connection
                client = self._client = make_client("s3", *self._patience[2:])
                self._process = os.getpid()
            return client  # another thread may forget it at this moment


class _Refused(DeliveryError):
    """A call that S3 refused, or that did not reach it."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def _make_clock(seconds: float) -> Callable[[], int]:
    end = time.monotonic() + seconds
    return lambda: int((end - time.monotonic()) * 1000)
