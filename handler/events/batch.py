"""Records to results: one length-sorted run for all texts, and each record fails alone."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from handler.errors import DeliveryError, HandlerError, InvalidInput, name_failure
from handler.events.resources import Invocation
from handler.events.work import Feedback, Objects, Record, Texts, Work
from handler.inference.classifier import Classifier, Prediction
from handler.inference.models import Model
from handler.inference.requests import name_source
from handler.sinks.sink import Result, send_once

if TYPE_CHECKING:
    from handler.deadline import Deadline

logger = logging.getLogger("minnow")
# Texts that are scored before their results are sent: enough for batches of one length, and half
# a second of work on a whole vCPU, some seconds of the smallest function's.
PART_TEXTS = 256


@dataclass(frozen=True)
class Outcome:
    """By record number: what failed and why, and the answer to each of the others."""

    failures: Mapping[int, HandlerError]
    answers: Mapping[int, Any]


def process_records(records: Sequence[Record], invocation: Invocation) -> Outcome:
    """Score every record, send or return the results, score objects; never raise for one record.

    What is not done by the deadline has failed, and what was sent by then was sent.
    """
    failures: dict[int, HandlerError] = {}
    works: dict[int, Work] = {}
    for index, record in enumerate(records):
        try:
            works[index] = name_record(record.read(), record.record_id)
        except InvalidInput as error:
            failures[index] = error
    answers: dict[int, Any] = {}
    for part in take_parts(works, invocation.deadline):
        _process_part(part, records, works, invocation, answers, failures)
    if left := [index for index in works if index not in answers and index not in failures]:
        from handler.deadline import TimeIsUp  # rare

        failures.update((index, TimeIsUp()) for index in left)
    for index, failure in failures.items():
        logger.warning("record %s: %s", records[index].record_id, failure)
    if any(record.traceparent for record in records):
        invocation.exchange.trace_id = _find_common_trace(records)
    invocation.exchange.records = len(records)
    invocation.exchange.failed_records = len(failures)
    return Outcome(failures, answers)


def _find_common_trace(records: Sequence[Record]) -> str:
    """Return the id of the trace of all records; "" where they have several."""
    from handler.traces import find_trace_id

    first, *others = {find_trace_id(record.traceparent) for record in records}
    return "" if others else first


def name_record(work: Work, record_id: str) -> Work:
    """Return the work, which knows what its source calls it."""
    return replace(work, record_id=record_id) if isinstance(work, Texts) else work


def take_parts(works: Mapping[int, Work], deadline: Deadline) -> Iterator[list[int]]:
    """Yield record numbers in order, some hundred texts at a time, while there is time.

    A part is begun only where the longest one before it would have been done by the deadline.
    """
    longest_s = 0.0
    for part in _cut(works):
        left_s = deadline.left_s()
        if left_s <= longest_s:
            return
        yield part
        longest_s = max(longest_s, left_s - deadline.left_s())


def _cut(works: Mapping[int, Work]) -> Iterator[list[int]]:
    part: list[int] = []
    num_texts = 0
    for index, work in works.items():
        part.append(index)
        num_texts += len(work.texts) if isinstance(work, Texts) else 1
        if num_texts >= PART_TEXTS:
            yield part
            part, num_texts = [], 0
    if part:
        yield part


def _process_part(
    part: Sequence[int],
    records: Sequence[Record],
    works: Mapping[int, Work],
    invocation: Invocation,
    answers: dict[int, Any],
    failures: dict[int, HandlerError],
) -> None:
    """Score some of the records, and send or note their answers, before the next are scored."""
    texts = {index: work for index in part if isinstance(work := works[index], Texts)}
    predictions = score_texts(texts, invocation, failures)
    for wave in _waves(part, records):
        _leave_failed_groups(records, wave, failures)
        results = {
            index: make_result(
                records[index], work, predictions[index], invocation.find_model(work)
            )
            for index in wave
            if index in predictions and index not in failures and (work := texts[index])
        }
        if invocation.resources.review_sink is not None:
            from handler.events.review import send_reviews

            send_reviews(results, texts, predictions, invocation, failures)
            results = {index: result for index, result in results.items() if index not in failures}
        answers.update(_deliver(results, invocation, failures))
        feedback: dict[int, Feedback] = {}
        for index in wave:
            work = works[index]
            if isinstance(work, Objects) and index not in failures:
                _answer_objects(index, work, invocation, answers, failures)
            elif isinstance(work, Feedback) and index not in failures:
                feedback[index] = work
        if feedback:
            from handler.events.feedback import take_feedback

            answers.update(take_feedback(feedback, records, invocation, failures))


def score_texts(
    works: Mapping[int, Texts], invocation: Invocation, failures: dict[int, HandlerError]
) -> dict[int, list[Prediction]]:
    """Return the predictions of each work that can be scored; note the others in `failures`."""
    checked: dict[int, tuple[Model, dict[int, list[str]]]] = {}  # by model
    for index, work in works.items():
        try:
            model = invocation.find_model(work)
            texts = model.check_texts(work.texts, name_source(work.field))
        except HandlerError as error:
            failures[index] = error
            continue
        checked.setdefault(id(model), (model, {}))[1][index] = texts
    found: dict[int, list[Prediction]] = {}
    for model, of_model in checked.values():
        started = time.perf_counter()
        scored = _score_checked(model.classifier, of_model, failures)
        passed_ms = (time.perf_counter() - started) * 1000
        for index, predictions in scored.items():
            invocation.count(model, of_model[index], predictions)
        if invocation.resources.models.shadows:
            from handler.inference.agreement import Answered  # only where there is one

            num_texts = sum(map(len, scored.values()))
            for index, predictions in scored.items():
                part_ms = passed_ms * len(predictions) / num_texts
                answered = Answered(model, of_model[index], predictions, part_ms)
                invocation.keep_answered(works[index].drawn_by, answered)
        found |= scored
    return found


def _score_checked(
    classifier: Classifier, works: Mapping[int, list[str]], failures: dict[int, HandlerError]
) -> dict[int, list[Prediction]]:
    good: list[str] = []
    spans: dict[int, slice] = {}
    for index, texts in works.items():
        spans[index] = slice(len(good), len(good) + len(texts))
        good.extend(texts)
    try:
        predictions = classifier.predict(good)
    except Exception:  # one text must not lose the others: find it by running each record alone
        return _score_alone(classifier, good, spans, failures)
    return {index: predictions[span] for index, span in spans.items()}


def make_result(
    record: Record, work: Texts, predictions: Sequence[Prediction], model: Model
) -> Result:
    """Return what is sent for one record.

    The id is the sender's own, if there is one, with the texts' hash (a sender who tries again
    means the same result, one who uses an id twice does not), else the source's.
    """
    sender_id = work.sender_id
    if sender_id is not None:
        content = hashlib.sha256("\n".join(map(str, work.texts)).encode()).hexdigest()
        result_id = model.result_id(record.source, sender_id, content)
    else:
        result_id = model.result_id(record.source, record.record_id)
    document = {
        "result_id": result_id,
        "id": sender_id if sender_id is not None else record.record_id,
        "source": record.source,
        "model": model.description,
        "predictions": [model.shape_prediction(prediction) for prediction in predictions],
    }
    return Result(result_id, document, record.group, record.traceparent)


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


def _waves(part: Sequence[int], records: Sequence[Record]) -> Iterator[list[int]]:
    """Yield record numbers that may go out together: all, or the next of each FIFO group."""
    waves: list[list[int]] = []
    seen: dict[str, int] = {}
    for index in part:
        group = records[index].group
        depth = seen.get(group, 0) if group else 0
        if group:
            seen[group] = depth + 1
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
    results: Mapping[int, Result], invocation: Invocation, failures: dict[int, HandlerError]
) -> dict[int, Any]:
    sink = invocation.resources.sink
    if sink is None or not results:
        return {index: result.document for index, result in results.items()}
    send_once(sink, results, invocation.deadline, failures, "its result")
    return {
        index: {"result_id": result.result_id}
        for index, result in results.items()
        if index not in failures
    }


def _answer_objects(
    index: int,
    work: Objects,
    invocation: Invocation,
    answers: dict[int, Any],
    failures: dict[int, HandlerError],
) -> None:
    answers[index] = []
    for reference in work.objects:
        from handler.objects.job import score_object

        try:
            answers[index].append(score_object(reference, work.progress, invocation))
        except HandlerError as error:
            failures[index] = error
        except Exception as error:  # around one object, logged with its record by process_records
            failures[index] = DeliveryError(f"an object failed ({name_failure(error)})")
