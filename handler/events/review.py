"""Texts that the model did not answer, sent to people or to a larger model.

A review has the id, source and model of the record's result, and the texts that were not answered
with what the model would have said. Unlike a result it holds texts: who decides must read them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from handler.errors import HandlerError
from handler.events.resources import Invocation
from handler.events.work import Texts
from handler.inference.classifier import Prediction
from handler.inference.models import Model
from handler.inference.tasks import Selective
from handler.sinks.sink import Result, send_once


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
    return Result(review_id, {"result_id": review_id, **same, "reviews": reviews}, result.group)


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
