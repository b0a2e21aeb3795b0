"""Powertools' idempotency around a sink that cannot be overwritten: each result is sent once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from handler.aws import error_code
from handler.sinks.sink import Result, Sink

logger = logging.getLogger("minnow")
EXPIRES_AFTER_S = 24 * 3600  # longer than a message is retried before it is a dead letter


class IdempotentSink:
    """Keeps a Powertools record per result: in progress before the send, complete after it.

    A result whose record is complete was sent: it is passed over. One in progress is another
    invocation's, or that of one that was killed: it fails, comes again, and is sent when the
    record's in-progress time is over.
    """

    overwrites = True

    def __init__(self, sink: Sink, table: str, in_progress_ms: int = 60_000) -> None:
        from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer
        from aws_lambda_powertools.utilities.idempotency.config import IdempotencyConfig

        self.sink = sink
        self.in_progress_ms = in_progress_ms
        self.records: Any = DynamoDBPersistenceLayer(table_name=table)
        config = IdempotencyConfig(
            event_key_jmespath="result_id",
            expires_after_seconds=EXPIRES_AFTER_S,
            raise_on_no_idempotency_key=True,
        )
        self.records.configure(config, function_name="minnow")

    def send(self, results: Sequence[Result]) -> dict[str, str]:
        failures: dict[str, str] = {}
        ours = []
        for result in results:
            try:
                if self._claim(result):
                    ours.append(result)
            except Exception as error:  # one record's claim must not lose the others
                failures[result.result_id] = error_code(error)
        unsent = self.sink.send(ours) if ours else {}
        for result in ours:
            self._settle(result, sent=result.result_id not in unsent)
        return failures | unsent

    def feeds(self, source_arn: str) -> bool:
        return self.sink.feeds(source_arn)

    def _claim(self, result: Result) -> bool:
        """Return whether the result is ours to send; raise if another is sending it."""
        from aws_lambda_powertools.utilities.idempotency.exceptions import (
            IdempotencyItemAlreadyExistsError,
        )

        key = {"result_id": result.result_id}
        try:
            self.records.save_inprogress(data=key, remaining_time_in_millis=self.in_progress_ms)
        except IdempotencyItemAlreadyExistsError:
            if self.records.get_record(data=key).status == "COMPLETED":
                return False
            raise
        return True

    def _settle(self, result: Result, sent: bool) -> None:
        key = {"result_id": result.result_id}
        try:
            if sent:
                self.records.save_success(data=key, result={})
            else:
                self.records.delete_record(data=key, exception=RuntimeError("not sent"))
        except Exception as error:  # it was sent: failing its record would send it again
            logger.warning("result %s: its record: %s", result.result_id, error_code(error))
