"""Records to results: one length-sorted run for all texts, and each record fails alone."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from handler.errors import DeliveryError, HandlerError, InvalidInput
from handler.events.resources import Service
from handler.events.work import Objects, Texts, Work
from handler.inference.classifier import Classifier, Prediction
from handler.inference.requests import check_text, describe_model
from handler.settings import Limits
from handler.sinks import Result

logger = logging.getLogger("minnow")


@dataclass(frozen=True)
class Record:
    """One unit of an event that succeeds or fails alone.

    Args:
        record_id: What the source calls it: message id, sequence number.
        source: ARN or name of the source; with `record_id` the same at every delivery.
        read: Returns the work, or raises InvalidInput.
        group: FIFO group: after a failure its later records are left alone.
    """

    record_id: str
    source: str
    read: Callable[[], Work]
    group: str = ""


@dataclass(frozen=True)
class Outcome:
    """By record number: what failed and why, and the answer to each of the others."""

    failures: Mapping[int, HandlerError]
    answers: Mapping[int, Any]


def process_records(records: Sequence[Record], context: Any, service: Service) -> Outcome:
    """Score every record, send or return the results, score objects; never raise for one record."""
    failures: dict[int, HandlerError] = {}
    works: dict[int, Work] = {}
    for index, record in enumerate(records):
        try:
            works[index] = record.read()
        except InvalidInput as error:
            failures[index] = error
    predictions = score_texts(
        service.classifier,
        {index: work for index, work in works.items() if isinstance(work, Texts)},
        service.limits,
        failures,
    )
    answers: dict[int, Any] = {}
    for wave in _waves(records):
        _leave_failed_groups(records, wave, failures)
        results = {
            index: make_result(records[index], works[index], predictions[index], service)
            for index in wave
            if index in predictions and index not in failures
        }
        answers.update(_deliver(results, service, failures))
        for index in wave:
            work = works.get(index)
            if isinstance(work, Objects) and index not in failures:
                _answer_objects(index, work, context, service, answers, failures)
    for index, failure in failures.items():
        logger.warning("record %s: %s", records[index].record_id, failure)
    return Outcome(failures, answers)


def score_texts(
    classifier: Classifier,
    works: Mapping[int, Texts],
    limits: Limits,
    failures: dict[int, HandlerError],
) -> dict[int, list[Prediction]]:
    """Return the predictions of each work that can be scored; note the others in `failures`."""
    good: list[str] = []
    spans: dict[int, slice] = {}
    for index, work in works.items():
        try:
            texts = check_texts(work, limits)
        except InvalidInput as error:
            failures[index] = error
            continue
        spans[index] = slice(len(good), len(good) + len(texts))
        good.extend(texts)
    try:
        predictions = classifier.predict(good) if good else []
    except Exception:  # one text must not lose the others: find it by running each record alone
        return _score_alone(classifier, good, spans, failures)
    return {index: predictions[span] for index, span in spans.items()}


def check_texts(work: Texts, limits: Limits) -> list[str]:
    """Return the texts of one record, each checked by the core."""
    if not work.texts:
        raise InvalidInput("texts is empty, wanted 1 text or more", field="texts")
    if len(work.texts) > limits.max_texts:
        raise InvalidInput(
            f"texts has {len(work.texts)} texts, the limit is {limits.max_texts}",
            field="texts",
            limit=limits.max_texts,
            received=len(work.texts),
            status=413,
        )
    if work.field != "texts":
        return [check_text(work.texts[0], work.field, limits)]
    return [check_text(text, f"texts[{index}]", limits) for index, text in enumerate(work.texts)]


def make_result(
    record: Record, work: Work, predictions: Sequence[Prediction], service: Service
) -> Result:
    """Return what is sent for one record.

    The id is the sender's own, if there is one, with the texts' hash (a sender who tries again
    means the same result, one who uses an id twice does not), else the source's.
    """
    sender_id = work.sender_id if isinstance(work, Texts) else None
    if isinstance(work, Texts) and sender_id is not None:
        content = hashlib.sha256("\n".join(map(str, work.texts)).encode()).hexdigest()
        result_id = service.result_id(record.source, sender_id, content)
    else:
        result_id = service.result_id(record.source, record.record_id)
    document = {
        "result_id": result_id,
        "id": sender_id if sender_id is not None else record.record_id,
        "source": record.source,
        "model": describe_model(service.classifier),
        "predictions": [dataclasses.asdict(prediction) for prediction in predictions],
    }
    return Result(result_id, document, record.group)


def raise_first(outcome: Outcome) -> None:
    """Raise the first failure, so that a source without partial failures delivers again."""
    for index in sorted(outcome.failures):
        raise outcome.failures[index]


def _score_alone(
    classifier: Classifier,
    texts: Sequence[str],
    spans: Mapping[int, slice],
    failures: dict[int, HandlerError],
) -> dict[int, list[Prediction]]:
    predictions = {}
    for index, span in spans.items():
        try:
            predictions[index] = classifier.predict(texts[span])
        except Exception as error:  # around one record, logged with its id by process_records
            failures[index] = HandlerError(f"the model failed on it ({type(error).__name__})")
    return predictions


def _waves(records: Sequence[Record]) -> Iterator[list[int]]:
    """Yield record numbers that may go out together: all, or the next of each FIFO group."""
    waves: list[list[int]] = []
    seen: dict[str, int] = {}
    for index, record in enumerate(records):
        depth = seen.get(record.group, 0) if record.group else 0
        if record.group:
            seen[record.group] = depth + 1
        while len(waves) <= depth:
            waves.append([])
        waves[depth].append(index)
    yield from waves


def _leave_failed_groups(
    records: Sequence[Record], wave: Sequence[int], failures: dict[int, HandlerError]
) -> None:
    """Fail the records of `wave` of whose FIFO group an earlier one has failed."""
    first_failed: dict[str, int] = {}
    for index in sorted(failures, reverse=True):
        first_failed[records[index].group] = index
    for index in wave:
        group = records[index].group
        if group and index not in failures and first_failed.get(group, index) < index:
            failures[index] = DeliveryError("an earlier message of its group failed")


def _deliver(
    results: Mapping[int, Result], service: Service, failures: dict[int, HandlerError]
) -> dict[int, Any]:
    if service.sink is None or not results:
        return {index: result.document for index, result in results.items()}
    # Two records of one batch can be the same: a sender that tried again within a second.
    unique = {result.result_id: result for result in results.values()}
    unsent = service.sink.send(list(unique.values()))
    for index, result in results.items():
        if result.result_id in unsent:
            failures[index] = DeliveryError(
                f"its result could not be sent: {unsent[result.result_id]}"
            )
    return {
        index: {"result_id": result.result_id}
        for index, result in results.items()
        if index not in failures
    }


def _answer_objects(
    index: int,
    work: Objects,
    context: Any,
    service: Service,
    answers: dict[int, Any],
    failures: dict[int, HandlerError],
) -> None:
    answers[index] = []
    for reference in work.objects:
        from handler.objects.job import score_object

        try:
            answers[index].append(score_object(reference, work.progress, context, service))
        except HandlerError as error:
            failures[index] = error
        except Exception as error:  # around one object; its key is the user's, its kind is not
            logger.exception("an object failed")
            failures[index] = DeliveryError(f"an object failed ({type(error).__name__})")
