"""Probabilities of labels out of the log-probabilities of an answer's tokens.

A server tells for each token of the answer how probable it was, and which others were. Those that
begin a label, in the place of the answer's own, speak for that label.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from training.labelling.labeller import Probabilities

AROUND = " \t\r\n\"'`*.:"  # what models write around a label


def find_label(answer: str, labels: Sequence[str]) -> str:
    """Return the label that an answer is: ' "Pos".' -> "pos"; "" where it is none, or two.

    What a model thinks before it answers, between <think> and </think>, is left out.
    """
    if answer.lstrip().startswith("<think>"):
        answer = answer.partition("</think>")[2]
    for plain in (answer.strip(), answer.strip(AROUND)):
        if plain in labels:
            return plain
    plain = answer.strip(AROUND).casefold()
    found = [label for label in labels if label.casefold() == plain]
    return found[0] if len(found) == 1 else ""


def read_logprobs(content: Any, labels: Sequence[str]) -> Probabilities | None:
    """Return the probability of each label; None where the tokens do not tell.

    The answer's tokens are followed until one label is left. Another token that several labels
    begin with speaks for each in equal parts, since what would follow it is not known.

    Args:
        content: `choices[0].logprobs.content` of the chat API: `{"token": "pos", "logprob": -0.1,
            "top_logprobs": [{"token": "neg", "logprob": -2.3}]}` for each token.
    """
    try:
        masses = _follow(content, labels)
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
        return None
    total = sum(masses)
    return tuple(mass / total for mass in masses) if 0 < total < math.inf else None


def _follow(content: Any, labels: Sequence[str]) -> list[float]:
    masses = [0.0] * len(labels)
    prefix, reached = "", 1.0
    candidates = [*range(len(labels))]
    for position in content:
        for token, probability in _others(position):
            begun = _find_begun(prefix + token, labels)
            for index in begun:
                masses[index] += reached * probability / len(begun)
        prefix += position["token"]
        reached *= _read_probability(position)
        candidates = _find_begun(prefix, labels) if prefix.strip(AROUND) else candidates
        if len(candidates) < 2:
            break
    whole = [i for i in candidates if labels[i].casefold() == prefix.strip(AROUND).casefold()]
    ends = whole or candidates
    if not prefix.strip(AROUND) or not ends:
        raise ValueError("the answer begins no label")
    for index in ends:
        masses[index] += reached / len(ends)
    return masses


def _others(position: Any) -> Iterator[tuple[str, float]]:
    """Yield the tokens that the answer does not have, with their probability."""
    for other in position.get("top_logprobs") or ():
        if other["token"] != position["token"]:
            yield other["token"], _read_probability(other)


def _find_begun(text: str, labels: Sequence[str]) -> list[int]:
    """Return which labels a text begins, or begins with as a whole; of blanks alone none."""
    plain = text.lstrip(AROUND).casefold()
    if not plain:
        return []
    return [index for index, label in enumerate(labels) if _fits(plain, label.casefold())]


def _fits(plain: str, label: str) -> bool:
    if label.startswith(plain):
        return True
    rest = plain.removeprefix(label)
    return rest != plain and not rest[0].isalnum()


def _read_probability(token: Any) -> float:
    logprob = token["logprob"]
    if isinstance(logprob, bool) or not isinstance(logprob, int | float) or math.isnan(logprob):
        raise ValueError("no log-probability")
    return math.exp(min(0.0, logprob))
