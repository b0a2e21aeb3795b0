"""The one core: a request's texts in, limits checked once, results out. Pure and stateless.

Every wire format (HTTP, events, direct) turns its own shape into `predict_texts` and back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from handler.classifier import Classifier, Prediction
from handler.errors import InvalidInput
from handler.settings import Limits


def predict_texts(classifier: Classifier, texts: Sequence[str], limits: Limits) -> list[Prediction]:
    """Return one prediction per text, after checking every limit.

    Raises:
        InvalidInput: No text, too many, one too long, or one that is not Unicode text.
    """
    if not texts:
        raise InvalidInput("texts is empty, wanted 1 text or more", field="texts")
    if len(texts) > limits.max_texts:
        raise InvalidInput(
            f"texts has {len(texts)} texts, the limit is {limits.max_texts}: send several requests",
            field="texts",
            limit=limits.max_texts,
            received=len(texts),
            status=413,
        )
    for index, text in enumerate(texts):
        check_text(text, f"texts[{index}]", limits)
    return classifier.predict(texts)


def check_text(text: object, field: str, limits: Limits) -> str:
    """Return `text` if it can be scored; `field` is its path in the request, for the error."""
    if not isinstance(text, str):
        raise InvalidInput(f"{field} is {type(text).__name__}, wanted a string", field=field)
    if len(text) > limits.max_characters:
        raise InvalidInput(
            f"{field} has {len(text)} characters, the limit is {limits.max_characters}",
            field=field,
            limit=limits.max_characters,
            received=len(text),
            status=413,
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{field} holds a lone surrogate at character {error.start}, wanted Unicode text",
            field=field,
        ) from None  # the cause holds the text itself
    return text


def answer_request(classifier: Classifier, request: object, limits: Limits) -> dict[str, Any]:
    """Return the native answer to a parsed request: `{"text": ...}` or `{"texts": [...]}`."""
    texts = _read_texts(request)
    predictions = predict_texts(classifier, texts, limits)
    return {
        "model": describe_model(classifier),
        "predictions": [dataclasses.asdict(prediction) for prediction in predictions],
    }


def describe_model(classifier: Classifier) -> dict[str, str]:
    """Return the name, version and hash that stand in every native answer."""
    manifest = classifier.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "sha256": classifier.model_sha256,
    }


def _read_texts(request: object) -> list[str]:
    if not isinstance(request, dict):
        raise InvalidInput(f"the request is {type(request).__name__}, wanted a JSON object")
    if ("text" in request) == ("texts" in request):
        raise InvalidInput('wanted one of the fields "text" and "texts"', field="texts")
    if "text" in request:
        return [request["text"]]
    texts = request["texts"]
    if not isinstance(texts, list):
        raise InvalidInput(f"texts is {type(texts).__name__}, wanted a list", field="texts")
    return texts
