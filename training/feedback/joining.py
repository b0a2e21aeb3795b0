"""Feedback and results, joined by the id of the result: what was said of what was told."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from handler.feedback import LARGEST, MAX_INDEX, read_time
from training.errors import DataError
from training.feedback.documents import Found, check_unicode, read_documents

UNNAMED = "unknown"  # model or version that neither result nor feedback names
REVIEW = "-review"  # ends the id of a text for review, which begins with its result's
Answer = str | float | tuple[str, ...] | None  # None: the model did not answer
Target = tuple[str, int]  # a result's id, and the place of the text in it


class Said(NamedTuple):
    """What one feedback says; `predicted` is None where it does not tell, `time` stands as it was
    written, and `moment` are its seconds since 1970, before all others where it is none."""

    target: Target
    label: Answer
    predicted: Answer
    model: str
    version: str
    time: str
    moment: float
    feedback_id: str


class Told(NamedTuple):
    """What one result tells of its texts."""

    model: str
    version: str
    sender_id: str
    answers: tuple[Answer, ...]


class Pair(NamedTuple):
    """A feedback beside the answer that it speaks of.

    Args:
        said: The last one of its text.
        answer: Of the model; None: it did not answer.
        told: The result; None: the feedback itself says what was answered.
    """

    said: Said
    answer: Answer
    told: Told | None
    model: str
    version: str


@dataclass
class Joined:
    """What came of joining.

    Args:
        pairs: By time, one for each text.
        unknown: Feedback, one for each text, of which no result is here and which does not say
            what was answered.
        read: Feedback that was read.
        repeated: Of them, those that say again what was said, or stand there twice.
        contradicted: Texts of which different things were said; the last one counts.
        disagreeing: Feedback that says another answer than the result.
        unfit: Feedback whose label is of another kind than the answer, such as a number; left out.
        results: Model and version -> texts that were answered, with feedback or not.
        answered: Model and version -> answer -> texts.
    """

    pairs: list[Pair] = field(default_factory=list)
    unknown: list[Said] = field(default_factory=list)
    read: int = 0
    repeated: int = 0
    contradicted: int = 0
    disagreeing: int = 0
    unfit: int = 0
    results: Counter[tuple[str, str]] = field(default_factory=Counter)
    answered: defaultdict[tuple[str, str], Counter[Answer]] = field(
        default_factory=lambda: defaultdict(Counter)
    )


def join_feedback(feedback: Iterable[str], results: Iterable[str]) -> Joined:
    """Return each text's last feedback beside the answer, whatever the order of the files.

    Args:
        feedback, results: Files, folders and prefixes of buckets.

    Raises:
        DataError: A place cannot be read, holds something else, or no feedback at all.
    """
    joined = Joined()
    last = _keep_last(_read_feedback(feedback), joined)
    told = _read_results(results)
    for one in told.values():
        key = (one.model, one.version)
        joined.results[key] += len(one.answers)
        joined.answered[key].update(
            answer for answer in one.answers if not isinstance(answer, float)
        )
    for said in last:
        _join(said, told.get(said.target[0]), joined)
    return joined


def _join(said: Said, told: Told | None, joined: Joined) -> None:
    index = said.target[1]
    if told is not None and index < len(told.answers):
        answer, model, version = told.answers[index], told.model, told.version
        if said.predicted is not None and said.predicted != answer:
            joined.disagreeing += 1
    elif said.predicted is not None:
        answer, model, version, told = said.predicted, said.model, said.version, None
    else:
        joined.unknown.append(said)
        return
    if answer is not None and type(answer) is not type(said.label):
        joined.unfit += 1
        return
    joined.pairs.append(Pair(said, answer, told, model, version))


def _keep_last(feedback: Iterable[Said], joined: Joined) -> list[Said]:
    """Return the last feedback of each text, by time."""
    of_text: defaultdict[Target, list[Said]] = defaultdict(list)
    for said in feedback:
        joined.read += 1
        of_text[said.target].append(said)
    if not of_text:
        raise DataError("there is no feedback in what was named first.")
    last = []
    for several in of_text.values():
        labels = {said.label for said in several}
        joined.contradicted += len(labels) > 1
        joined.repeated += len(several) - len(labels)
        several.sort(key=lambda said: (said.moment, said.feedback_id))
        # Who corrects what was said need not say again what was answered.
        told = next((one for one in several[::-1] if one.predicted is not None), several[-1])
        final = several[-1]
        if final.predicted is None:
            names = ("predicted", "model", "version")
            final = final._replace(**{name: getattr(told, name) for name in names})
        last.append(final)
    return sorted(last, key=lambda said: (said.moment, said.feedback_id, said.target))


def _read_feedback(places: Iterable[str]) -> Iterable[Said]:
    for place in places:
        for number, found in enumerate(read_documents(place)):
            if is_result(found.document) or is_review(found.document):
                continue
            yield _read_said(found, number)


def _read_said(found: Found, number: int) -> Said:
    document = found.document
    result_id, label = document.get("result_id"), document.get("label")
    index = read_index(document.get("index"))
    if not isinstance(result_id, str) or not result_id or label is None or index is None:
        raise DataError(
            f"{found.place} is no feedback, wanted an object with result_id and label. Remove it."
        )
    check_unicode(result_id, found.place)
    model, version = (str(document.get(name) or UNNAMED) for name in ("model", "version"))
    moment = read_time(document.get("time"))
    return Said(
        (result_id, index),
        _read_answer(label, found.place),
        _read_answer(document.get("predicted"), found.place),
        model,
        version,
        str(document.get("time") or ""),
        moment.timestamp() if moment else -math.inf,
        str(document.get("feedback_id") or f"{number:012}"),
    )


def _read_results(places: Iterable[str]) -> dict[str, Told]:
    found: dict[str, Told] = {}
    for place in places:
        for one in read_documents(place):
            if is_result(one.document):
                found.setdefault(one.document["result_id"], _read_told(one))
            elif not is_review(one.document) and "feedback_id" not in one.document:
                raise DataError(
                    f"{one.place} is no result, wanted an object with result_id and predictions. "
                    "Remove it."
                )
    return found


def _read_told(found: Found) -> Told:
    document = found.document
    model = document.get("model")
    model = model if isinstance(model, Mapping) else {}
    try:
        answers = tuple(
            _read_prediction(prediction, found.place) for prediction in document["predictions"]
        )
    except (TypeError, AttributeError):
        raise DataError(f"{found.place}: its predictions are none of ours. Remove it.") from None
    name, version = (str(model.get(key) or UNNAMED) for key in ("name", "version"))
    return Told(name, version, str(document.get("id") or ""), answers)


def _read_prediction(prediction: Mapping[str, Any], place: str) -> Answer:
    for name in ("label", "labels", "value"):  # an ordinal answer has a value too
        if name in prediction:
            return _read_answer(prediction[name], place)
    raise TypeError


def _read_answer(value: object, place: str) -> Answer:
    """Return a label, several sorted ones, or a number, as they can be compared."""
    if value is None or isinstance(value, str):
        check_unicode(value or "", place)
        return value
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        check_unicode("".join(value), place)
        return tuple(sorted(set(value)))
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
        raise DataError(f"{place}: a label is none, wanted a text, a list of them or a number.")
    return float(value)


def read_index(value: object) -> int | None:
    """Return the place of a text in its result, 0 where none is given; None for what is none."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= MAX_INDEX and value == int(value) else None


def is_result(document: Mapping[str, Any]) -> bool:
    """Say whether a document is a result, or an answer that was kept with its id."""
    return isinstance(document.get("result_id"), str) and "predictions" in document


def is_review(document: Mapping[str, Any]) -> bool:
    """Say whether a document holds texts for review."""
    return "reviews" in document
