"""Texts that the model did not answer, sent to people or to a larger model.

A review has the id, source and model of the record's result, and the texts that were not answered
with what the model would have said. Unlike a result it holds texts: who decides must read them.
Rows of an object go in several reviews, as many in one as a message may hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from handler.errors import DeliveryError, HandlerError
from handler.events.resources import Invocation
from handler.events.work import ObjectRef, Texts
from handler.inference.classifier import Prediction
from handler.inference.models import Model
from handler.inference.tasks import Selective
from handler.rows.score import Block
from handler.sinks.sink import Result, cut, send_once

REVIEW_BYTES = 200_000  # of the rows in one: a message has room for 262,144 (`sinks/sending.py`)


def make_review(
    result: Result, texts: Texts, predictions: Sequence[Prediction], model: Model
) -> Result | None:
    """Return what is sent for the texts of one record that were not answered, each with its place
    among the record's texts; None where all were."""
    if not isinstance(model.task, Selective):
        return None
    reviews = [
        {"index": index, "text": texts.texts[index], **model.shape_prediction(prediction)}
        for index, prediction in enumerate(predictions)
        if model.task.why_abstained(prediction.outputs)
    ]
    if not reviews:
        return None
    review_id = f"{result.result_id}-review"  # in the idempotency table it is not the result
    same = {name: result.document[name] for name in ("id", "source", "model")}
    return Result(
        review_id,
        {"result_id": review_id, **same, "reviews": reviews},
        result.group,
        result.traceparent,
    )


def send_reviews(
    results: Mapping[int, Result],
    works: Mapping[int, Texts],
    predictions: Mapping[int, Sequence[Prediction]],
    invocation: Invocation,
    failures: dict[int, HandlerError],
) -> None:
    """Send what the model did not answer; a record whose review cannot be sent has failed.

    To be called before the results are sent: a record whose result was sent is done.

    Args:
        results, works, predictions: By record number.
    """
    sink = invocation.resources.review_sink
    reviews = {}
    for index, result in results.items():
        model = invocation.find_model(works[index])
        review = make_review(result, works[index], predictions[index], model)
        if review is not None:
            reviews[index] = review
    if sink is None or not reviews:
        return
    send_once(sink, reviews, invocation.deadline, failures, "its texts for review")


def send_row_reviews(
    job_id: str,
    source: ObjectRef,
    block: Block,
    predictions: Sequence[Prediction | None],
    invocation: Invocation,
) -> None:
    """Send the rows of an object that were not answered, each with its number in the object.

    To be called before they are written: rows that are written are not scored again. The same rows
    have the same `result_id` whenever they are.

    Args:
        job_id: Of the object and the model.
        predictions: Of each row of the block; None where the model failed.

    Raises:
        DeliveryError: Not all could be sent.
    """
    sink, model = invocation.resources.review_sink, invocation.model
    if sink is None or not isinstance(model.task, Selective):
        return
    reviews = [
        {"row": row.number, "text": text, **model.shape_prediction(prediction)}
        for row, text, prediction in zip(block.rows, block.texts, predictions, strict=True)
        if prediction is not None and model.task.why_abstained(prediction.outputs)
    ]
    url = f"s3://{source.bucket}/{source.key}"
    same = {"id": url, "source": "aws:s3", "model": model.description}
    results = []
    for part in cut(reviews, lambda review: len(json.dumps(review)), REVIEW_BYTES):
        review_id = f"{job_id}-{part[0]['row']}-review"
        results.append(Result(review_id, {"result_id": review_id, **same, "reviews": part}))
    if unsent := (sink.send(results, invocation.deadline) if results else {}):
        reason = next(iter(unsent.values()))
        raise DeliveryError(f"its rows for review could not be sent: {reason}")
