"""Why a prediction: each token's contribution, by occlusion.

Every token in turn is replaced by the unknown token, and all these variants are run in one batch.
The contribution is what the explained output loses (of a single label its probability):
`"good film"` -> good +0.38, film 0.00. It is measured on the model that serves, quantized as it
is; no gradient is needed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from handler.errors import InvalidInput
from handler.inference.classifier import Classifier, Prediction
from handler.inference.letters import join_row
from handler.inference.tokenizer import Located
from handler.settings import Limits

# What continues the character before it, beside combining marks (Unicode's annex 29): joiners, skin
# tones, the tags of flags, and the vowels and final consonants of Korean written in parts.
CONTINUING = (
    ("\u200c", "\u200d"),
    ("\U0001f3fb", "\U0001f3ff"),
    ("\U000e0020", "\U000e007f"),
    ("\u1160", "\u11ff"),
    ("\ud7b0", "\ud7ff"),
)


@dataclass(slots=True)
class Part:
    """Characters `start` to `end` of a text, and the tokens that the model read for them."""

    start: int
    end: int
    positions: list[int]


def check_num_tokens(
    classifier: Classifier, texts: Sequence[str], limits: Limits, field: str = "explain"
) -> None:
    """Raise InvalidInput where the texts have more tokens than one request may have explained.

    Args:
        field: What the sender calls the option that asked for this.
    """
    num_tokens = 0
    for index, text in enumerate(texts, 1):
        (encoding,) = classifier.encode_texts([text])
        num_tokens += len(encoding.ids)
        if num_tokens > limits.max_explained_tokens:
            has = f"have {num_tokens}" if index == len(texts) else f"have {num_tokens} or more"
            raise InvalidInput(
                f"{field}: the texts {has} tokens, the limit is {limits.max_explained_tokens}: "
                "explain fewer texts at a time",
                field=field,
                limit=limits.max_explained_tokens,
                received=num_tokens,
                status=413,
            )


def explain_predictions(
    classifier: Classifier,
    texts: Sequence[str],
    predictions: Sequence[Prediction],
) -> list[list[dict[str, Any]]]:
    """Return, per text, one object a token that the model read, in the order of the text.

    `{"token", "start", "end", "contribution"}`: `texts[i][start:end] == token`, offsets in
    characters (Unicode code points); `contribution`, of a probability -1 to 1, speaks for the
    answer above 0. No two overlap: tokens of one character, as the model reads three for an
    ellipsis, are one object.

    Args:
        texts: Few enough for `check_num_tokens`.
    """
    encodings = classifier.locate_tokens(texts)
    unknown_id = classifier.manifest.unknown_id
    parts = [
        part_text(text, encoding.offsets) for text, encoding in zip(texts, encodings, strict=True)
    ]
    variants = [
        _occlude(encoding, part.positions, unknown_id)
        for encoding, of_text in zip(encodings, parts, strict=True)
        for part in of_text
    ]
    occluded = iter(classifier.run(variants))
    explanations = []
    for text, of_text, prediction in zip(texts, parts, predictions, strict=True):
        output = classifier.task.explained_output(prediction.outputs)
        explanations.append(
            [
                {
                    "token": text[part.start : part.end],
                    "start": part.start,
                    "end": part.end,
                    "contribution": prediction.outputs[output] - float(next(occluded)[output]),
                }
                for part in of_text
            ]
        )
    return explanations


def part_text(text: str, offsets: Sequence[tuple[int, int]]) -> list[Part]:
    """Return the parts of the text that tokens stand for, in order, none over another.

    A tokenizer that composes characters names only the first of them: a part goes on to the end of
    the character as people see it, accents and joiners included.

    Args:
        text: As it was sent.
        offsets: (start, end) of each token in it.
    """
    parts: list[Part] = []
    for position, (start, end) in enumerate(offsets):
        if not parts or start >= parts[-1].end:
            parts.append(Part(start, end, []))
        part = parts[-1]
        part.positions.append(position)
        part.end = max(part.end, end)
        while part.end < len(text) and _continues(text[part.end]):  # no character twice
            part.end += 1
    return parts


def _continues(character: str) -> bool:
    if character.isascii():
        return False
    is_mark = unicodedata.category(character).startswith("M")
    return is_mark or any(first <= character <= last for first, last in CONTINUING)


def _occlude(encoding: Located, positions: Sequence[int], unknown_id: int) -> list[int]:
    """Return the row of a text with unknown words, which have no letters, at the positions."""
    variant, unknown = list(encoding.ids), list(encoding.unknown)
    for position in sorted(positions, reverse=True):
        if variant[position] == unknown_id:
            number = variant[:position].count(unknown_id)
            del unknown[number : number + 1]  # only the first are spelled
        variant[position] = unknown_id
    return join_row(variant, unknown)
