"""`s3://BUCKET/PREFIX/`: one object a result, named by its id, so that a second send overwrites."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

from handler.aws import make_client
from handler.deadline import Deadline
from handler.event_settings import Target
from handler.sinks.sending import encode, send_each
from handler.sinks.sink import Result
from handler.traces import NAME


class S3Sink:
    """Puts `PREFIX/RESULT_ID.json`."""

    overwrites = True

    def __init__(self, target: Target) -> None:
        self.target = target

    @cached_property
    def client(self) -> Any:
        return make_client("s3")

    def send(self, results: Sequence[Result], deadline: Deadline) -> dict[str, str]:
        # Here, because boto3 makes clients in one thread at a time.
        return send_each(results, partial(self._put, self.client), deadline)

    def feeds(self, source_arn: str) -> bool:
        return False  # `handler/events/objects.py` refuses keys below the prefix

    def _put(self, client: Any, result: Result) -> None:
        client.put_object(
            Bucket=self.target.name,
            Key=f"{self.target.path}{result.result_id}.json",
            Body=encode(result).encode(),
            ContentType="application/json",
            Metadata={NAME: result.traceparent} if result.traceparent else {},
        )
