"""S3 ObjectCreated straight from the bucket: raises where an object fails, so it comes again."""

from __future__ import annotations

from functools import partial
from typing import Any

from handler.events.batch import process_records, raise_first
from handler.events.resources import Invocation
from handler.events.work import Objects, Record, Work, read_s3_records


def answer_s3(records: list[dict[str, Any]], invocation: Invocation) -> dict[str, Any]:
    """Return `{"results": [...]}`, one for each object."""
    batch = [
        Record(f"object {index}", "aws:s3", partial(_read, record))
        for index, record in enumerate(records)
    ]
    outcome = process_records(batch, invocation)
    raise_first(outcome)
    return {"results": [answer for index in range(len(batch)) for answer in outcome.answers[index]]}


def _read(record: dict[str, Any]) -> Work:
    return Objects(read_s3_records([record]))
