"""A direct call and Step Functions: the results are the reply."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from handler.errors import HandlerError, InvalidInput
from handler.events.batch import score_texts, take_parts
from handler.events.fields import drop_nulls
from handler.events.resources import Invocation
from handler.events.work import Texts, read_texts
from handler.inference.classifier import Prediction
from handler.inference.requests import name_texts, name_type, read_model_name, read_request


def answer_direct(event: dict[str, Any], invocation: Invocation) -> dict[str, Any]:
    """Return the answer of `POST /predict` to the same body."""
    request = drop_nulls(event)
    texts, options = read_request(request)
    name, version = read_model_name(request)
    request_id = invocation.exchange.request_id
    model = invocation.choose(name, version, request_id)
    started = time.perf_counter()
    predictions = model.predict(texts, name_texts(request), options)
    passed_ms = (time.perf_counter() - started) * 1000
    invocation.exchange.records = 1
    invocation.count(model, texts, predictions)
    if invocation.resources.models.shadows:
        from handler.inference.agreement import Answered  # only where there is one

        invocation.keep_answered(request_id, Answered(model, texts, predictions, passed_ms))
    return model.answer(texts, predictions, options)


def answer_items(items: object, invocation: Invocation) -> list[dict[str, Any]]:
    """Return one answer for each item, in order: a Map state's list, or a Distributed Map's batch.

    An item is a text or an object as of a direct call, with an `id` if it likes. One that cannot
    be scored gets `{"error": ...}` in its place, and the others their answers.
    """
    if not isinstance(items, list):
        raise InvalidInput(f"Items is {name_type(items)}, wanted a list", field="Items")
    works: dict[int, Texts] = {}
    failures: dict[int, HandlerError] = {}
    for index, item in enumerate(items):
        try:
            record_id = f"{invocation.exchange.request_id}:{index}"
            works[index] = replace(_read_item(item), record_id=record_id)
        except InvalidInput as error:
            failures[index] = error
    predictions: dict[int, list[Prediction]] = {}
    num_tried = 0
    for part in take_parts(works, invocation.deadline):
        texts = {index: works[index] for index in part}
        predictions |= score_texts(texts, invocation, failures)
        num_tried += len(part)
    if num_tried < len(works):
        from handler.deadline import TimeIsUp  # rare

        raise TimeIsUp  # its caller waits for all of them
    invocation.exchange.records = len(items)
    invocation.exchange.failed_records = len(failures)
    answers: list[dict[str, Any]] = []
    for index in range(len(items)):
        answer: dict[str, Any] = {}
        if index in works and works[index].sender_id is not None:
            answer["id"] = works[index].sender_id
        if index in failures:
            answer["error"] = _describe(failures[index])
        else:
            model = invocation.find_model(works[index])
            answer["model"] = model.description
            answer["predictions"] = [model.shape_prediction(one) for one in predictions[index]]
        answers.append(answer)
    return answers


def _read_item(item: object) -> Texts:
    if isinstance(item, str):
        return Texts([item], field="text")
    if isinstance(item, dict) and ("text" in item or "texts" in item):
        return read_texts(item)
    raise InvalidInput('an item is neither a string nor an object with "text" or "texts"')


def _describe(error: HandlerError) -> dict[str, Any]:
    if isinstance(error, InvalidInput):
        return {
            "detail": error.detail,
            "field": error.field,
            "limit": error.limit,
            "received": error.received,
        }
    return {"detail": str(error)}
