"""Powertools' idempotency around a sink that cannot be overwritten: each result is sent once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from handler.aws import error_code, make_client
from handler.deadline import Deadline
from handler.sinks.sending import THREADS
from handler.sinks.sink import Result, Sink

logger = logging.getLogger("minnow")
EXPIRES_AFTER_S = 24 * 3600  # longer than a message is retried before it is a dead letter


class IdempotentSink:
    """Keeps a Powertools record per result: in progress before the send, complete after it.

    A result whose record is complete was sent: it is passed over. One in progress is another
    invocation's, or that of one that was killed: it fails, comes again, and is sent when that
    invocation's time is over.
    """

    overwrites = True

    def __init__(self, sink: Sink, table: str) -> None:
        from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer
        from aws_lambda_powertools.utilities.idempotency.config import IdempotencyConfig

        self.sink = sink
        self.records: Any = DynamoDBPersistenceLayer(
            table_name=table,
            boto3_client=make_client("dynamodb"),  # its own waits a minute for each answer
        )
        config = IdempotencyConfig(
            event_key_jmespath="result_id",
            expires_after_seconds=EXPIRES_AFTER_S,
            raise_on_no_idempotency_key=True,
        )
        self.records.configure(config, function_name="minnow")

    def send(self, results: Sequence[Result], deadline: Deadline) -> dict[str, str]:
        # Each step may take half the time left: what was sent must still be recorded.
        in_progress_ms = deadline.remaining_ms()
        claims = deadline.halve().run_all(
            [partial(self._claim, result, in_progress_ms) for result in results], THREADS
        )
        failures: dict[str, str] = {}
        ours = []
        for result, claim in zip(results, claims, strict=True):
            if isinstance(claim, Exception):
                failures[result.result_id] = error_code(claim)
            elif claim:
                ours.append(result)
        unsent = self.sink.send(ours, deadline.halve()) if ours else {}
        settled = deadline.run_all(
            [partial(self._settle, result, result.result_id not in unsent) for result in ours],
            THREADS,
        )
        for result, error in zip(ours, settled, strict=True):
            if isinstance(error, Exception):  # if it was sent, failing it would send it again
                logger.warning("result %s: its record: %s", result.result_id, error_code(error))
        return failures | unsent

    def feeds(self, source_arn: str) -> bool:
        return self.sink.feeds(source_arn)

    def _claim(self, result: Result, in_progress_ms: int) -> bool:
        """Return whether the result is ours to send; raise if another is sending it."""
        from aws_lambda_powertools.utilities.idempotency.exceptions import (
            IdempotencyItemAlreadyExistsError,
        )

        key = {"result_id": result.result_id}
        try:
            self.records.save_inprogress(data=key, remaining_time_in_millis=in_progress_ms)
        except IdempotencyItemAlreadyExistsError:
            if self.records.get_record(data=key).status == "COMPLETED":
                return False
            raise
        return True

    def _settle(self, result: Result, was_sent: bool) -> None:
        key = {"result_id": result.result_id}
        if was_sent:
            self.records.save_success(data=key, result={})
        else:
            self.records.delete_record(data=key, exception=RuntimeError("not sent"))
