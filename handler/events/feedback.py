"""Feedback in events: checked, and sent to the sink of MINNOW_FEEDBACK; each record fails alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from handler.errors import DeliveryError, HandlerError, InvalidInput
from handler.events.resources import Invocation
from handler.events.work import Feedback, Record
from handler.feedback import check_feedback, make_result
from handler.inference.models import Model
from handler.sinks.sink import Result, send_once

SWITCHED_OFF = (
    "the object speaks of a result (result_id, label), and MINNOW_FEEDBACK, which says where "
    "feedback goes, is not set"
)


def take_feedback(
    works: Mapping[int, Feedback],
    records: Sequence[Record],
    invocation: Invocation,
    failures: dict[int, HandlerError],
) -> dict[int, dict[str, Any]]:
    """Return the answer to each record whose feedback was sent; note the others in `failures`."""
    sink = invocation.resources.feedback_sink
    results: dict[int, Result] = {}
    for index, work in works.items():
        record = records[index]
        try:
            if sink is None:
                raise InvalidInput(SWITCHED_OFF)
            kept = check_feedback(work.document, partial(_find_model, invocation))
        except HandlerError as error:
            failures[index] = error
            continue
        results[index] = make_result(
            kept, record.source, record.record_id, record.sent, group=record.group
        )
    if sink is not None and results:
        send_once(sink, results, invocation.deadline, failures, "its feedback")
    return {
        index: {"feedback_id": result.result_id}
        for index, result in results.items()
        if index not in failures
    }


def answer_feedback(document: dict[str, Any], invocation: Invocation) -> dict[str, Any]:
    """Return the answer to a direct call: the id of what was kept.

    Raises:
        InvalidInput: It is not kept, and never will be.
        DeliveryError: It could not be sent.
    """
    sink = invocation.resources.feedback_sink
    if sink is None:
        raise InvalidInput(SWITCHED_OFF)
    kept = check_feedback(document, partial(_find_model, invocation))
    result = make_result(kept, "direct", invocation.exchange.request_id)
    invocation.exchange.records = 1
    if unsent := sink.send([result], invocation.deadline):
        reason = next(iter(unsent.values()))
        raise DeliveryError(f"the feedback could not be sent: {reason}")
    return {"feedback_id": result.result_id}


def _find_model(invocation: Invocation, name: str | None) -> Model:
    model = invocation.pin(name, None)
    model.refuse_stand_in()
    return model
