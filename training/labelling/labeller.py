"""Labellers: what is asked for the labels of texts, and what it may answer.

A reply is `{"label": "pos"}` or `{"probabilities": {"pos": 0.8, "neg": 0.2}}`. No reason here holds
a text, an answer or a key: reasons are printed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from training.rows.labels import LabelProblem, format_label
from training.rows.soft_labels import is_soft, read_soft_label

Probabilities = tuple[float, ...]  # one for each label, in the labels' order


@dataclass(frozen=True)
class Problem:
    """Why one text has no label.

    Args:
        reason: Continues "row 4: ".
        is_final: The same question would be refused again.
    """

    reason: str
    is_final: bool = False


class BatchFailure(Exception):
    """A batch that was not answered, and may be when it is asked again.

    Args:
        reason: Continues "row 4: ".
        retry_after_s: How long nobody should ask; None: not said.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


class Labeller(Protocol):
    """What answers for texts; `ask` is called in several threads at once.

    Attributes:
        name: What the rows say of who labelled them.
        identity: What tells it from another one whose answers may differ; ready for JSON.
    """

    @property
    def name(self) -> str: ...
    @property
    def identity(self) -> dict[str, str]: ...

    def ask(self, texts: Sequence[str]) -> list[Probabilities | Problem]:
        """Return for each text its probabilities, or why it has none.

        Raises:
            BatchFailure: No text was answered.
            LabellingError: None will be: a wrong key, no such model, no such command.
        """

    def close(self) -> None:
        """End what is under way, as far as that can be ended."""


def read_reply(line: str | bytes, labels: Sequence[str]) -> Probabilities | Problem:
    """Return what a line of JSON says: `{"label": "pos"}` -> (1.0, 0.0)."""
    try:
        reply = json.loads(line)
    except (ValueError, RecursionError):
        return Problem("the answer is no JSON")
    if isinstance(reply, dict) and "probabilities" in reply:
        return read_probabilities(reply["probabilities"], labels)
    if isinstance(reply, dict) and "label" in reply:
        return read_label(reply["label"], labels)
    return Problem("the answer has neither label nor probabilities")


def read_label(value: object, labels: Sequence[str]) -> Probabilities | Problem:
    """Return 1 for a label of the list, 0 for the others."""
    try:
        label = format_label(value)
    except LabelProblem:
        label = ""
    return one_hot(label, labels) if label in labels else Problem("the answer is no known label")


def one_hot(label: str, labels: Sequence[str]) -> Probabilities:
    """Return 1 for the label, 0 for the others: ("pos", ["pos", "neg"]) -> (1.0, 0.0)."""
    return tuple(float(name == label) for name in labels)


def read_probabilities(value: Any, labels: Sequence[str]) -> Probabilities | Problem:
    """Return a probability for each label; of one that is not named 0."""
    if not is_soft(value):
        return Problem("the answer's probabilities are no object")
    try:
        found = read_soft_label(value).probabilities
    except LabelProblem as problem:
        return Problem(f"the answer {problem}")
    if found.keys() - set(labels):
        return Problem("the answer has a probability of an unknown label")
    return tuple(found.get(label, 0.0) for label in labels)
