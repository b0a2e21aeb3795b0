"""S3 ObjectCreated straight from the bucket: raises where an object fails, so it comes again."""

from __future__ import annotations

from functools import partial
from typing import Any

from handler.events.batch import Record, process_records, raise_first
from handler.events.resources import Service
from handler.events.work import Objects, Work, read_s3_records


def answer_s3(event: dict[str, Any], context: Any, service: Service) -> dict[str, Any]:
    """Return `{"results": [...]}`, one for each object."""
    records = [
        Record(f"object {index}", "aws:s3", partial(_read, record))
        for index, record in enumerate(event["Records"])
    ]
    outcome = process_records(records, context, service)
    raise_first(outcome)
    return {
        "results": [answer for index in range(len(records)) for answer in outcome.answers[index]]
    }


def _read(record: dict[str, Any]) -> Work:
    return Objects(read_s3_records([record]))
