"""What a sink is, and what it is given. A result sent twice is one result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from handler.deadline import Deadline


@dataclass(frozen=True)
class Result:
    """One record's outcome.

    Args:
        result_id: Hash of source id and model: the same for every delivery of the same record.
        document: What is sent, ready for JSON.
        group: FIFO group of the source, so that the order lives on; empty: none.
    """

    result_id: str
    document: Mapping[str, Any]
    group: str = ""


class Sink(Protocol):
    """Sends results; `feeds` tells whether a source with this ARN would read them back."""

    overwrites: bool

    def send(self, results: Sequence[Result], deadline: Deadline) -> dict[str, str]:
        """Send all; return the ids of those that failed after retries, or had not been sent by
        the deadline, with the reason."""

    def feeds(self, source_arn: str) -> bool: ...
